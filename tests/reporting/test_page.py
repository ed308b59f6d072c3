"""ss_poc.reporting.page: the page stands alone and says what the run's files say; runs are compared image by image."""

from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import stage

from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import write_csv, write_json
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import RLE_COLUMNS, RunPaths, read_run
from ss_poc.reporting.page import compare


@pytest.fixture(scope="module")
def page(run, labelled) -> str:
    stage("report", "--img_dir_name", "tiny", cwd=labelled.parent)
    return (run.valid / "report.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Attributes that load something, and unclosed elements."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.cards: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if values.get("class") == "card":
            self.cards.append(values)
        if tag not in ("meta", "link", "img", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"


def test_page_loads_nothing_from_anywhere(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert all(value.startswith(("data:", "#")) for value in tags.loads), [v[:60] for v in tags.loads]
    assert "default-src 'none'" in page and not re.search(r"url\(\s*['\"]?https?:", page)


def test_page_shows_every_validation_image_with_its_classes(page, run):
    tags = Tags()
    tags.feed(page)
    names = read_run(run)["split"]["valid"]
    assert len(tags.cards) == len(names) and all(html.escape(name) in page for name in names)
    for card in tags.cards:
        assert set(json.loads(card["data-labels"])) <= {"scratch", "pit"}
        assert card["data-kind"] in ("missed", "false alarm", "partly", "found", "clean, right")
    assert page.count("data:image/jpeg") >= 3 * len(names)


def test_page_has_the_scores_of_the_run(page, run):
    scores = read_run(run)["scores"]
    for label in ("scratch", "pit"):
        row = page[page.index(f"</i>{label}</td>"):].split("</tr>")[0]
        assert f"{scores['iou'][label]:.3f}" in row and f"{scores['dice'][label]:.3f}" in row
        assert f"{scores['dice_plain'][label]:.3f}" in row
    chosen = read_run(run)["operating"]["chosen"]
    assert f"{chosen['false_alarms']} of {chosen['clean']}" in page


def test_page_tells_how_to_repeat_the_run(page, run):
    command = html.unescape(page[page.index("python -m ss_poc.train"):].split("\n")[0])
    assert "--img_path tiny" in command and "--batch_size 4" in command and "--encoder compact24" in command
    for name in ("export", "post_processing", "optimise", "report"):
        assert f"python -m ss_poc.{name}" in page


def test_page_says_whether_photographs_of_one_part_stayed_together(page, run, labelled, tmp_path):
    assert "each photograph by itself" in page and "--group" in page
    shutil.copytree(run.folder, tmp_path / "tiny" / "segment" / "v_1")
    paths = RunPaths(tmp_path, "tiny", "v_1")
    written = read_run(paths)
    written["config"]["group"] = "^[^_<]+"
    written["data"] |= {"img_path": str(labelled), "json_path": str(labelled / ".exports" / "coco-1.json")}
    write_json(paths.run_json, written)
    stage("report", "--img_dir_name", "tiny", "--result", str(tmp_path), cwd=labelled.parent)
    grouped = (paths.valid / "report.html").read_text(encoding="utf-8")
    assert "<code>^[^_&lt;]+</code>" in grouped and "each photograph by itself" not in grouped


def test_names_from_the_data_cannot_become_markup(run, labelled, tmp_path):
    """A class is called like a tag: it must be shown, not obeyed."""
    shutil.copytree(labelled, tmp_path / "tiny")
    shutil.copytree(run.result, tmp_path / "result")
    for path in [*(tmp_path / "tiny" / ".exports").glob("*.json"), *(tmp_path / "result").rglob("*.json"),
                 *(tmp_path / "result").rglob("*.csv")]:
        path.write_text(path.read_text().replace("scratch", "<script>alert(1)</script>"))
    written = tmp_path / "result" / "tiny" / "segment" / "v_1" / "run.json"
    found = json.loads(written.read_text())
    found["data"] = {**found["data"], "img_path": str(tmp_path / "tiny"),
                     "json_path": str(tmp_path / "tiny" / ".exports" / "coco-1.json")}
    write_json(written, found)
    stage("report", "--img_dir_name", "tiny", cwd=tmp_path)
    made = (tmp_path / "result/tiny/segment/v_1/valid/report.html").read_text()
    assert "<script>alert" not in made and "&lt;script&gt;alert(1)" in made


def test_report_before_the_search_says_what_is_missing(run, tmp_path):
    folder = tmp_path / "result/tiny/segment/v_1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(run.run_json.read_bytes())
    done = stage("report", "--img_dir_name", "tiny", cwd=tmp_path, check=False)
    assert done.returncode == 1 and "missing" in done.stderr


# --- runs side by side


def run_of(root, name: str, predictions: list[np.ndarray], truths: list[np.ndarray], **config) -> RunPaths:
    """A run of one class whose search marked these masks, 4x6 each."""
    paths = RunPaths(root, "hand", name)
    paths.valid.mkdir(parents=True)
    write_json(paths.run_json, {"config": {"lr": 0.001, **config}, "versions": {"python": "3"}, "engine": "openvino",
                                "data": {"labels": ["pit"], "fingerprint": "f" * 64, "images": 9}})
    for kind, masks in (("true", truths), ("pred", predictions)):
        write_csv(paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS,
                  [(f"{number}.png", "pit", 4, 6, encode_rle(mask)["counts"]) for number, mask in enumerate(masks)])
    return paths


def plane(pixels: int) -> np.ndarray:
    return (np.arange(24) < pixels).reshape(4, 6)


def test_runs_are_compared_on_settings_and_scores(tmp_path):
    truths = [plane(12)] * 20
    worse = run_of(tmp_path, "v_1", [plane(6)] * 20, truths)
    better = run_of(tmp_path, "v_2", [plane(12)] * 20, truths, lr=0.002)
    text = compare([worse, better])
    assert "lr: hand/v_1 0.001, hand/v_2 0.002" in text and "python" not in text.split("scores on")[0].split("\n", 2)[2]
    assert "scores on the 20 images" in text
    # 6 of 12 pixels: Dice 12 / 18, IoU 6 / 12; every sample of the images says the same
    assert "hand/v_1 0.667   hand/v_2 1.000 (+0.333, +0.333 to +0.333: better)" in text
    assert "hand/v_1 0.500   hand/v_2 1.000 (+0.500, +0.500 to +0.500: better)" in text


def test_a_difference_on_one_image_is_not_sure(tmp_path):
    truths = [plane(12)] * 20
    first = run_of(tmp_path, "v_1", [plane(12)] * 20, truths)
    second = run_of(tmp_path, "v_2", [plane(11)] + [plane(12)] * 19, truths)
    assert "no sure difference" in compare([first, second]) and "worse" not in compare([first, second])


def test_only_images_that_all_validate_are_compared(tmp_path):
    first = run_of(tmp_path, "v_1", [plane(3)] * 4, [plane(3)] * 4)
    second = run_of(tmp_path, "v_2", [plane(3)] * 2, [plane(3)] * 2)
    assert "scores on the 2 images" in compare([first, second])


def test_what_cannot_be_compared_is_said(tmp_path, run):
    only = run_of(tmp_path, "v_1", [plane(3)], [plane(3)])
    with pytest.raises(ArtifactError, match="1 run named"):
        compare([only])
    with pytest.raises(ArtifactError, match="other classes"):
        compare([only, run])


def test_compare_is_a_command(run, labelled):
    folder = str(run.folder)
    done = stage("report", "compare", folder, folder, cwd=labelled.parent)
    assert "what differs\n  nothing" in done.stdout and "no sure difference" in done.stdout
    done = stage("report", "compare", str(labelled), folder, cwd=labelled.parent, check=False)
    assert done.returncode == 1 and "no folder of a run" in done.stderr
