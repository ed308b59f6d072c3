"""What the page `/line` asks for: parts, counts, news, pictures; and what it refuses."""

from __future__ import annotations

import io
import json
import socket
import threading

import httpx
import numpy as np
import pytest
from line_page import NOON, key, opened, part
from lines import Process, photograph, until_so, yaml_of
from PIL import Image
from served import free_port

from ss_poc.core.errors import ConfigError
from ss_poc.line.settings import LineSettings, PageSettings, read_settings
from ss_poc.line.web import page as page_module

HOUR = 3_600_000


@pytest.fixture
def page(tmp_path):
    with opened(tmp_path) as found:
        yield found


def numbers(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["parts"]]


def test_parts_come_last_first_and_a_page_at_a_time(page):
    page.add(*[part(number) for number in range(5)])
    first = page.get("/line/parts?count=2").json()
    assert [item["name"] for item in first["parts"]] == ["4.png", "3.png"] and first["more"]
    rest = page.get(f"/line/parts?before_id={first['parts'][-1]['number']}").json()
    assert [item["name"] for item in rest["parts"]] == ["2.png", "1.png", "0.png"] and not rest["more"]


def test_a_search_is_by_part_lot_class_verdict_source_and_time(page):
    page.add(part(0, part="17", lot="A"), part(1, "reject", part="18", lot="A", found={"pit": (1, 3)}),
             part(2, "error", part="28", lot="B", source="other"))
    page.archive.add([part(3, line="another", part="17")])
    for query, expected in (("part=1", ["1.png", "0.png"]), ("lot=A&part=18", ["1.png"]), ("label=pit", ["1.png"]),
                            ("verdict=error", ["2.png"]), ("source=other", ["2.png"]),
                            ("part=", ["2.png", "1.png", "0.png"]), ("part=%25", []),
                            (f"since_ms={NOON + 1000}&until_ms={NOON + 2000}", ["1.png"]),
                            ("label=%00pit", ["1.png"])):
        assert numbers(page.get(f"/line/parts?{query}")) == expected, query


@pytest.mark.parametrize(("query", "said"), [
    ("size=1", "'size' is not known"), ("part=1&part=2", "part is there 2 times"),
    ("verdict=good", "verdict is 'good'"),
    ("count=0", "count is 0"), ("count=201", "count is 201"), ("count=1e3", "count is '1e3'"),
    ("since_ms=-1", "since_ms is '-1'"), ("before_id=%D9%A1", "before_id is"),
    ("until_ms=99999999999999999", "until_ms is"),
    (f"part={'x' * 201}", "part has 201 characters"), ("&".join(f"a{n}=1" for n in range(21)), "too many values")])
def test_a_query_that_cannot_be_is_refused_with_what_to_do(page, query, said):
    answer = page.get(f"/line/parts?{query}")
    assert answer.status_code == 400 and said in answer.json()["error"] and answer.json()["expected"]


def test_counts_are_of_the_time_that_is_asked_for(page):
    page.add(part(0), part(1, "reject", found={"pit": (3, 1)}), part(3600, "warn", key=key(3)),
             part(2, "reject", found={"pit": (1, 1), "dent": (1, 1)}))
    found = page.get("/line/counts").json()
    assert found["verdicts"] == {"accept": 1, "warn": 1, "reject": 2, "error": 0}
    assert found["labels"] == {"pit": 2, "dent": 1}
    assert [(hour["from_ms"], hour["parts"], hour["reject"]) for hour in found["hours"]] == \
        [(NOON, 3, 2), (NOON + HOUR, 1, 0)]
    assert page.get(f"/line/counts?since_ms={NOON + HOUR}").json()["verdicts"]["warn"] == 1


def test_info_names_the_line_its_sources_and_the_classes_that_were_found(page):
    page.add(part(0, "reject", found={"pit": (3, 1), "dent": (1, 1)}), part(1, "reject", found={"pit": (3, 1)}))
    page.archive.add([part(2, line="another", found={"burr": (1, 1)})])
    assert page.get("/line/info").json() == {"line": "press", "sources": ["camera"], "labels": ["dent", "pit"]}
    assert page.get("/line/status").json() == {}
    (page.folder / "state" / "status.json").write_text('{"line": "press"}')
    assert page.get("/line/status").json() == {"line": "press"}


def test_one_part_is_told_with_measurements_and_regions_and_its_picture(page):
    page.add(page.defect(1, part="17", lot="A", measurements=({"label": "scratch", "length_mm": 3.5},)))
    found = page.get(f"/line/part/{key(1)}").json()
    assert (found["part"], found["lot"], found["verdict"], found["sent"]) == ("17", "A", "reject", "")
    assert found["measurements"] == [{"label": "scratch", "length_mm": 3.5}]
    assert found["regions"]["size"] == [24, 40] and len(found["regions"]["rle"]) == 2
    picture = page.get(f"/line/picture/{key(1)}")
    assert picture.content == photograph(1, defect=True) and picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in picture.headers["content-security-policy"]


def test_a_picture_that_browsers_cannot_read_comes_as_jpeg(page):
    kept = io.BytesIO()
    Image.fromarray(np.full((8, 12, 3), 90, np.uint8)).save(kept, "TIFF")
    page.add(part(1, picture=page.keep("1.tif", kept.getvalue())), part(2, picture=page.keep("2.tif", b"no image")))
    answer = page.get(f"/line/picture/{key(1)}")
    assert answer.headers["content-type"] == "image/jpeg" and Image.open(io.BytesIO(answer.content)).size == (12, 8)
    assert page.get(f"/line/picture/{key(2)}").status_code == 404


@pytest.mark.parametrize("picture", ["", "gone.png", "../archive.sqlite", "/etc/passwd"])
def test_a_picture_that_is_not_kept_or_lies_elsewhere_is_not_told(page, picture):
    page.add(part(1, picture=picture))
    answer = page.get(f"/line/picture/{key(1)}")
    assert answer.status_code == 404 and answer.json()["error"] == "the picture of this part is not kept"


@pytest.mark.parametrize("path", [
    f"/line/part/{key(2)}", f"/line/part/{key(10).upper()}", "/line/part/", "/line/part/..%2f..", "/line/picture/x",
    "/line/nothing", "/line/info/x", "/elsewhere", "/page/app.js.map", "/page/../settings.py", "/line/files/line.py",
    "/line/files/none.js", f"/line/part/{key(9)}"])
def test_what_is_not_there_is_not_found(page, path):
    page.add(part(1))
    page.archive.add([part(9, line="another")])
    assert page.get(path).status_code == 404


def test_the_page_and_its_files_are_there_and_may_not_be_framed(page):
    assert page.get("/").headers["location"] == "line"
    html = page.get("/line")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in html.headers["content-security-policy"]
    for path in ("/page/style.css", "/page/words.js", "/page/service.js", "/page/masks.js", "/line/files/line.js",
                 "/line/files/list.js", "/line/files/line.css"):
        assert page.get(path).status_code == 200, path


class Listening:
    """A reader of news in a thread."""

    def __init__(self, page, after: int):
        self.found, self.begun, self.page, self.after = [], threading.Event(), page, after
        threading.Thread(target=self._read, daemon=True).start()
        assert self.begun.wait(20)

    def _read(self):
        with httpx.stream("GET", f"{self.page.url}/line/events?after_id={self.after}", timeout=30,
                          trust_env=False) as answer:
            self.begun.set()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.found += [item["name"] for item in json.loads(line[6:])]


def test_parts_are_told_as_they_come_and_what_came_before_too(page):
    page.add(part(0), part(1))
    heard = Listening(page, after=1)
    until_so(lambda: heard.found == ["1.png"])
    page.add(part(2), part(3))
    until_so(lambda: heard.found == ["1.png", "2.png", "3.png"])


def test_who_was_away_hears_the_last_fifty_in_order(page):
    page.add(*[part(number) for number in range(60)])
    heard = Listening(page, after=0)
    until_so(lambda: len(heard.found) == 50)
    assert heard.found == [f"{number}.png" for number in range(10, 60)]


def test_news_are_asked_for_by_number_and_not_by_too_many(page, monkeypatch):
    assert page.get("/line/events").status_code == 400
    monkeypatch.setattr(page_module, "MOST_LISTENERS", 1)
    Listening(page, after=0)
    answer = page.get("/line/events?after_id=0")
    assert answer.status_code == 503 and answer.json()["error"] == "1 pages listen already"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Host": "[::"}])
def test_the_page_of_another_site_is_refused(page, headers):
    page.add(page.defect(1))
    for method, path in (("GET", "/line/parts"), ("POST", f"/line/label/{key(1)}")):
        assert page.client.request(method, path, headers=headers).status_code == 403
    assert not (page.folder / "state" / "collected").exists()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:80", socket.gethostname().upper()])
def test_the_machine_is_asked_by_its_addresses_and_its_name(page, host):
    assert page.get("/line/parts", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


def test_a_token_is_wanted_for_all_but_the_page_itself(tmp_path):
    with opened(tmp_path, token="s3cret") as page:
        page.add(part(1))
        assert page.get("/line").status_code == page.get("/page/style.css").status_code == 200
        for path in ("info", "status", "parts", "counts", "events?after_id=0", f"part/{key(1)}", f"picture/{key(1)}",
                     "export.csv", "export.parquet"):
            assert page.get(f"/line/{path}").status_code == 401, path
        assert page.client.post(f"/line/label/{key(1)}").status_code == 401
        good = {"Authorization": "Bearer s3cret", "Host": "line.plant.example"}
        assert numbers(page.get("/line/parts", headers=good)) == ["1.png"]


def test_an_archive_that_does_not_answer_is_said(page):
    page.archive.engine.dispose()
    (page.folder / "state" / "archive.sqlite").write_bytes(b"no database, but of some length: " + bytes(8192))
    for suffix in ("-wal", "-shm"):
        (page.folder / "state" / f"archive.sqlite{suffix}").unlink(missing_ok=True)
    answer = page.get("/line/parts")
    assert answer.status_code == 503 and answer.json()["error"] == "the archive does not answer"


def test_other_methods_and_posts_elsewhere_are_refused(page):
    assert page.client.put("/line/parts").status_code == 501
    assert page.client.post("/line/parts").status_code == 404
    assert page.client.post("/line/label/none").status_code == 404


def test_a_line_serves_its_page_and_tells_what_comes(tmp_path, service):
    port = free_port()
    with Process(yaml_of(tmp_path, service, f"page: {{port: {port}}}\n")) as line:
        until_so(lambda: "runs" in line.log.read_text())
        url = f"http://127.0.0.1:{port}/line"
        with httpx.stream("GET", f"{url}/events?after_id=0", timeout=30, trust_env=False) as news:
            (tmp_path / "in" / "a.png").write_bytes(photograph(1, defect=True))
            told = next(line for line in news.iter_lines() if line.startswith("data: "))
        assert [(item["name"], item["verdict"]) for item in json.loads(told[6:])] == [("a.png", "reject")]
        until_so(lambda: httpx.get(f"{url}/status", trust_env=False).json()["parts"] == 1)
        line.kill(15)
        assert line.status == 0


def test_settings_say_where_the_page_is_and_no_port_is_given_twice(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "line.yaml"
    path.write_text("line: a\nstate: s\nsources:\n  - {type: http, name: b, port: 8896}\npage: {}\n"
                    "sinks:\n  - {type: opcua, name: c, port: 8896}\n")
    with pytest.raises(ConfigError, match=r"line 4: sources\[0\].port is 8896, as another's") as caught:
        read_settings(path)
    assert "line 7: sinks[0].port is 8896" in str(caught.value)
    path.write_text("line: a\nstate: s\nsources: [{type: http, name: b, port: 8897}]\n"
                    "page: {collected: there, token: x}\n")
    with pytest.raises(ConfigError, match="line 4: page.token is written in the file"):
        read_settings(path)
    path.write_text(path.read_text().replace(", token: x", ""))
    found = read_settings(path)
    assert (found.page.host, found.page.port, found.collected) == ("127.0.0.1", 8896, tmp_path / "there")
    assert LineSettings(line="a", state=tmp_path, sources=(), page=PageSettings()).collected == tmp_path / "collected"


def test_a_port_that_is_taken_ends_the_line(tmp_path, service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yaml = yaml_of(tmp_path, service, f"page: {{port: {taken.getsockname()[1]}}}\n")
        with Process(yaml) as line:
            assert line.wait() != 0 and "page cannot listen on" in line.log.read_text()
