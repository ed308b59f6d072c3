"""ss_poc.data.sheet: the picture of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from coco_folder import CocoFolder, box

from ss_poc.core.images import save_image
from ss_poc.data.sheet import CAPTION_HEIGHT, GAP, SHEET_WIDTH, _choose, draw_sheet, draw_workpieces


def shades(sheet: np.ndarray, color: tuple[int, int, int]) -> int:
    return int(np.count_nonzero((np.abs(sheet.astype(int) - color) < 25).all(axis=-1)))


def many(tmp_path: Path, classes: int, images: int) -> CocoFolder:
    folder = CocoFolder(tmp_path, good=0)
    folder.value["categories"] = [{"id": number, "name": f"class {number}"} for number in range(classes)]
    for number in range(images):
        folder.region(folder.image(f"{number:03}.png", (20 + number % 30, 40)), [box(2, 2, 12, 12)],
                      category_id=number % classes)
    return folder


def test_picture_shows_every_class_in_photographs_and_legend(tmp_path):
    dataset = many(tmp_path, classes=8, images=40).load()
    chosen = _choose(dataset)
    assert len(chosen) == 24
    assert frozenset().union(*(sample.classes for sample in chosen)) == frozenset(range(8))
    sheet = draw_sheet(dataset)
    assert (sheet.dtype, sheet.shape[2]) == (np.uint8, 3)
    for color in dataset.colors:
        assert shades(sheet[:40], tuple(bytes.fromhex(color[1:]))) >= 16 * 16


def test_picture_has_a_photograph_a_class_even_of_more_than_24(tmp_path):
    chosen = _choose(many(tmp_path, classes=30, images=60).load())
    assert len(chosen) == 30
    assert len(frozenset().union(*(sample.classes for sample in chosen))) == 30


def test_picture_shows_clean_photographs_too(tmp_path):
    folder = many(tmp_path, classes=2, images=40)
    for number in range(9):
        folder.image(f"clean{number}.png")
    chosen = _choose(folder.load())
    assert [sample.name for sample in chosen if not sample.regions] == [sample.name for sample in chosen[-4:]]
    assert len(chosen) == 24


def test_smallest_region_of_a_large_photograph_is_seen(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    folder.value["categories"][0]["color"] = "#00ff00"
    for number, name in enumerate(("a.png", "b.png")):
        save_image(folder.root / name, np.full((1500, 2000, 3), number, np.uint8))
        folder.region(folder.image(name, (1500, 2000), draw=False), [box(700, 700, 702, 702)])
    sheet = draw_sheet(folder.load())
    assert shades(sheet[40:], (0, 255, 0)) >= 2


def test_very_long_and_very_tall_photographs_fit(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    for name, size in (("long.png", (2, 900)), ("tall.png", (900, 2)), ("dot.png", (1, 1))):
        folder.region(folder.image(name, size), [box(0, 0, 1, 1)])
    assert draw_sheet(folder.load()).shape[1:] == (SHEET_WIDTH, 3)


def test_workpieces_are_drawn_a_row_each_and_no_wider_than_they_are(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    for name in ("a1.png", "a2.png", "b1.png", "b2.png", "b3.png"):
        folder.region(folder.image(name, (40, 60)))
    sheet = draw_workpieces(folder.load(), [["a1.png", "a2.png"], ["b1.png", "b2.png", "b3.png"]], 80)
    # photographs of 80x120, a gap around each, a caption below
    assert sheet.shape == (GAP + 2 * (80 + CAPTION_HEIGHT + GAP), GAP + 3 * (120 + GAP), 3)
    assert (sheet[GAP:GAP + 80, 2 * GAP + 240 + GAP:] == 32).all()  # the first workpiece has two photographs only


def test_photographs_of_a_workpiece_that_are_too_wide_for_the_sheet_become_lower(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        folder.region(folder.image(name, (20, 80)))
    sheet = draw_workpieces(folder.load(), [names], 200)
    assert sheet.shape[1] == SHEET_WIDTH and sheet.shape[0] < 200
