"""Label files as Windows and spreadsheets write them: read, or named with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from boxes import BOX, photograph, read, refusal, save


def yolo(folder: Path, *stems: str) -> None:
    """Photographs with a txt each, of one box."""
    for number, stem in enumerate(stems):
        photograph(folder / "images" / f"{stem}.png", number)
        save(folder / "labels" / f"{stem}.txt",
             " ".join(["0", *(str(value / (128, 96)[index % 2]) for index, value in enumerate(BOX))]))
    save(folder / "data.yaml", "names: [scratch]")


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "cp949"])
def test_text_files_of_yolo_are_read_in_the_encodings_of_windows(tmp_path, coding):
    yolo(tmp_path, "p1")
    labels = tmp_path / "labels" / "p1.txt"
    labels.write_bytes(labels.read_text().encode(coding))
    (tmp_path / "data.yaml").write_bytes("names: [찍힘]\n".encode(coding))
    assert read(tmp_path)[0] == {"images/p1.png": {"찍힘": 800}}


def test_a_text_file_in_no_known_encoding_costs_its_photograph_and_is_named(tmp_path):
    yolo(tmp_path, "p1", "p2")
    (tmp_path / "labels" / "p1.txt").write_bytes(b"\xff\x80 0.1 0.2")
    assert read(tmp_path) == ({"images/p2.png": {"scratch": 800}}, ["file-unreadable", "unlisted-images"])


def test_names_of_yolo_that_would_be_written_out_to_gigabytes_are_refused(tmp_path):
    yolo(tmp_path, "p1")
    rows = [f"a{number + 1}: &a{number + 1} [{', '.join([f'*a{number}'] * 9)}]" for number in range(30)]
    (tmp_path / "data.yaml").write_text("\n".join(["a0: &a0 [x, x]", *rows, "names: [*a30]"]))
    assert "are not a name for each number" in refusal(tmp_path).detail


@pytest.mark.parametrize(("content", "said"), [
    ("ImageId,EncodedPixels\n찍힘.png,1 2\n".encode("cp949"), "is no csv in UTF-8"),
    (b"ImageId,EncodedPixels\n\xff\n", "is no csv in UTF-8")])
def test_a_csv_that_is_not_utf_8_is_refused_with_the_way_out(tmp_path, content, said):
    photograph(tmp_path / "p1.png")
    (tmp_path / "train.csv").write_bytes(content)
    detail = refusal(tmp_path).detail
    assert said in detail and detail.endswith("save it as CSV UTF-8")


def test_a_csv_may_be_utf_16_and_have_a_cell_longer_than_pythons_limit(tmp_path):
    photograph(tmp_path / "p1.png")
    runs = " ".join(f"{x * 96 + 31} 20" for x in range(20, 60))
    padded = runs + " " * 140_000
    (tmp_path / "train.csv").write_bytes(f"ImageId,EncodedPixels\np1.png,{padded}\n".encode("utf-16"))
    assert read(tmp_path)[0] == {"p1.png": {"defect": 800}}


def test_a_folder_whose_only_json_is_damaged_says_what_is_wrong_with_it(tmp_path):
    photograph(tmp_path / "p1.png")
    (tmp_path / "labels.json").write_bytes('{"images": [{"file_name": "찍힘.png"}]}'.encode("cp949"))
    assert "labels.json is not written in UTF-8" in refusal(tmp_path).detail
