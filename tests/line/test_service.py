"""What the line sends to the service, and what it makes of the answers of one that is no service of ours."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ss_poc.line.service import Service, StoppedError, UnreadableError
from ss_poc.line.settings import ServiceSettings

ANSWER = {"rle": [], "labels": [], "colors": [], "objects": [], "verdict": {"defect": False, "labels": []},
          "model": {"name": "m", "version": "v_1"}}


@pytest.fixture
def peer():
    """A server that notes requests and answers with `answers`, the last of them again and again."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.path, self.headers, body))
            status, said, seconds = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            time.sleep(seconds)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.answers = [], [(200, json.dumps(ANSWER).encode(), 0)]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def service_at(peer, address="http://127.0.0.1:{}", stopping=None, **settings):
    url = address.format(peer.server_address[1])
    return Service(ServiceSettings(url=url, **settings), stopping or threading.Event())


def test_photograph_number_and_token_reach_the_service_below_its_path(peer):
    service = service_at(peer, "http://127.0.0.1:{}/press/", token="t0ken")
    assert service.ask(b"photo", "abc") == ANSWER
    path, headers, body = peer.requests[0]
    assert (path, body, headers["X-Request-ID"]) == ("/press/predict", b"photo", "abc")
    assert headers["Authorization"] == "Bearer t0ken"
    service.close()


def test_name_and_password_of_an_address_are_sent(peer):
    service = service_at(peer, "http://press:p%40ss@127.0.0.1:{}")
    service.ask(b"photo", "abc")
    assert peer.requests[0][1]["Authorization"] == "Basic " + base64.b64encode(b"press:p@ss").decode()


def test_an_answer_that_comes_too_late_is_asked_for_again(peer):
    peer.answers[:] = [(200, json.dumps(ANSWER).encode(), 2), *peer.answers]
    service = service_at(peer, timeout=0.3)
    assert service.ask(b"photo", "abc") == ANSWER
    assert len(peer.requests) == 2 and service.trouble == ""


@pytest.mark.parametrize(("status", "said", "reason"), [
    (415, b'{"error": "no image"}', "no image"), (413, b"<p>too large</p>", "<p>too large</p>"),
    (400, b"\xff", "\ufffd")])
def test_a_photograph_that_the_service_refuses_is_an_error_in_its_words(peer, status, said, reason):
    peer.answers[:] = [(status, said, 0)]
    with pytest.raises(UnreadableError, match=reason):
        service_at(peer).ask(b"photo", "abc")
    assert len(peer.requests) == 1


def test_a_photograph_on_which_the_service_fails_is_given_up_after_five_times(peer):
    peer.answers[:] = [(500, b"oops", 0)]
    with pytest.raises(UnreadableError, match="failed on it 5 times: status 500: oops"):
        service_at(peer).ask(b"photo", "abc")
    assert len(peer.requests) == 5


@pytest.mark.parametrize("said", [b"", b"[]", b'{"rle": []}', b"\xff"])
def test_another_program_at_the_address_is_asked_until_the_line_stops(peer, said):
    peer.answers[:] = [(200, said, 0)]
    stopping = threading.Event()
    service = service_at(peer, stopping=stopping)
    threading.Timer(0.5, stopping.set).start()
    with pytest.raises(StoppedError):
        service.ask(b"photo", "abc")
    assert "none of /predict" in service.trouble and len(peer.requests) >= 2


def test_a_service_that_speaks_no_tls_is_waited_for_and_no_photograph_is_given_up(peer):
    stopping = threading.Event()
    service = service_at(peer, "https://127.0.0.1:{}", stopping)
    threading.Timer(3, stopping.set).start()  # five tries take 1.5 s
    with pytest.raises(StoppedError):
        service.ask(b"photo", "abc")
    assert "it cannot be reached" in service.trouble
