"""Unpack what `sh annotator.sh backup` wrote of Label Studio:  python3 scripts/unpack_backup.py FILE FOLDER

Anybody may have made the file. So nothing is unpacked of one that holds more than the account, and plain files and
folders below label-studio/: no links, no devices, no paths that lead elsewhere.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import PurePosixPath


def trouble(member: tarfile.TarInfo) -> str:
    """Why a member is not one of a backup; nothing where it is one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return f"{member.name!r} leads out of it"
    if not (member.isreg() or member.isdir()):
        return f"{member.name!r} is neither a file nor a folder"
    known = path.parts[:1] in ((), ("label-studio",)) or path.parts == ("account",)
    return "" if known else f"{member.name!r} is not of a backup"


def main(file: str, folder: str) -> str:
    """Unpack all or nothing; return what is wrong with the file, "" where all is well."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            # Without it (Python before 3.11.4) owners and modes are the archive's.
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            members = archive.getmembers()
            for said in filter(None, map(trouble, members)):
                return said
            files = {str(PurePosixPath(member.name)) for member in members if member.isreg()}
            if not {"account", "label-studio/label_studio.sqlite3"} <= files:
                return "its account or its labels are missing"
            archive.extractall(folder, members)
    except (tarfile.TarError, EOFError, OSError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
