"""ss_poc.labelling.exports: exports are what training reads, whole, and never overwrite each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from coco_folder import save_noise

from ss_poc.core.errors import ArtifactError
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco
from ss_poc.labelling.exports import document, read_document, usable, write_export
from ss_poc.labelling.folder import keep_labels, new_folder
from ss_poc.labelling.model import Image, Region

SOURCE = Path(__file__).resolve().parents[2] / "src"
SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path, "photos")


def test_an_export_is_coco_that_training_reads_with_clean_photographs(folder):
    for name in ("a.png", "b.png", "c.png"):
        save_noise(folder / name, (4, 6), seed=ord(name[0]))
    mask = np.zeros((4, 6), bool)
    mask[0, 0] = mask[3, 5] = True
    images = [Image("a.png", (4, 6), (Region("scratch", SQUARE, "r1"), Region("pit", encode_rle(mask), "r2"))),
              Image("b.png", (4, 6), (Region("pit", SQUARE, "r3"),)), Image("c.png", (4, 6))]
    found = document(folder, keep_labels(folder, {"scratch": "#ff0000", "pit": "#00ff00"}), images)
    first, second, _ = found["annotations"]
    assert (first["area"], first["bbox"], first["category_id"], first["iscrowd"]) == (4, [1, 1, 2, 2], 1, False)
    assert (second["area"], second["bbox"]) == (2, [0, 0, 6, 4])
    assert found["images"][2]["num_annotations"] == 0 and found["images"][0]["path"] == "/datasets/photos/a.png"
    dataset = load_coco(write_export(folder, found), folder)
    assert dataset.labels == ("scratch", "pit") and dataset.colors == ("#ff0000", "#00ff00")
    a, b, c = dataset.samples
    np.testing.assert_array_equal(a.mask(2)[..., 1], mask)
    assert a.mask(2)[..., 0].sum() == 4 and b.classes == {1} and c.classes == frozenset()


def test_ids_of_regions_stay_when_others_come_and_go(folder):
    categories = keep_labels(folder, {"pit": "#00ff00"})

    def ids(*keys: str) -> dict[str, int]:
        image = Image("a.png", (4, 6), tuple(Region("pit", SQUARE, key) for key in keys))
        found = document(folder, categories, [image])["annotations"]
        return dict(zip(keys, (item["id"] for item in found), strict=True))

    before, after = ids("x", "y", "z"), ids("z", "w", "x")
    assert before["x"] == after["x"] and before["z"] == after["z"] and len({*before.values(), *after.values()}) == 4


def test_an_export_reads_back_as_what_was_labelled(folder):
    images = [Image("a.png", (4, 6), (Region("pit", SQUARE, "r"),)), Image("b.png", (4, 6))]
    path = write_export(folder, document(folder, keep_labels(folder, {"pit": "#00ff00"}), images))
    a, b = read_document(path)
    assert (a.name, a.size_hw, a.regions[0].label, a.regions[0].segmentation) == ("a.png", (4, 6), "pit", SQUARE)
    assert b.regions == ()
    path.write_text('{"images": [1]}')
    with pytest.raises(ArtifactError):
        read_document(path)


SQUARE_AND = [SQUARE[0], [64, 48, 66, 48]]


@pytest.mark.parametrize(("drawn", "kept"), [
    ([SQUARE], [SQUARE]), ([[[64, 48], *SQUARE]], [SQUARE]), ([SQUARE_AND], [SQUARE]), ([[[]]], []), ([[[64, 48]]], []),
    ([[]], []), ([SQUARE, [[1, 1]]], [SQUARE])])
def test_a_stray_click_costs_itself_alone_and_is_named(drawn, kept):
    images = [Image("a.png", (4, 6), tuple(Region("pit", given) for given in drawn)), Image("b.png", (4, 6))]
    found, left_out = usable(images)
    assert [[region.segmentation for region in image.regions] for image in found] == [kept, []]
    assert len(left_out) == (drawn != kept) and all(line.startswith("a.png, pit: ") for line in left_out)


def test_a_photograph_with_a_region_that_nobody_can_trust_is_left_out_whole():
    images = [Image("a.png", (4, 6), (Region("pit", SQUARE), Region("pit", [[1, 1, float("nan"), 1, 3, 3]]))),
              Image("b.png", (4, 6), (Region("pit", SQUARE),))]
    found, left_out = usable(images)
    assert found == images[1:] and left_out == [
        "a.png, pit: a polygon holds NaN or infinity; expected coordinates in pixels (polygon-not-finite)",
        "a.png: the photograph, as a region of it cannot be trusted"]


def test_two_users_who_export_at_once_have_two_whole_files(folder, monkeypatch):
    monkeypatch.setattr(time, "time", iter([1.5] * 20 + [float(number) for number in range(2, 60)]).__next__)
    with ThreadPoolExecutor(8) as pool:
        paths = [*pool.map(lambda number: write_export(folder, {"images": [number]}), range(8))]
    assert len(set(paths)) == 8
    assert sorted(json.loads(path.read_text())["images"][0] for path in paths) == list(range(8))


def test_a_full_disk_during_an_export_leaves_no_half_of_it(folder):
    earlier = write_export(folder, {"images": []})
    script = ("import resource, signal, sys\nfrom pathlib import Path\n"
              "from ss_poc.labelling.exports import write_export\n"
              "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
              "write_export(Path(sys.argv[1]), {'images': ['x' * 100] * 1000})")
    done = subprocess.run([sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": str(SOURCE)},
                          capture_output=True, text=True)
    assert done.returncode and "File too large" in done.stderr
    assert [path.name for path in (folder / ".exports").iterdir()] == [earlier.name] and find_json(folder) == earlier


def test_an_export_that_is_killed_leaves_nothing_training_would_read(folder):
    script = ("import json, sys, time\nfrom pathlib import Path\nfrom ss_poc.core import files\n"
              "from ss_poc.labelling import exports\n"
              "def slow(path, text):\n    file = path.open('w')\n    file.write(text[:10])\n    file.flush()\n"
              "    print('begun', flush=True)\n    time.sleep(60)\nfiles.write_text = slow\n"
              "exports.write_export(Path(sys.argv[1]), {'images': []})")
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ArtifactError, match="no COCO json"):
        find_json(folder)
