"""ss_poc.labelling.model: labels keep their ids, exports are whole and never overwrite each other."""

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
from PIL import Image as Picture

from ss_poc.core.errors import ArtifactError, ConfigError
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco
from ss_poc.labelling.model import (
    Image,
    Region,
    document,
    keep_labels,
    new_folder,
    parse_labels,
    photographs_of,
    read_document,
    upright_size,
    write_export,
)

SOURCE = Path(__file__).resolve().parents[2] / "src"
SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path, "photos")


def test_labels_get_colours_and_keep_those_they_name():
    labels = parse_labels(" scratch, pit:#00FF00 ,")
    assert list(labels) == ["scratch", "pit"] and labels["pit"] == "#00ff00"
    assert len(set(labels.values())) == 2


@pytest.mark.parametrize("text", ["", " , ", "a,a", "a:red", "a:#12345"])
def test_labels_that_cannot_be_are_refused(text):
    with pytest.raises(ConfigError):
        parse_labels(text)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(ConfigError):
        new_folder(tmp_path, name)


def test_a_label_keeps_its_id_whatever_comes_and_goes(folder):
    assert [(item["id"], item["name"]) for item in keep_labels(folder, {"scratch": "#ff0000", "pit": "#00ff00"})] == [
        (1, "scratch"), (2, "pit")]
    assert [item["id"] for item in keep_labels(folder, {"dent": "#0000ff", "pit": "#00ff00"})] == [3, 2]
    again = keep_labels(folder, {"pit": "", "scratch": "#aaaaaa"})
    assert [(item["id"], item["color"]) for item in again] == [(2, "#00ff00"), (1, "#aaaaaa")]


def test_photographs_are_those_a_browser_shows_without_hidden_ones(folder):
    for name in ("a.png", "sub/b.JPG", ".hidden.png", ".exports/c.png", "d.tif", "e.txt"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert [*photographs_of(folder)] == ["a.png", "sub/b.JPG"]


def test_a_turned_photograph_has_the_size_that_is_seen(folder):
    exif = Picture.Exif()
    exif[0x0112] = 6
    Picture.new("RGB", (8, 4)).save(folder / "a.jpg", exif=exif)
    assert upright_size(folder / "a.jpg") == (8, 4)
    save_noise(folder / "b.png", (4, 6))
    assert upright_size(folder / "b.png") == (4, 6)


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


def test_two_users_who_export_at_once_have_two_whole_files(folder, monkeypatch):
    monkeypatch.setattr(time, "time", iter([1.5] * 20 + [float(number) for number in range(2, 60)]).__next__)
    with ThreadPoolExecutor(8) as pool:
        paths = [*pool.map(lambda number: write_export(folder, {"images": [number]}), range(8))]
    assert len(set(paths)) == 8
    assert sorted(json.loads(path.read_text())["images"][0] for path in paths) == list(range(8))


def test_a_full_disk_during_an_export_leaves_no_half_of_it(folder):
    earlier = write_export(folder, {"images": []})
    script = ("import resource, signal, sys\nfrom pathlib import Path\n"
              "from ss_poc.labelling.model import write_export\n"
              "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
              "write_export(Path(sys.argv[1]), {'images': ['x' * 100] * 1000})")
    done = subprocess.run([sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": str(SOURCE)},
                          capture_output=True, text=True)
    assert done.returncode and "File too large" in done.stderr
    assert [path.name for path in (folder / ".exports").iterdir()] == [earlier.name] and find_json(folder) == earlier


def test_an_export_that_is_killed_leaves_nothing_training_would_read(folder):
    script = ("import json, sys, time\nfrom pathlib import Path\nfrom ss_poc.core import files\n"
              "from ss_poc.labelling import model as labelling\n"
              "def slow(path, text):\n    file = path.open('w')\n    file.write(text[:10])\n    file.flush()\n"
              "    print('begun', flush=True)\n    time.sleep(60)\nfiles.write_text = slow\n"
              "labelling.write_export(Path(sys.argv[1]), {'images': []})")
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ArtifactError, match="no COCO json"):
        find_json(folder)
