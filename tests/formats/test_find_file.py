"""ss_poc.formats.find_file: a photograph is found by the names that tools give it, and never guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from ss_poc.formats.coco import ImageEntry
from ss_poc.formats.coco_rules import Problem
from ss_poc.formats.find_file import Photographs


def folder(root: Path, *names: str) -> Photographs:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return Photographs(root)


def entry(name: str) -> ImageEntry:
    return ImageEntry(1, name, None, None)


@pytest.mark.parametrize(("asked", "spelling"), [
    ("images/train/p 1.png", ""), ("p 1.png", "in another folder"), ("C:\\photos\\p 1.png", "in another folder"),
    ("IMAGES/TRAIN/P 1.PNG", "in other capitals"), ("p%201.png", "with percent signs or a query"),
    ("https://server/bucket/p%201.png?X-Amz-Signature=abc", "with percent signs or a query"),
    ("/data/upload/3/cb0618f1-p 1.png", "behind a prefix of Label Studio"), ("p 1.tif", "with another ending")])
def test_a_name_is_found_as_tools_spell_it(tmp_path, asked, spelling):
    found = folder(tmp_path, "images/train/p 1.png", "images/train/p2.png").find(entry(asked))
    assert (found.name, found.spelling) == ("images/train/p 1.png", spelling)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_korean_names_are_found_however_a_system_composes_them(tmp_path, form):
    name = "\uac80\uc0ac.png"
    found = folder(tmp_path, f"sub/{unicodedata.normalize('NFD', name)}").find(entry(unicodedata.normalize(form, name)))
    assert unicodedata.normalize("NFC", found.name) == f"sub/{name}"


def test_the_file_that_shares_most_folders_is_taken(tmp_path):
    files = folder(tmp_path, "x/train/a/1.png", "x/val/a/1.png")
    assert files.find(entry("data/val/a/1.png")).name == "x/val/a/1.png"


def test_a_name_that_several_files_may_mean_is_refused_and_all_are_named(tmp_path):
    with pytest.raises(Problem, match="a/1.png, b/1.png") as caught:
        folder(tmp_path, "a/1.png", "b/1.png").find(entry("1.png"))
    assert caught.value.code == "file-ambiguous"


def test_a_name_that_is_nowhere_names_those_that_are_nearest(tmp_path):
    with pytest.raises(Problem, match="which has scratch_12.png") as caught:
        folder(tmp_path, "scratch_12.png", "other.png").find(entry("scratch_21.png"))
    assert caught.value.code == "file-missing"


def test_hidden_folders_and_links_are_not_searched(tmp_path):
    (tmp_path / "outside.png").write_bytes(b"")
    files = folder(tmp_path / "root", ".cache/1.png", "2.png")
    (tmp_path / "root" / "sub").mkdir()
    (tmp_path / "root" / "sub" / "3.png").symlink_to(tmp_path / "outside.png")
    for name in ("1.png", "3.png"):
        with pytest.raises(Problem, match="expected a file in"):
            files.find(entry(name))


def test_a_photograph_that_was_labelled_as_heic_and_converted_is_found(tmp_path):
    found = folder(tmp_path, "IMG_1.jpg").find(entry("IMG_1.HEIC"))
    assert (found.name, found.spelling) == ("IMG_1.jpg", "with another ending")
