"""An RTSP server that films a clock: each frame shows its number, the time in frames, as 16 bright or dark blocks.

    python3 rtsp_server.py PORT FRAMES_A_SECOND        (Debian's Python, with gir1.2-gst-rtsp-server-1.0)

Imported by tests, it starts that program and reads such frames.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

BITS, BLOCK = 16, 16
WIDTH, HEIGHT = BITS * BLOCK, 64
PYTHON = "/usr/bin/python3"
NEEDED = ("import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
          "from gi.repository import Gst, GstRtspServer; Gst.init(None); assert Gst.ElementFactory.find('rtpjpegpay')")


def number_at(seconds: float, fps: int) -> int:
    """The number of the frame of a moment."""
    return int(seconds * fps) % (1 << BITS)


def frame_of(number: int) -> bytes:
    """A frame of RGB pixels that shows a number."""
    row = b"".join((b"\xe6" if number >> bit & 1 else b"\x14") * 3 * BLOCK for bit in range(BITS))
    return row * HEIGHT


def number_on(image) -> int:
    """The number that an (H, W, 3) frame shows."""
    middle = image[HEIGHT // 2, BLOCK // 2::BLOCK].mean(axis=-1)
    return sum(1 << bit for bit, value in enumerate(middle) if value > 128)


@contextmanager
def filming(port: int, fps: int) -> Iterator[str]:
    """The address of a film of the clock; the test is skipped where no such server can be started."""
    import pytest
    if not os.path.exists(PYTHON) or subprocess.run([PYTHON, "-c", NEEDED], capture_output=True).returncode:
        pytest.skip("no RTSP server here: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
                    "gstreamer1.0-plugins-good")
    with subprocess.Popen([PYTHON, __file__, str(port), str(fps)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout and server.stdout.readline() == b"ready\n"
            yield f"rtsp://127.0.0.1:{port}/clock"
        finally:
            server.kill()


def serve(port: str, fps: int) -> None:
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)

    def push(source, _):
        number = int(time.time() * fps) + 1
        time.sleep(max(0.0, number / fps - time.time()))
        source.emit("push-buffer", Gst.Buffer.new_wrapped(frame_of(number % (1 << BITS))))

    factory = GstRtspServer.RTSPMediaFactory()
    # JPEG over RTP has to be 4:2:0.
    factory.set_launch(f"( appsrc name=clock is-live=true do-timestamp=true format=time caps=video/x-raw,format=RGB,"
                       f"width={WIDTH},height={HEIGHT},framerate={fps}/1 ! videoconvert ! video/x-raw,format=I420 !"
                       f" jpegenc ! rtpjpegpay name=pay0 pt=26 )")
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, media: media.get_element().get_by_name("clock").connect(
        "need-data", push))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/clock", factory)
    assert server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
