"""Exit 0 if a TCP port is free; else print who listens on it and exit 1.  python3 scripts/port_owner.py 8892"""

import os
import socket
import sys
from pathlib import Path


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """`process 123 (command)`, as far as this user may see it."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.is_file() else []:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(file) in inodes for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                return f"process {process.name} ({command.strip()[:200]})"
        except OSError:
            continue
    return "a program of another user"


if __name__ == "__main__":
    number = int(sys.argv[1])
    if not is_free(number):
        print(owner(number))
        sys.exit(1)
