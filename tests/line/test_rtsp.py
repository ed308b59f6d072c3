"""A real RTSP stream behind a slow service: the line skips frames and never lags behind."""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lines import Process, rows, until_so, write_video
from rtsp_server import filming, number_at, number_on
from served import free_port

from ss_poc.core.images import decode_image
from ss_poc.line.settings import VideoSource
from ss_poc.line.sources.video import Video

FPS, MOST = 10, 2  # frames a second; frames that the line may lag behind
FRAME_MS = 1000 / FPS
ANSWER = json.dumps({"rle": [], "labels": [], "colors": [], "objects": [], "verdict": {"defect": False, "labels": []},
                     "model": {"name": "slow", "version": "v_1"}}).encode()


@contextmanager
def answering_after(seconds: float):
    """A service that finds nothing, and takes its time to say so."""
    class Slow(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("seconds", [5, pytest.param(120, marks=pytest.mark.slow)])
def test_behind_a_slow_service_a_stream_lags_at_most_two_frames(tmp_path, seconds):
    (tmp_path / "line.yaml").write_text(
        "line: press\nstate: state\nservice: {{url: '{service}'}}\n"
        "sources: [{{type: video, name: camera, address: '{stream}'}}]\n")
    with filming(free_port(), FPS) as stream, answering_after(1.0) as service:
        path = tmp_path / "line.yaml"
        path.write_text(path.read_text().format(service=service, stream=stream))
        with Process(path):
            until_so(lambda: rows(tmp_path), 40)
            time.sleep(seconds)
    found = rows(tmp_path)
    assert len(found) >= seconds - 2
    lags = [(number_at(part.taken_ms / 1000, FPS) - number_on(decode_image(
        (tmp_path / "state" / "pictures" / part.picture).read_bytes()))) % 65_536 for part in found]
    # Neither the first nor the last frames have waited in a buffer. One late frame may be the machine's fault.
    assert sorted(lags)[-2] <= MOST, lags
    # A frame is taken when one before it is done, and is the newest of that moment.
    for done, taken in itertools.pairwise(found[::2]):
        assert taken.taken_ms >= done.taken_ms + done.milliseconds - MOST * FRAME_MS


def test_frames_are_fresh_from_the_first_on_and_a_film_is_whole_beside_a_stream(tmp_path):
    write_video(tmp_path / "a.avi", 8, fps=20)
    found = []
    with filming(free_port(), FPS) as stream:
        camera = Video(VideoSource(name="camera", address=stream))
        camera.start(lambda photograph: found.append(photograph) or True)
        until_so(lambda: len(found) == 2, 40)  # nobody finishes them
        camera.stop()
    lags = [(number_at(photograph.taken_ms / 1000, FPS) - number_on(decode_image(photograph.data))) % 65_536
            for photograph in found]
    assert min(lags) <= MOST, lags
    film, frames = Video(VideoSource(name="film", address=str(tmp_path / "a.avi"))), []
    film.start(lambda photograph: (frames.append(photograph), photograph.finish()))
    until_so(lambda: not film._threads[0].is_alive())
    film.stop()
    assert round((float(decode_image(frames[0].data).mean()) - 20) / 4) == 0 and len(frames) >= 6


@pytest.mark.slow
def test_a_stream_whose_server_is_gone_is_opened_again(tmp_path):
    port = free_port()
    path = tmp_path / "line.yaml"
    with answering_after(0) as service:
        path.write_text(f"line: press\nstate: state\nservice: {{url: '{service}'}}\nsources:\n"
                        f"  - {{type: video, name: camera, address: 'rtsp://127.0.0.1:{port}/clock'}}\n")
        with Process(path) as line:
            for _ in range(2):
                with filming(port, FPS):
                    before = len(rows(tmp_path))
                    until_so(lambda before=before: len(rows(tmp_path)) > before + 2, 60)
            assert line.log.read_text().count("no frame comes") >= 1
    assert len({part.name for part in rows(tmp_path)}) == len(rows(tmp_path))
