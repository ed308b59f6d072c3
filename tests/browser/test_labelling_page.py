"""Labelling without Docker, as a person does it: Label Studio in a browser, export, training, proposals of a service.

The pictures of docs/labelling.md come from here, with photographs of the demo set instead of tiny ones:

    SS_POC_PICTURES=docs/images .venv/bin/python -m pytest -m '' tests/browser/test_labelling_page.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clones import clone_into
from conftest import stage
from label_studio_page import Canvas, Site, corners, filled, iou, middle_line, near

from ss_poc.core.files import write_json
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import find_json
from ss_poc.data.dataset import Dataset, Sample, load_coco
from ss_poc.labelling.exports import document, read_document
from ss_poc.labelling.folder import keep_labels
from ss_poc.labelling.model import Image, Region

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURES = os.environ.get("SS_POC_PICTURES")
COUNT = 8


class Material:
    """Photographs whose labels are known, and a model trained on photographs like them.

    `photos` are the first ones: those to draw on come first, a clean one third.
    """

    def __init__(self, dataset: Dataset, run: Path, bento: Path) -> None:
        self.labels, self.run, self.bento = dataset.labels, run, bento
        alone = {label: [sample for sample in dataset.samples if sample.classes == {number}]
                 for number, label in enumerate(dataset.labels)}
        self.polygon_label, self.brush_label = ("stain", "scratch") if "stain" in alone else ("pit", "scratch")
        self.polygon_photo, self.brush_photo = alone[self.polygon_label][0], alone[self.brush_label][0]
        clean = next(sample for sample in dataset.samples if not sample.classes)
        shown = alone[self.polygon_label][1:4] + alone[self.brush_label][1:3]
        self.photos = [self.polygon_photo, self.brush_photo, clean, *shown]

    def mask(self, sample: Sample, label: str) -> np.ndarray:
        """(H, W) bool of a label on a photograph."""
        return sample.mask(len(self.labels))[..., self.labels.index(label)]


@pytest.fixture(scope="module")
def material(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Material:
    if not PICTURES:
        labelled, run = request.getfixturevalue("labelled"), request.getfixturevalue("run")
        return Material(load_coco(find_json(labelled), labelled), run.folder, request.getfixturevalue("bento"))
    here, names = tmp_path_factory.mktemp("demo"), ("--img_dir_name", "photos", "--model_name", "v_1")
    stage("demo", "--out", "demo", cwd=here)
    stage("train", "--img_path", "demo", "--budget", "3m", *names, cwd=here)
    for name in ("export", "post_processing", "bento_deploy"):
        stage(name, *names, cwd=here)
    return Material(load_coco(find_json(here / "demo"), here / "demo"), here / "result/photos/segment/v_1",
                    here / "deploy/KerasSegmentationService/segment/v_1")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = clone_into(tmp_path_factory.mktemp("site") / "ss poc", ".venv", ".venv-serve", ".venv-annotate")
    found = Site(folder)
    yield found
    for script in ("annotator.sh", "server.sh"):
        subprocess.run(["sh", script, "stop"], cwd=folder, capture_output=True, timeout=90, env=found.environment)


@pytest.fixture(scope="module")
def started(site: Site, material: Material) -> str:
    """Label Studio runs, and has photographs; what `start` said."""
    said = site.run("annotator.sh")
    assert "photos: " in site.run("annotator.sh", "new", "photos", "--labels", ",".join(material.labels))
    for sample in material.photos:
        shutil.copy(sample.path, site.photos)
    assert f"{COUNT} photographs" in site.run("annotator.sh", "scan", "photos")
    return said


@pytest.fixture(scope="module")
def page(browser: Any, site: Site, started: str) -> Iterator[Any]:
    """A browser that has logged in with what `start` showed, and every address it asked."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(120_000)  # where others use the cores, Label Studio takes its time
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(site.address)
    picture(page, "login")
    page.fill("input[name=email]", said_after("log in as", started))
    page.fill("input[name=password]", said_after("password", started))
    page.keyboard.press("Enter")
    page.get_by_text("Recent Projects").wait_for()
    yield page
    context.close()


def said_after(words: str, text: str) -> str:
    return re.search(rf"^{words} +(\S+)$", text, re.MULTILINE)[1]


def picture(page: Any, name: str) -> None:
    """A screenshot for docs/labelling.md."""
    if PICTURES:
        page.wait_for_timeout(1000)
        page.screenshot(path=f"{PICTURES}/labelling-{name}.png")


def test_start_says_where_and_as_whom_once_and_asks_nobody_else(site, started):
    assert f"label at   {site.address}/" in started and said_after("log in as", started) == "admin@localhost.local"
    assert said_after("password", started) == site.account()["ANNOTATOR_PASSWORD"]
    account = site.folder / "coco-annotator/.annotator/account"
    assert account.stat().st_mode & 0o077 == 0
    again = site.run("annotator.sh")
    assert "label-studio runs already" in again and "password" not in again
    assert "label-studio runs" in site.run("annotator.sh", "status")


def test_only_this_machine_may_ask_unless_it_is_told_otherwise(site, started):
    listening = f"0100007F:{int(site.environment['ANNOTATOR_PORT']):04X}"
    places = {line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"}
    assert listening in places and f"00000000:{listening[9:]}" not in places


def test_nothing_labelled_is_no_export(site, started):
    said = site.run("annotator.sh", "export", "photos", code=1)
    assert "no labelled region yet" in said and [*site.photos.glob(".exports/*")] == []


@pytest.fixture(scope="module")
def drawn(page: Any, site: Site, material: Material) -> dict[str, Any]:
    """A polygon on one photograph, a brush stroke on another, a third one clean: what was drawn."""
    page.goto(site.address)
    page.get_by_text("photos", exact=True).first.click()
    page.get_by_text("Label All Tasks").wait_for()
    picture(page, "project")
    canvas = Canvas(page, site, material.polygon_photo)
    outline = corners(material.mask(material.polygon_photo, material.polygon_label))
    mask = canvas.polygon(material.polygon_label, outline)
    picture(page, "polygon")
    canvas.submit()
    canvas = Canvas(page, site, material.brush_photo)
    line = middle_line(material.mask(material.brush_photo, material.brush_label))
    stroke = canvas.stroke(material.brush_label, line)
    picture(page, "brush")
    canvas.submit()
    Canvas(page, site, material.photos[2]).submit()
    return {"mask": mask, "stroke": stroke}


def test_what_a_person_drew_is_what_training_reads(site, material, drawn, page):
    said = site.run("annotator.sh", "export", "photos")
    assert said.startswith("3 photographs (1 clean), 2 regions → coco-annotator/datasets/photos/.exports/coco-")
    assert f"; {COUNT - 3} not labelled yet" in said
    dataset = load_coco(find_json(site.photos), site.photos)
    by_name = {sample.name: sample for sample in dataset.samples}
    assert dataset.labels == tuple(label for label in material.labels
                                   if label in (material.polygon_label, material.brush_label))
    polygon = by_name[material.polygon_photo.path.name].mask(2)[..., dataset.labels.index(material.polygon_label)]
    assert iou(polygon, drawn["mask"]) >= 0.99
    brush = by_name[material.brush_photo.path.name].mask(2)[..., dataset.labels.index(material.brush_label)]
    assert all(brush[int(y), int(x)] for x, y in drawn["stroke"][1:-1])  # its ends are round
    assert not (brush & ~near(drawn["stroke"], brush.shape)).any()
    found = json.loads(find_json(site.photos).read_text())
    kinds = {type(item["segmentation"]) for item in found["annotations"]}
    assert kinds == {list, dict}  # polygons from polygons, RLE from brushes
    assert by_name[material.photos[2].path.name].regions == ()
    assert {url for url in page.asked if not url.startswith((site.address, "blob:", "data:"))} == set()


def test_ids_and_colours_stay_from_one_export_to_the_next(site, drawn):
    site.run("annotator.sh", "export", "photos")
    first, second = (json.loads(path.read_text()) for path in sorted(site.photos.glob(".exports/*.json"))[-2:])
    assert first["categories"] == second["categories"]
    assert [item["id"] for item in first["annotations"]] == [item["id"] for item in second["annotations"]]


def test_it_is_trained_on_and_newer_labels_are_pointed_out(site, drawn):
    said = site.run("trainer.sh", "--img_path", "coco-annotator/datasets/photos", "--epoch", "1", "--size", "64x96",
                    "--encoder", "compact16", "--valid", "0.34")
    assert "labelled since the last export" not in said
    assert (site.folder / "result/photos/segment/v_1/run.json").is_file()
    assert (site.folder / "deploy/KerasSegmentationService/segment/v_1/bento.yaml").is_file()


def test_a_service_that_runs_proposes_regions_in_the_browser(site, material, page, drawn):
    served = site.folder / "deploy/KerasSegmentationService/segment/v_2"
    shutil.copytree(material.bento, served, symlinks=True)
    site.run("server.sh", service_version="v_2")
    shutil.copytree(site.photos, site.photos.parent / "more", ignore=shutil.ignore_patterns(".*"))
    said = site.run("annotator.sh", "new", "more", "--labels", ",".join(material.labels))
    assert f"; {COUNT} photographs → " in said
    Canvas(page, site, material.photos[3], "more")
    page.locator(".lsf-outliner-item, .lsf-tree__node").filter(has_text=material.polygon_label).first.wait_for()
    picture(page, "assist")


def test_proposals_are_shown_on_the_photographs_worth_most(site, material, page, drawn):
    shutil.copytree(material.run, site.folder / "result/photos/segment/v_2")
    said = site.run("annotator.sh", "propose", "photos", "3", "v_2")
    assert re.search(r"photos: proposals on [1-3] photographs?", said)
    named = re.findall(r"^  (\S+)$", said, re.MULTILINE)[-3:]
    assert not set(named) & {sample.path.name for sample in material.photos[:3]}
    again = site.run("annotator.sh", "propose", "photos", "3", "v_2")
    assert re.findall(r"^  (\S+)$", again, re.MULTILINE)[-3:] == named
    proposed = site.ask("predictions/", project=1)
    assert 1 <= len(proposed) <= 3 and {item["model_version"] for item in proposed} == {"photos v_2"}


def test_regions_that_go_in_come_out(site, material, started):
    """Polygons and brush masks through Label Studio itself."""
    sample = material.photos[3]
    shutil.copytree(site.photos, site.photos.parent / "round", ignore=shutil.ignore_patterns(".*"))
    site.run("annotator.sh", "new", "round", "--labels", ",".join(material.labels))
    mask = np.zeros(sample.size_hw, bool)
    mask[5:40, 7:60], mask[10:20, 15:40] = True, False
    outline = [10.25, 8.5, 50.75, 12.0, 33.3, 41.9]
    images = [Image(sample.path.name, sample.size_hw, (Region(material.polygon_label, [outline]),
                                                       Region(material.brush_label, encode_rle(mask)))),
              Image(material.photos[4].path.name, sample.size_hw, (Region(material.polygon_label, [outline]),))]
    categories = keep_labels(site.photos.parent / "round", dict.fromkeys(material.labels, ""))
    write_json(site.folder / "given.json", document(site.photos, categories, images))
    assert site.drive("from ss_poc.labelling.exports import read_document\n"
                      "images = read_document(Path(sys.argv[3]))\n"
                      "print([driver().load('round', images) for _ in range(2)])", "given.json") == "[2, 0]\n"
    site.run("annotator.sh", "export", "round")
    dataset = load_coco(find_json(site.photos.parent / "round"), site.photos.parent / "round")
    found = {item.name: item for item in dataset.samples}[sample.path.name].mask(len(dataset.labels))
    np.testing.assert_array_equal(found[..., dataset.labels.index(material.brush_label)], mask)
    wanted = filled([(10.25, 8.5), (50.75, 12.0), (33.3, 41.9)], sample.size_hw)
    assert iou(found[..., dataset.labels.index(material.polygon_label)], wanted) >= 0.99


def test_labels_survive_a_kill_and_come_back_from_a_backup(site, material, drawn):
    before = {image.name: len(image.regions) for image in read_document(find_json(site.photos))}
    said = site.run("annotator.sh", "backup")
    file = re.search(r"^(annotator-\S+\.tar\.gz) holds all labels", said, re.MULTILINE)[1]
    assert (site.folder / file).stat().st_mode & 0o077 == 0
    os.kill(int((site.folder / "coco-annotator/.annotator/pid").read_text()), 9)
    assert "does not run" in site.run("annotator.sh", "export", "photos", code=1)
    site.run("annotator.sh")
    site.run("annotator.sh", "export", "photos")
    assert {image.name: len(image.regions) for image in read_document(find_json(site.photos))} == before
    assert "stopped label-studio" in site.run("annotator.sh", "stop")
    shutil.rmtree(site.folder / "coco-annotator/.annotator/label-studio")
    assert "restored" in site.run("annotator.sh", "restore", file)
    site.run("annotator.sh")
    site.run("annotator.sh", "export", "photos")
    assert {image.name: len(image.regions) for image in read_document(find_json(site.photos))} == before


def test_an_export_while_another_one_runs_leaves_two_whole_files(site, drawn):
    before = set(site.photos.glob(".exports/*"))
    command = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))", "sh",
               "annotator.sh", "export", "photos"]
    both = [subprocess.Popen(command, cwd=site.folder, env=site.environment, stdout=subprocess.DEVNULL)
            for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    new = set(site.photos.glob(".exports/*")) - before
    assert len(new) == 2 and all(len(read_document(path)) == 3 for path in new)


def test_readers_at_the_same_time_all_see_every_task(site, drawn):
    assert site.drive("from concurrent.futures import ThreadPoolExecutor\n"
                      "def count(_):\n    studio = driver()\n    return len(studio._tasks(studio._project('photos')))\n"
                      "with ThreadPoolExecutor(8) as readers: print(set(readers.map(count, range(160))))"
                      ) == f"{{{COUNT}}}\n"
