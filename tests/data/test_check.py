"""`python -m ss_poc.data check`: its table, its list of findings, its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coco_folder import CocoFolder, box
from repeated_workpieces import folder_of

from ss_poc.core.errors import ConfigError
from ss_poc.core.images import decode_image
from ss_poc.data.check import main
from ss_poc.data.sheet import SHEET_WIDTH
from ss_poc.formats.coco_rules import RULES


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path)


def check(folder: CocoFolder, *flags: str) -> int:
    return main(["check", str(folder.save()), str(folder.root), *flags])


def test_good_data_set_prints_its_table_and_ends_with_0(folder, capsys, tmp_path):
    folder.image("clean.png", (3, 5))
    folder.region(1, [box(0, 0, 2, 1)])
    assert check(folder, "--output", str(tmp_path / "out.png")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["data", "set", "line1"]
    assert lines[1].split(maxsplit=1) == ["images", "3: 2 with regions, 1 clean"]
    assert lines[2].split(maxsplit=1) == ["sizes", "3x5 to 4x6 (height x width)"]
    assert lines[3].split() == ["regions", "3"]
    assert lines[7].split() == ["Crack", "2", "3", "2", "6", "6", "8.33", "25", "25"]
    assert "findings: none" in lines


def test_korean_class_names_keep_the_table_straight(folder, capsys, tmp_path):
    folder.value["categories"].append({"id": 2, "name": "\ud06c\ub799"})
    for image in (1, 2):
        folder.region(image, category_id=2)
    assert check(folder, "--output", str(tmp_path / "out.png")) == 0
    rows = capsys.readouterr().out.splitlines()[6:9]
    assert len(rows[0]) == len(rows[1]) == len(rows[2]) + 2


def test_refused_data_set_ends_with_1_and_writes_no_picture(folder, capsys, tmp_path):
    folder.value["images"][1]["id"] = 1
    assert check(folder, "--output", str(tmp_path / "out.png")) == 1
    out = capsys.readouterr().out
    assert "duplicate-image-id: 1 (refuse)" in out
    assert RULES["duplicate-image-id"][1] in out
    assert not (tmp_path / "out.png").exists()


def test_skipped_images_do_not_end_with_1(folder, capsys, tmp_path):
    folder.image("gone.png", draw=False)
    assert check(folder, "--output", str(tmp_path / "out.png")) == 0
    assert "file-missing: 1 (skip image)" in capsys.readouterr().out


def test_five_examples_of_a_rule_unless_all_are_asked_for(folder, capsys, tmp_path):
    for number in range(7):
        folder.image(f"gone{number}.png", draw=False)
    check(folder, "--output", str(tmp_path / "out.png"))
    short = capsys.readouterr().out
    assert "file-missing: 7 (skip image)" in short
    assert "gone4.png:" in short and "gone5.png:" not in short and "and 2 more" in short
    check(folder, "--all", "--output", str(tmp_path / "out.png"))
    assert "gone6.png:" in capsys.readouterr().out


def test_rules_are_printed_each(capsys):
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RULES)


def test_photographs_are_looked_for_where_the_labels_lie(folder, tmp_path, capsys):
    exports = folder.root / ".exports"
    exports.mkdir()
    (exports / "coco-1.json").write_bytes(folder.save().read_bytes())
    for labels in (folder.root, exports / "coco-1.json"):
        assert main(["check", str(labels), "--output", str(tmp_path / "out.png")]) == 0
        assert capsys.readouterr().out.splitlines()[0].split() == ["data", "set", "line1"]


@pytest.mark.parametrize("argv", [["check", "a", "b", "--wrong"], ["check", "a", "b", "--al"], ["check"], [],
                                  ["other"], ["check", "a", "b", "--output", "check.gif"],
                                  ["check", "a", "b", "--group", "(["]])
def test_wrong_call_ends_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_command_runs_as_a_module(folder, tmp_path):
    folder.value["categories"] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-m", "ss_poc.data", "check", str(folder.save()), str(folder.root)],
                          capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "no-categories: 1 (refuse)" in done.stdout


def test_picture_is_written_as_jpeg(folder, tmp_path, capsys):
    assert check(folder, "--output", str(tmp_path / "sub" / "out.jpg")) == 0
    assert str(tmp_path / "sub" / "out.jpg") in capsys.readouterr().out
    assert decode_image(tmp_path / "sub" / "out.jpg").shape[1] == SHEET_WIDTH


def test_a_photograph_is_not_written_over(folder, tmp_path):
    photograph = folder.root / "good0.png"
    before = photograph.read_bytes()
    with pytest.raises(ConfigError, match="is a photograph of the data set"):
        check(folder, "--output", str(photograph.parent / ".." / "line1" / "good0.png"))
    assert photograph.read_bytes() == before


def test_suspected_workpieces_are_said_with_the_flag_and_drawn_a_row_each(tmp_path, capsys):
    shown = {f"P{number // 3}_{number % 3}.png": number // 3 for number in range(24)}
    assert check(folder_of(tmp_path, shown), "--output", str(tmp_path / "out.png")) == 0
    out = capsys.readouterr().out
    assert "24 of 24 photographs seem to show 8 workpieces more than once" in out
    assert "\n  train with --group '^([^_]+)'\n" in out and f"Each row of {tmp_path / 'out_workpieces.png'}" in out
    height, width = decode_image(tmp_path / "out_workpieces.png").shape[:2]
    assert height > 4 * 230 and width < SHEET_WIDTH


def test_where_nothing_hints_at_workpieces_a_line_says_so(folder, capsys, tmp_path):
    assert check(folder, "--output", str(tmp_path / "out.png")) == 0
    assert "workpieces: nothing hints at photographs that show the same one" in capsys.readouterr().out
    assert not (tmp_path / "out_workpieces.png").exists()


@pytest.mark.parametrize(("group", "said"), [
    ("^P[0-9]", "workpieces: 8, 3 photographs each\n\nThis can"),
    ("^P[0-3]", "workpieces: 4, 3 photographs each; in 12 names none is found\n\nThis can"),
    ("P._.", "workpieces: 24, 1 photograph each\nwarning: --group P._. finds another workpiece in each name")])
def test_an_expression_is_tried_out(tmp_path, capsys, group, said):
    shown = {f"P{number // 3}_{number % 3}.png": number // 3 for number in range(24)}
    assert check(folder_of(tmp_path, shown), "--output", str(tmp_path / "out.png"), "--group", group) == 0
    assert said in capsys.readouterr().out


def test_an_expression_that_makes_no_split_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="--group png finds 'png' in all names"):
        check(folder, "--output", str(tmp_path / "out.png"), "--group", "png")
