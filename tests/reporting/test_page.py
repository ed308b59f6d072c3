"""ss_poc.reporting.page: the page stands alone and says what the run's files say."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from conftest import stage

from ss_poc.core.files import write_json
from ss_poc.core.run import Run, RunPaths, read_run, update_run
from ss_poc.core.text_table import counted
from ss_poc.data.workpieces import Repeated
from ss_poc.reporting import page as page_module


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
    assert "mean IoU to expect on workpieces that the training never saw; all pixels" in grouped
    assert "mean IoU to expect on other photographs; all pixels" in page
    assert "Scores are for photographs like these" in page
    assert "<code>^[^_&lt;]+</code>" in grouped and "each photograph by itself" not in grouped


@pytest.fixture
def copied(run, labelled, tmp_path) -> RunPaths:
    """A copy of the run whose report may be made anew."""
    shutil.copytree(run.folder, tmp_path / "tiny" / "segment" / "v_1")
    paths = RunPaths(tmp_path, "tiny", "v_1")
    data = read_run(paths)["data"]
    update_run(paths, data={**data, "img_path": str(labelled), "json_path": str(labelled / ".exports/coco-1.json")})
    return paths


def test_page_says_how_far_probabilities_may_be_believed(copied, labelled):
    operating, believed = read_run(copied)["operating"], {
        "factor": 0.5, "offset": 1.0, "before": 0.3214, "after": 0.0412, "chance": 0.0551, "chance_high": 0.1009,
        "images": 24}
    update_run(copied, operating={**operating, "probability": believed},
               calibration={"before": 0.0345, "after": 0.0012, "classes": {}})
    write_json(copied.operating_point, {**operating["chosen"], "probability": {"factor": 0.5, "offset": 1.0}})
    stage("report", "--img_dir_name", "tiny", "--result", str(copied.result), cwd=labelled.parent)
    made = (copied.valid / "report.html").read_text(encoding="utf-8")
    table = re.sub(r"<[^>]+>", " ", made[made.index("May a probability be believed?"):].split("</section>")[0])
    assert "of a pixel 0.0345 0.0012 –" in " ".join(table.split())
    assert "of a defect on a photograph 0.321 0.041 0.055, at most 0.101" in " ".join(table.split())
    assert "of 100 photographs given 0.9, about 90 have one" in table and "24 photographs are few" in table
    assert len(re.findall(r"probability of a defect 0\.\d\d", made)) == len(read_run(copied)["split"]["valid"])


@pytest.mark.parametrize(("after", "said"), [(0.031, True), (0.001, False)])
def test_a_probability_that_is_no_nearer_to_right_than_before_is_explained(after, said):
    folder = Path(page_module.__file__).parent / "templates"
    template = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined)
    believed = {"before": 0.002, "after": after, "chance": 0.05, "chance_high": 0.09, "images": 32}
    made = template.get_template("belief.html").render(run=Run(), believed=believed, counted=counted)
    assert ("no nearer to right than before" in made) == said and "<td>of a pixel</td>" not in made


def test_page_says_why_there_is_no_probability_of_a_defect(page, run):
    assert f"no probability of a defect beside the verdict: {read_run(run)['operating']['probability']['why']}." in page


def test_page_of_a_run_that_an_earlier_version_searched_says_nothing_of_it(copied, labelled):
    operating = read_run(copied)["operating"]
    update_run(copied, operating={name: operating[name] for name in ("chosen", "curve")}, calibration={})
    stage("report", "--img_dir_name", "tiny", "--result", str(copied.result), cwd=labelled.parent)
    made = (copied.valid / "report.html").read_text(encoding="utf-8")
    assert "May a probability be believed?" not in made and "probability of a defect" not in made


def test_suspected_workpieces_stand_in_the_first_screen_with_the_flag_and_pictures(run, labelled, page, tmp_path):
    shutil.copytree(run.folder, tmp_path / "tiny" / "segment" / "v_1")
    paths = RunPaths(tmp_path, "tiny", "v_1")
    written = read_run(paths)
    assert written["workpieces"] == {"repeated": None, "against_group": []}  # each picture of the tiny set is another
    found = Repeated("names", "^<([^_]+)", 3, 4, 24, 2, 0.0, (("00.png", "01.png"), ("02.png", "03.png")))
    written["workpieces"] = {"repeated": asdict(found), "against_group": []}
    written["data"] |= {"img_path": str(labelled), "json_path": str(labelled / ".exports" / "coco-1.json")}
    write_json(paths.run_json, written)
    stage("report", "--img_dir_name", "tiny", "--result", str(tmp_path), cwd=labelled.parent)
    warned = (paths.valid / "report.html").read_text(encoding="utf-8")
    first = html.unescape(warned[:warned.index('<section id="scores">')])
    assert "<code>--group '^<([^_]+)'</code>" in first and '<img class="pieces" src="data:image/jpeg' in first
    assert "4 of 24 photographs seem to show 2 workpieces more than once" in first
    assert "Scores are for photographs like these" not in first
    tags = Tags()
    tags.feed(warned)
    assert not tags.open


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
