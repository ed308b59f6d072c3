"""annotator.py driving coco-annotator: a stand-in with its documented API answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from coco_annotator_server import CocoAnnotatorServer
from coco_folder import MIDDLE, box, picture_of, save_noise

from ss_poc.core.errors import AnnotatorError
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco
from ss_poc.formats.write_labels import write_labels
from ss_poc.labelling.cli import main
from ss_poc.labelling.coco_annotator import CocoAnnotator
from ss_poc.labelling.model import Image, Region

SOURCE = Path(__file__).resolve().parents[2] / "src"
LABELS = "scratch:#ff0000,pit:#00ff00"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CocoAnnotatorServer]:
    (tmp_path / "datasets").mkdir()
    found = CocoAnnotatorServer(tmp_path / "datasets")
    yield found
    found.close()


def command(server: CocoAnnotatorServer, *words: str, password: str = "secret") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ss_poc.annotator", "--tool", "coco-annotator", "--url", server.url,
                           "--datasets", str(server.datasets), *words], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(SOURCE), "ANNOTATOR_LOGIN": "admin",
                               "ANNOTATOR_PASSWORD": password})


def good(server: CocoAnnotatorServer, *words: str) -> str:
    done = command(server, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def photos(server: CocoAnnotatorServer) -> Path:
    """A data set with five photographs, made and scanned."""
    good(server, "new", "photos", "--labels", LABELS)
    folder = server.datasets / "photos"
    for number in range(5):
        save_noise(folder / f"{number}.png", (4, 6), number)
    assert "5 photographs" in good(server, "scan", "photos")
    return folder


def test_the_first_start_makes_the_account_and_later_ones_use_it(server):
    good(server, "new", "photos", "--labels", LABELS)
    assert server.users == {"admin": "secret"} and server.asked.count("POST /api/user/register") == 1
    good(server, "new", "photos", "--labels", LABELS)
    assert server.asked.count("POST /api/user/register") == 1
    wrong = command(server, "scan", "photos", password="wrong")
    assert wrong.returncode == 1 and "Could not authenticate user" in wrong.stderr
    assert server.users == {"admin": "secret"}


def test_new_makes_categories_once_and_adds_labels_to_what_is_there(server):
    good(server, "new", "photos", "--labels", LABELS)
    good(server, "new", "photos", "--labels", "pit,dent")
    good(server, "new", "other", "--labels", "pit")
    assert [item["name"] for item in server.categories] == ["scratch", "pit", "dent"]
    assert [item["color"] for item in server.categories][:2] == ["#ff0000", "#00ff00"]
    assert [(item["name"], item["categories"]) for item in server.sets] == [("photos", [1, 2, 3]), ("other", [2])]


def test_export_has_what_was_drawn_and_as_clean_what_was_only_looked_at(server, photos):
    server.draw("1.png", "pit", [box(1, 1, 4, 3)])
    server.draw("3.png", "scratch", [box(0, 0, 2, 1)])
    server.images[4]["milliseconds"] = 4000
    told = good(server, "export", "photos")
    assert told.startswith("3 photographs (1 clean), 2 regions → ") and "; 2 not labelled yet" in told
    dataset = load_coco(find_json(photos), photos)
    assert [sample.name for sample in dataset.samples] == ["1.png", "3.png", "4.png"]
    assert dataset.labels == ("scratch", "pit") and dataset.colors == ("#ff0000", "#00ff00")
    assert picture_of(dataset.samples[0].mask(2)[..., 1]) == MIDDLE


def here(server: CocoAnnotatorServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `main` is called with in this process."""
    monkeypatch.setenv("ANNOTATOR_LOGIN", "admin")
    monkeypatch.setenv("ANNOTATOR_PASSWORD", "secret")
    return ["--tool", "coco-annotator", "--url", server.url, "--datasets", str(server.datasets)]


def test_photographs_that_no_browser_shows_are_named_where_a_folder_is_scanned(server, monkeypatch, capsys):
    call = here(server, monkeypatch)
    main([*call, "new", "photos", "--labels", LABELS])
    folder = server.datasets / "photos"
    save_noise(folder / "a.png", (4, 6))
    (folder / ".proposals").mkdir()
    for name in ("b.TIF", "c.heic", "d.jfif", ".proposals/e.tif"):
        shutil.copy(folder / "a.png", folder / name)
    capsys.readouterr()
    main([*call, "scan", "photos"])
    assert capsys.readouterr().out.splitlines()[:2] == [
        "photos: 1 photograph", "left out, as a browser may not show it: 3 photographs, such as b.TIF"]


def test_stray_points_of_coco_annotator_are_left_out_named_and_no_change(server, photos, monkeypatch, capsys):
    """It adds them by itself, where somebody clicks twice."""
    server.draw("0.png", "pit", [[5, 3], box(1, 1, 4, 3)])
    server.draw("1.png", "pit", [box(1, 1, 4, 3), [5, 3, 5, 4]])
    server.draw("2.png", "pit", [[5, 3]])
    server.draw("3.png", "pit", [[]])
    call = here(server, monkeypatch)
    main([*call, "export", "photos"])
    told = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in told[:3]] == [
        ["left out", f"{number}.png, pit"] for number in (0, 1, 2)] and told[3].startswith("left out: 3.png, pit: ")
    assert told[4].startswith("4 photographs (2 clean), 2 regions → ")
    dataset = load_coco(find_json(photos), photos)
    assert [sample.mask(1)[..., 0].sum() for sample in dataset.samples] == [6, 6, 0, 0]
    assert main([*call, "changed", "photos"]) == 1


def test_changed_says_whether_there_are_labels_that_training_has_not(server, photos):
    server.draw("1.png", "pit", [box(1, 1, 4, 3)])
    changed = command(server, "changed", "photos")
    assert changed.returncode == 0 and changed.stdout == "photos: labelled since the last export: 1 photograph\n"
    good(server, "export", "photos")
    assert command(server, "changed", "photos").returncode == 1
    server.draw("1.png", "scratch", [box(0, 0, 2, 1)])
    assert command(server, "changed", "photos").returncode == 0


def test_nothing_labelled_yet_is_an_error_and_leaves_no_json(server, photos):
    done = command(server, "export", "photos")
    assert done.returncode == 1 and "has no labelled region yet (0 photographs done, 5 not)" in done.stderr
    assert [*(photos / ".exports").iterdir()] == []


def test_what_goes_in_comes_out(server, photos):
    driver = CocoAnnotator(server.url, "admin", "secret", server.datasets)
    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:4] = True
    images = [Image("0.png", (4, 6), (Region("pit", [box(0, 0, 2, 1), box(3, 2, 5, 4)]),)),
              Image("1.png", (4, 6), (Region("scratch", encode_rle(mask)),)), Image("2.png", (4, 6))]
    assert driver.load("photos", images) == 2 and driver.load("photos", images) == 2  # the second adds nothing
    labels, out, unlabelled = driver.export("photos")
    assert list(labels) == ["scratch", "pit"] and unlabelled == 3 and len(server.annotations) == 2
    assert out[0].regions[0].segmentation == [box(0, 0, 2, 1), box(3, 2, 5, 4)]
    good(server, "export", "photos")
    first, second = load_coco(find_json(photos), photos).samples
    assert first.mask(2)[..., 1].sum() == 6
    np.testing.assert_array_equal(second.mask(2)[..., 0], mask)


def test_import_puts_photographs_and_labels_where_they_can_be_edited_and_trained_on(server, tmp_path):
    source = tmp_path / "from elsewhere"
    save_noise(source / "a.png", (4, 6))
    (source / "labels.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}], "categories": [{"id": 7, "name": "dent"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "segmentation": [box(1, 1, 4, 3)]}]}))
    told = good(server, "import", "moved", str(source))
    assert told.startswith("moved: dent; 1 photograph (1 copied), 1 region; to train on them now: ")
    assert server.annotations[0]["segmentation"] == [box(1, 1, 4, 3)]
    (sample,) = load_coco(find_json(server.datasets / "moved"), server.datasets / "moved").samples
    assert picture_of(sample.mask(1)[..., 0]) == MIDDLE


def test_an_import_says_which_holes_coco_annotator_fills(server, tmp_path, monkeypatch, capsys):
    mask = np.zeros((4, 6), bool)
    mask[:3, :3] = True
    mask[1, 1] = False
    for number in range(2):
        save_noise(tmp_path / "photos" / f"{number}.png", (4, 6), number)
    images = [Image("0.png", (4, 6), (Region("pit", encode_rle(mask)),)), Image("1.png", (4, 6))]
    write_labels(tmp_path / "coco", "coco", {"pit": ""}, images, tmp_path / "photos")
    main([*here(server, monkeypatch), "import", "photos", str(tmp_path / "coco")])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == ("note: coco-annotator keeps outlines alone, so holes in regions are filled there: 1 photograph, "
                       "such as 0.png")
    (sample,) = [item for item in load_coco(find_json(server.datasets / "photos"), server.datasets / "photos").samples
                 if item.regions]
    np.testing.assert_array_equal(sample.mask(1)[..., 0], mask)  # the export that is written at once keeps them


def test_proposals_are_drawn_as_regions_to_correct(server, photos, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "2.png", "height": 4, "width": 6},
                   {"id": 2, "file_name": "3.png", "height": 4, "width": 6}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(1, 1, 4, 3)]}]}))
    told = good(server, "propose", "photos", str(tmp_path / "p.json"))
    assert "proposals on 1 photograph; nothing was found on 1; label these first:\n  2.png\n  3.png" in told
    assert server.annotations[0]["image_id"] == 3


def test_a_service_becomes_the_url_behind_annotate(server, photos):
    good(server, "assist", "photos", "--service", "http://127.0.0.1:8892/")
    assert server.sets[0]["annotate_url"] == "http://127.0.0.1:8892/predict" and server.sets[0]["categories"] == [1, 2]


def test_an_annotate_url_that_is_not_taken_is_said(server, photos, monkeypatch):
    monkeypatch.setattr(server, "new_url", lambda given, found: "")
    done = command(server, "assist", "photos", "--service", "http://127.0.0.1:8892/")
    assert done.returncode == 1 and "expected: http://127.0.0.1:8892/predict" in done.stderr


def test_an_annotator_that_is_gone_or_a_set_that_is_not_there_is_said(server, tmp_path):
    done = command(server, "export", "nothing")
    assert done.returncode == 1 and "coco-annotator has no data set nothing" in done.stderr
    with pytest.raises(AnnotatorError, match="does not answer at http://127.0.0.1:9"):
        CocoAnnotator("http://127.0.0.1:9", "a", "b", tmp_path)


def test_a_wrong_call_ends_with_2(server):
    assert command(server, "new", "photos").returncode == 2
    assert command(server, "new", "a/b", "--labels", "x").returncode == 2
    assert command(server, "draw", "photos").returncode == 2
