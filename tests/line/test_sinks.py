"""csv, folder and webhook: what is written and sent for a part and for an alarm."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import disk
from lines import photograph

from ss_poc.core.images import decode_image
from ss_poc.core.masks import encode_rle
from ss_poc.line.outbox import Item, SinkError
from ss_poc.line.parts import Part
from ss_poc.line.settings import CsvSink, FolderSink, WebhookSink
from ss_poc.line.sinks.csv_file import CsvFile
from ss_poc.line.sinks.picture_folder import PictureFolder
from ss_poc.line.sinks.webhook import Webhook, signature

MASK = np.zeros((24, 40), bool)
MASK[10:14, 20:25] = True
PART = Part("ab" * 32, "press", "camera", 'sub/Teil "7", neu.png', 1_700_000_000_007, "reject", ("scratch was found",),
            found={"scratch": (1, 20)}, part="7", lot="L1", model="demo", version="v_1", milliseconds=12.5,
            regions={"size": [24, 40], "labels": ["scratch"], "colors": ["#ff0000"],
                     "rle": [encode_rle(MASK)["counts"]]})
ALARM = Item("cd" * 16, {"type": "alarm", "id": "cd" * 16, "time": "2023-11-14T22:13:20.007Z", "line": "press",
                         "alarm": "rejects", "source": None, "active": True, "text": "3 of 10"})


def item(picture: bytes = b"") -> Item:
    return Item(PART.key, PART.message(), PART.regions if picture else {}, picture)


def test_a_csv_has_a_line_for_each_part_and_alarms_beside_it(tmp_path):
    sink = CsvFile(CsvSink(name="a", path=tmp_path / "new" / "parts.csv"))
    sink.deliver([item(), ALARM])
    sink.deliver([item()])
    with (tmp_path / "new" / "parts.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and rows[0] == rows[1] == {
        "taken": "2023-11-14T22:13:20.007Z", "line": "press", "source": "camera", "name": 'sub/Teil "7", neu.png',
        "part": "7", "lot": "L1", "verdict": "reject", "reasons": "scratch was found", "found": "scratch 1 20",
        "model": "demo", "version": "v_1", "milliseconds": "12.5", "id": "ab" * 32}
    assert (tmp_path / "new" / "parts-alarms.csv").read_text().splitlines()[1] == \
        f"2023-11-14T22:13:20.007Z,press,rejects,,True,3 of 10,{'cd' * 16}"


def test_a_line_that_was_left_half_is_ended_before_the_next(tmp_path):
    sink = CsvFile(CsvSink(name="a", path=tmp_path / "parts.csv"))
    sink.deliver([item()])
    whole = (tmp_path / "parts.csv").read_text()
    (tmp_path / "parts.csv").write_text(whole[:-20])
    sink.deliver([item()])
    lines = (tmp_path / "parts.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[2] == whole.splitlines()[1]


def test_a_csv_on_a_full_disk_gets_no_half_line(tmp_path):
    with disk(tmp_path / "small", 64):
        sink = CsvFile(CsvSink(name="a", path=tmp_path / "small" / "parts.csv"))
        with pytest.raises(OSError):
            for _ in range(1000):
                sink.deliver([item()])
        assert (tmp_path / "small" / "parts.csv").read_bytes().endswith(b"ab\n")


def test_a_folder_gets_photograph_overlay_and_json(tmp_path):
    sink = PictureFolder(FolderSink(name="a", path=tmp_path))
    data = photograph(1, defect=True)
    sink.deliver([item(data)])
    sink.deliver([item(data)])  # a second time: the same files
    place = tmp_path / "2023" / "11" / "14"
    stem = f"Teil_7_neu_{'ab' * 6}"
    assert sorted(path.name for path in place.iterdir()) == [f"{stem}.json", f"{stem}.png", f"{stem}_overlay.jpg"]
    assert (place / f"{stem}.png").read_bytes() == data
    assert json.loads((place / f"{stem}.json").read_text()) == {**PART.message(), "regions": PART.regions}
    overlay = decode_image(place / f"{stem}_overlay.jpg").astype(int)
    inside, outside = overlay[11:13, 21:24].mean((0, 1)), overlay[:5, :15].mean((0, 1))
    assert inside[0] - inside[1] > 60 and abs(outside[0] - outside[1]) < 10  # red where the scratch is


@pytest.mark.parametrize("picture", [b"", b"no image"])
def test_a_folder_without_a_usable_picture_gets_the_json(tmp_path, picture):
    PictureFolder(FolderSink(name="a", path=tmp_path)).deliver([item(picture), ALARM])
    assert len(list(tmp_path.rglob("*.json"))) == 2 and not list(tmp_path.rglob("*_overlay.jpg"))


@pytest.fixture
def receiver():
    """An address that answers with the next status it is given, then with 200; and what it got."""
    got, statuses = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got, statuses
    server.shutdown()
    server.server_close()


def test_a_webhook_is_signed_over_its_time_and_body(receiver):
    url, got, _ = receiver
    sink = Webhook(WebhookSink(name="a", url=url, secret="key"))
    sink.deliver([item()])
    headers, body = got[0]
    assert json.loads(body) == PART.message() and headers["X-Line-Id"] == PART.key
    expected = hmac.new(b"key", headers["X-Line-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Line-Signature"] == f"sha256={expected}" and headers["Content-Type"] == "application/json"
    sink.close()


def test_a_signature_is_that_of_openssl():
    # printf '1.{}' | openssl dgst -sha256 -hmac key
    assert signature("key", "1", b"{}") == \
        "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"


def test_a_webhook_that_refuses_or_is_away_is_an_error_and_gets_pictures_where_told(receiver):
    url, got, statuses = receiver
    sink = Webhook(WebhookSink(name="a", url=url, pictures=True))
    statuses += [500, 404]
    for status in (500, 404):
        with pytest.raises(SinkError, match=f"status {status}"):
            sink.deliver([item(b"123")])
    sink.deliver([item(b"123")])
    sent = json.loads(got[2][1])
    assert sent["photograph"] == "MTIz" and sent["regions"] == PART.regions and "X-Line-Signature" not in got[2][0]
    sink.close()
    away = Webhook(WebhookSink(name="a", url="http://127.0.0.1:1/"))
    with pytest.raises(SinkError, match="cannot be reached"):
        away.deliver([item()])
    away.close()
