"""ss_poc.data.dataset: photographs of 10 to 14 bits, and labels of photographs that EXIF turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coco_folder import CocoFolder, box, channels
from PIL import Image

from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ConfigError
from ss_poc.core.run import Run, RunData
from ss_poc.data.check import describe_dataset, main
from ss_poc.data.dataset import load_coco, load_trained


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path)


def wide(folder: CocoFolder, name: str, values: list[list[int]]) -> None:
    """A labelled grey photograph of 16 bits."""
    pixels = np.array(values, np.uint16)
    Image.fromarray(pixels).save(folder.root / name)
    folder.region(folder.image(name, pixels.shape, draw=False), [box(0, 0, 2, 1)])


# --- bits

DARK = [[0, 16, 255, 256], [1600, 1601, 2047, 2048]]  # highest of 12 bits
BRIGHT = [[0, 16, 255, 256], [1600, 1601, 4094, 4095]]


def test_all_photographs_have_the_bits_of_the_highest_value_of_any(folder):
    wide(folder, "dark.tif", DARK)
    wide(folder, "zbright.png", BRIGHT)
    dataset, findings = folder.inspect()
    assert [(item.code, item.action, item.where) for item in findings] == [("bit-depth", "keep", "line1")]
    assert findings[0].detail == "2 file(s) of 16 bits, the highest value is 4095: 12 bits are used"
    assert (dataset.levels.bit_depth, dataset.wide) == (12, 2)
    assert {sample.levels.bit_depth for sample in dataset.samples} == {12}
    dark = next(sample for sample in dataset.samples if sample.name == "dark.tif")
    assert dark.image()[..., 0].tolist() == [[0, 1, 15, 16], [100, 100, 127, 128]]
    assert "bits         12, used by 2 images of 16 bits" in describe_dataset(dataset).splitlines()


def test_a_set_of_8_bits_has_no_values_to_look_at_and_nothing_to_say(folder):
    dataset, findings = folder.inspect()
    assert (dataset.levels.bit_depth, dataset.wide, findings) == (16, 0, ())
    assert "bits" not in describe_dataset(dataset)


def test_a_photograph_that_uses_under_a_tenth_of_its_range_is_named(folder):
    wide(folder, "full.tif", [[0, 65535]])
    wide(folder, "dark.tif", [[0, 4095]])
    dataset, findings = folder.inspect()
    assert [(item.code, item.where) for item in findings] == [("range-unused", "dark.tif")]
    assert findings[0].detail == "values 0 to 4095 use under a tenth of the range 0 to 65535"
    assert dataset.levels.bit_depth == 16


def test_a_run_keeps_the_bits_it_was_trained_with(folder):
    wide(folder, "dark.tif", DARK)
    data = {"json_path": str(folder.save()), "img_path": str(folder.root)}
    before_bits_were_known = load_trained(Run(data=RunData(**data)))
    assert before_bits_were_known.levels.bit_depth == 16
    assert before_bits_were_known.samples[0].image()[..., 0].tolist() == [[0, 0, 0, 1], [6, 6, 7, 8]]
    assert load_trained(Run(data=RunData(**data, bit_depth=14))).samples[0].levels.bit_depth == 14


# --- EXIF: labels as shown and as stored, where size cannot tell. The label is drawn in one corner.

STORED = {(4, 6): ["##....", "......", "......", "......"], (4, 4): ["##..", "....", "....", "...."]}
# Where EXIF's table of tag 0x0112 shows the two upper left pixels.
SHOWN = {
    (2, (4, 6)): ["....##", "......", "......", "......"], (2, (4, 4)): ["..##", "....", "....", "...."],
    (3, (4, 6)): ["......", "......", "......", "....##"], (3, (4, 4)): ["....", "....", "....", "..##"],
    (4, (4, 6)): ["......", "......", "......", "##...."], (4, (4, 4)): ["....", "....", "....", "##.."],
    (6, (4, 4)): ["...#", "...#", "....", "...."]}
UNSURE = sorted(SHOWN)


def turned(folder: CocoFolder, orientation: int, size_hw: tuple[int, int], name: str = "turned.png",
           given_hw: tuple[int, int] | None = None) -> None:
    """A black photograph of that stored size, white in its two upper left pixels, where the label is too."""
    pixels, exif = np.zeros((*size_hw, 3), np.uint8), Image.Exif()
    pixels[0, :2] = 255
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(folder.root / name, exif=exif)
    folder.region(folder.image(name, given_hw or size_hw, draw=False), [box(0, 0, 2, 1)])


@pytest.mark.parametrize(("orientation", "size_hw"), UNSURE)
def test_labels_as_stored_are_turned_with_the_photograph(folder, orientation, size_hw):
    turned(folder, orientation, size_hw)
    dataset = load_coco(folder.save(), folder.root, exif_labels="stored")
    sample = dataset.samples[-1]
    assert (sample.frame, dataset.findings) == ("stored", ())
    assert channels(sample, 1) == [SHOWN[orientation, size_hw]]
    np.testing.assert_array_equal(sample.mask(1)[..., 0], sample.image()[..., 0] == 255)


@pytest.mark.parametrize("decided", ["auto", "shown"])
@pytest.mark.parametrize(("orientation", "size_hw"), UNSURE)
def test_labels_as_shown_stay_where_they_are(folder, orientation, size_hw, decided):
    turned(folder, orientation, size_hw)
    sample = load_coco(folder.save(), folder.root, exif_labels=decided).samples[-1]
    assert (sample.frame, channels(sample, 1)) == ("upright", [STORED[size_hw]])


@pytest.mark.parametrize("decided", ["auto", "shown", "stored"])
def test_size_tells_of_a_turned_photograph_that_is_not_square_whatever_was_decided(folder, decided):
    turned(folder, 6, (4, 6), "stored.png")
    turned(folder, 6, (4, 6), "shown.png", (6, 4))
    shown, stored = load_coco(folder.save(), folder.root, exif_labels=decided).samples[-2:]
    assert (stored.frame, shown.frame) == ("stored", "upright")
    assert channels(stored, 1) == [["...#", "...#", "....", "....", "....", "...."]]
    assert channels(shown, 1) == [["##..", "....", "....", "....", "....", "...."]]


def test_labels_that_could_mean_either_are_counted_and_what_is_assumed_is_said(folder):
    for number, (orientation, size_hw) in enumerate(UNSURE):
        turned(folder, orientation, size_hw, f"t{number}.png")
    turned(folder, 6, (4, 6), "zstored.png")
    turned(folder, 6, (4, 6), "zshown.png", (6, 4))
    turned(folder, 1, (4, 6), "zplain.png")
    folder.value["annotations"] = [item for item in folder.value["annotations"] if item["image_id"] != 3]  # t0: clean
    _, findings = folder.inspect()
    said = [item for item in findings if item.code == "exif-unsure"]
    assert [(item.code, item.action, item.where) for item in said] == [("exif-unsure", "keep", "coco.json")]
    assert said[0].detail == ("6 photograph(s), such as t1.png: labels are taken as drawn on them as shown; size tells "
                              "of 2 others, 1 of them as stored. --exif_labels shown or stored decides")


@pytest.mark.parametrize("decided", ["auto", "shown", "stored"])
def test_labels_that_name_no_size_are_decided_on_where_the_photograph_is_not_square_too(folder, decided):
    turned(folder, 6, (4, 6))
    for key in ("height", "width"):
        del folder.value["images"][-1][key]
    dataset = load_coco(folder.save(), folder.root, exif_labels=decided)
    mark = ["...#", "...#"] if decided == "stored" else ["##..", "...."]
    assert channels(dataset.samples[-1], 1) == [[*mark, "....", "....", "....", "...."]]
    assert [item.code for item in dataset.findings] == ["exif-unsure"] * (decided == "auto")


def test_a_folder_of_masks_is_decided_on_alike(tmp_path):
    (tmp_path / "masks").mkdir()
    exif, mask = Image.Exif(), np.zeros((4, 6), np.uint8)
    exif[0x0112], mask[0, :2] = 3, 255
    for name in ("a", "b"):
        Image.fromarray(np.full((4, 6, 3), ord(name), np.uint8)).save(tmp_path / f"{name}.png", exif=exif)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    shown, stored = (load_coco(tmp_path / "masks", tmp_path, exif_labels=decided) for decided in ("auto", "stored"))
    assert channels(shown.samples[0], 1) == [STORED[4, 6]] and channels(stored.samples[0], 1) == [SHOWN[3, (4, 6)]]
    assert [[item.code for item in found.findings] for found in (shown, stored)] == [
        ["labels-read", "exif-unsure"], ["labels-read"]]


@pytest.mark.parametrize("decided", ["shown", "stored"])
def test_once_decided_nothing_is_said(folder, decided):
    turned(folder, 3, (4, 6))
    assert load_coco(folder.save(), folder.root, exif_labels=decided).findings == ()


def test_a_run_keeps_how_labels_were_read(folder):
    turned(folder, 3, (4, 6))
    run = Run(data=RunData(json_path=str(folder.save()), img_path=str(folder.root)))
    assert load_trained(run).samples[-1].frame == "upright"
    object.__setattr__(run.config, "exif_labels", "stored")
    assert load_trained(run).samples[-1].frame == "stored"


def test_the_check_takes_the_setting_and_refuses_what_is_none(folder, tmp_path, capsys):
    turned(folder, 3, (4, 6))
    words = ["check", str(folder.save()), str(folder.root), "--output", str(tmp_path / "sheet.png")]
    assert main(words) == 0 and "exif-unsure: 1 (keep)" in capsys.readouterr().out
    assert main([*words, "--exif_labels", "stored"]) == 0 and "findings: none" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--exif_labels", "turned"])


def test_a_setting_that_is_none_of_the_three_is_refused():
    with pytest.raises(ConfigError, match="exif_labels is 'turned'"):
        TrainConfig(exif_labels="turned")
