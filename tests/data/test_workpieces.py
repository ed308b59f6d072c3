"""ss_poc.data.workpieces: which photographs seem to show the same workpieces, and which --group keeps them together."""

from __future__ import annotations

import shlex

import pytest
from repeated_workpieces import set_of

from ss_poc.core.errors import ConfigError
from ss_poc.core.files import read_json, write_json
from ss_poc.data.workpieces import Repeated, check_group, find_repeated

VIEWS = ("top", "side")
# Names of 24 photographs of 8 workpieces: of workpiece 3 the second one is (3, 1).
SHOTS = [(workpiece, shot) for workpiece in range(8) for shot in range(3)]


def named(form: str) -> dict[str, int]:
    """Photographs of workpieces, by names of a form with {p} for the workpiece, {s} for the shot, {n} for a counter."""
    return {form.format(p=piece, s=shot, n=3 * piece + shot): piece for piece, shot in SHOTS}


def all_different(form: str) -> dict[str, int]:
    return {form.format(p=piece, s=shot, n=3 * piece + shot): 3 * piece + shot for piece, shot in SHOTS}


@pytest.mark.parametrize(("form", "group", "source"), [
    ("P{p}_{s}.png", "^([^_]+)", "names"), ("cam{s}-P{p}.png", "^[^-]+-([^.-]+)", "names"),
    ("KGT_{p:04}_{n}.png", "KGT_([0-9]+)", "names"), ("P{p}/{n}.png", "^([^/]+)", "folders"),
    ("line1/P{p}/{s}.png", None, "folders")])
def test_names_that_near_copies_confirm_give_the_very_group(tmp_path, form, group, source):
    dataset = set_of(tmp_path, named(form))
    found = find_repeated(dataset)
    assert found and found.source == source
    assert group is None or found.group == group
    assert (found.workpieces, found.photographs, found.images, found.alike) == (8, 24, 24, 24)
    assert check_group(dataset, found.group) == []


def test_examples_are_photographs_of_one_workpiece_a_row(tmp_path):
    found = find_repeated(set_of(tmp_path, named("P{p}_{s}.png")))
    assert [{name[:2] for name in row} for row in found.examples] == [{"P0"}, {"P1"}, {"P2"}, {"P3"}]
    assert all(len({*row}) == 3 for row in found.examples)


def test_near_numbers_are_proposed_where_the_photographs_look_nearly_the_same(tmp_path):
    shown = {f"exp{shot}_num_{1000 * piece + 7 * shot + 500}.png": piece for piece in range(12) for shot in range(3)}
    found = find_repeated(set_of(tmp_path, shown))
    assert found.source == "numbers" and "near numbers" in found.says
    assert found.group in ("(num_[0-9]*?)[0-9]{1,2}(?![0-9])", "(num_[0-9]*?)[0-9]{1,3}(?![0-9])")


@pytest.mark.parametrize("form", ["IMG_{n:04}.png", "P{p}_{s}.png", "2026110{p}_{s:03}.png", "crack_{n:03}.png",
                                  "lot{p}/{n}.png", "{n}.png", "{s}_{p}.png", "{p}_cam{s}_ok.png"])
def test_nothing_is_proposed_where_every_photograph_shows_another_workpiece(tmp_path, form):
    assert find_repeated(set_of(tmp_path, all_different(form))) is None


def test_class_names_are_no_workpieces_though_photographs_of_a_class_look_alike(tmp_path):
    """dent_0 to dent_2 and so on: each class has a pattern of its own, so names and pictures agree."""
    classes = ["dent", "hole", "pit", "rust", "scale", "spot", "crack", "burr"]
    shown = {f"{classes[piece]}_{shot}.png": piece for piece, shot in SHOTS}
    dataset = set_of(tmp_path, shown, classes=classes, class_of=shown)
    found = find_repeated(dataset)
    assert found is None or not found.group


def test_positions_of_cameras_are_no_workpieces(tmp_path):
    """Eight workpieces, seen at four places: photographs of a place look alike, those of a workpiece do not."""
    shown = {f"P{piece}_pos{place}.png": place for piece in range(8) for place in range(4)}
    found = find_repeated(set_of(tmp_path, shown))
    assert found is None or "pos" not in found.group


@pytest.mark.parametrize("form", ["P{p}_{v}.png", "plate{p}-{v}.png", "P{p}/{v}.png"])
def test_numbered_workpieces_in_named_views_need_no_near_copies(tmp_path, form):
    shown = {form.format(p=piece, v=view): 2 * piece + number
             for piece in range(12) for number, view in enumerate(VIEWS)}
    found = find_repeated(set_of(tmp_path, shown))
    assert found and found.group and (found.workpieces, found.photographs, found.alike) == (12, 24, 0)


@pytest.mark.parametrize("views", [("ok", "ng"), ("scratch", "good"), ("train", "val")])
def test_words_that_tell_of_labels_are_no_views(tmp_path, views):
    shown = {f"{piece:03}_{view}.png": 2 * piece + number for piece in range(12) for number, view in enumerate(views)}
    assert find_repeated(set_of(tmp_path, shown)) is None


def test_bursts_are_said_with_their_seconds_and_folders_advised(tmp_path):
    shown = {f"{name}.png": number // 3 for number, name in enumerate("qdhxkatmzbwprfvnyclsgjeu")}
    taken = {name: f"2026:11:02 10:{3 * (number // 3):02}:{4 * (number % 3):02}" for number, name in enumerate(shown)}
    found = find_repeated(set_of(tmp_path, shown, taken=taken))
    assert (found.source, found.group, found.seconds, found.workpieces) == ("times", "", 4.0, 8)
    assert "at most 4 s apart" in found.says and "folder of its own" in found.advice and found.flag == ""


def test_bursts_of_different_workpieces_are_not_believed(tmp_path):
    shown = {f"{name}.png": number for number, name in enumerate("qdhxkatmzbwprfvnyclsgjeu")}
    taken = {name: f"2026:11:02 10:{3 * (number // 3):02}:{4 * (number % 3):02}" for number, name in enumerate(shown)}
    assert find_repeated(set_of(tmp_path, shown, taken=taken)) is None


def test_near_copies_alone_are_said_without_an_expression(tmp_path):
    shown = {f"{name}.png": number // 3 for number, name in enumerate("qdhxkatmzbwprfvnyclsgjeu")}
    found = find_repeated(set_of(tmp_path, shown))
    assert (found.source, found.group, found.photographs) == ("pictures", "", 24)


def test_the_flag_can_be_pasted_into_a_shell(tmp_path):
    found = find_repeated(set_of(tmp_path, named("it's {p}_{s}.png")))
    assert shlex.split(found.flag) == ["--group", found.group] and found.flag in found.advice


def test_it_is_read_back_from_a_file_as_it_was(tmp_path):
    found = find_repeated(set_of(tmp_path, named("P{p}_{s}.png")))
    write_json(tmp_path / "kept.json", found)
    again = Repeated.of(read_json(tmp_path / "kept.json") | {"of_a_later_version": 1})
    assert (again.says, again.advice) == (found.says, found.advice)
    assert [[*row] for row in found.examples] == again.examples


def test_an_expression_for_all_or_for_none_is_refused_and_the_right_one_named(tmp_path):
    dataset = set_of(tmp_path, named("P{p}_{s}.png"))
    with pytest.raises(ConfigError, match="finds 'png' in all names") as one:
        check_group(dataset, "png")
    with pytest.raises(ConfigError, match="finds no workpiece in any name") as none:
        check_group(dataset, "Q[0-9]+")
    assert "--group '^([^_]+)'" in str(one.value.fix) and "--group '^([^_]+)'" in str(none.value.fix)


@pytest.mark.parametrize(("pattern", "said"), [
    ("P[0-9]_[0-9]", "finds another workpiece in each name, such as 'P0_0'"),
    ("^(P)[0-5]", "is that one workpiece?"), ("P[0-9]", ""), ("_([0-9])", "finds 3 workpieces in all")])
def test_a_poor_expression_is_said(tmp_path, pattern, said):
    found = check_group(set_of(tmp_path, named("P{p}_{s}.png")), pattern)
    assert said in " ".join(found) and bool(found) == bool(said)


def test_an_expression_that_parts_near_copies_is_said_with_the_better_one(tmp_path):
    found = check_group(set_of(tmp_path, named("P{p}_{s}.png")), "_([0-9])")
    assert any("keeps 0% of the photographs that look nearly the same together" in said
               and "--group '^([^_]+)' would keep 100%" in said for said in found)
