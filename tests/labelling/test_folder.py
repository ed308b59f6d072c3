"""ss_poc.labelling.folder: labels keep their ids, photographs are those that a browser shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from coco_folder import save_noise
from PIL import Image as Picture

from ss_poc.core.errors import ConfigError
from ss_poc.labelling.folder import keep_labels, new_folder, parse_labels, photographs_of, upright_size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path, "photos")


def test_labels_get_colours_and_keep_those_they_name():
    labels = parse_labels(" scratch, pit:#00FF00 ,")
    assert list(labels) == ["scratch", "pit"] and labels["pit"] == "#00ff00"
    assert len(set(labels.values())) == 2


def test_a_label_is_known_by_its_name_without_the_spaces_around_it():
    assert parse_labels("a : #ff0000, b c") == {"a": "#ff0000", "b c": parse_labels("x:#ff0000,b c")["b c"]}


@pytest.mark.parametrize("text", ["", " , ", "a,a", "a , a:#ff0000", "a:red", "a:#12345", ":#ff0000,b", " :#ff0000",
                                  ":"])
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
