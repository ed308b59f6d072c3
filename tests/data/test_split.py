"""ss_poc.data.split: which images validate."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from ss_poc.core.errors import ConfigError, DataError
from ss_poc.data.split import split_samples, thinned, valid_fraction_for, workpiece_of


@dataclass(frozen=True)
class Item:
    name: str
    digest: str
    classes: frozenset[int]


def items(*counts: tuple[int, set[int]]) -> list[Item]:
    """`(how many, classes)` to that many different images of these classes."""
    kinds = [frozenset(classes) for count, classes in counts for _ in range(count)]
    return [Item(f"{index:03}.png", f"digest {index}", classes) for index, classes in enumerate(kinds)]


def classes_of(samples: list[Item], names: list[str]) -> Counter:
    return Counter(channel for sample in samples if sample.name in names for channel in sample.classes)


def random_samples(seed: int) -> list[Item]:
    draw = random.Random(seed)
    total, classes, chance = draw.randint(2, 60), draw.randint(1, 6), draw.choice([0.1, 0.3])
    return [Item(f"{index}", f"{draw.randint(0, 2 * total)}",
                 frozenset(channel for channel in range(classes) if draw.random() < chance)) for index in range(total)]


@pytest.mark.parametrize("seed", range(100))
def test_every_image_is_on_one_side_and_copies_stay_together(seed):
    samples = random_samples(seed)
    if len({sample.digest for sample in samples}) < 2:
        samples.append(Item("other", "other", frozenset()))
    train, valid = split_samples(samples, 0.3, seed)
    assert sorted(train + valid) == sorted(sample.name for sample in samples)
    assert train and valid and not set(train) & set(valid)
    sides = {(sample.digest, sample.name in train) for sample in samples}
    assert len(sides) == len({sample.digest for sample in samples})


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(30))
def test_class_in_two_images_or_more_is_on_both_sides(seed, fraction):
    draw = random.Random(seed)
    samples = items(*[(draw.choice([1, 2, 3, 10]), {channel}) for channel in range(8)], (20, set()), (3, {0, 1}))
    train, valid = split_samples(samples, fraction, seed)
    total = classes_of(samples, train + valid)
    for channel, count in total.items():
        assert classes_of(samples, train)[channel] > 0
        assert count == 1 or classes_of(samples, valid)[channel] > 0


def test_class_in_one_image_trains():
    samples = items((1, {0}), (1, {1}), (1, {2}), (3, set()))
    for seed in range(20):
        assert classes_of(samples, split_samples(samples, 0.5, seed)[0]) == Counter({0: 1, 1: 1, 2: 1})


@pytest.mark.parametrize("seed", range(10))
def test_every_set_of_classes_gives_its_share(seed):
    samples = items((50, {0}), (30, {1}), (20, {0, 1}), (100, set()))
    _, valid = split_samples(samples, 0.2, seed)
    found = Counter(sample.classes for sample in samples if sample.name in valid)
    assert found == {frozenset({0}): 10, frozenset({1}): 6, frozenset({0, 1}): 4, frozenset(): 20}


@pytest.mark.parametrize("fraction", [0.25, 0.33, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_sets_of_one_image_each_still_give_the_fraction(fraction, seed):
    samples = items(*[(1, {first, second}) for first in range(7) for second in range(first)])
    assert abs(len(split_samples(samples, fraction, seed)[1]) - 21 * fraction) <= 1


def test_split_does_not_depend_on_the_order_of_samples():
    samples = items((9, {0}), (7, {1}), (1, {0, 1}), (1, {2}), (12, set()))
    expected = split_samples(samples, 0.3, 5)
    for seed in range(5):
        random.Random(seed).shuffle(samples)
        assert split_samples(samples, 0.3, 5) == expected


def test_split_is_the_one_it_always_was():
    train, valid = split_samples(items((5, {0}), (5, set())), 0.2, 0)
    assert valid == ["001.png", "007.png"]
    assert train == ["000.png", "002.png", "003.png", "004.png", "005.png", "006.png", "008.png", "009.png"]


def test_seed_changes_the_split():
    samples = items((30, {0}), (30, set()))
    assert len({tuple(split_samples(samples, 0.2, seed)[1]) for seed in range(5)}) == 5


def test_copies_of_different_classes_are_one_group_of_both():
    samples = [Item("a", "same", frozenset({0})), Item("b", "same", frozenset({1})), *items((1, {1}), (4, set()))]
    for seed in range(20):
        train, valid = split_samples(samples, 0.3, seed)
        assert {"a", "b"} <= set(train)  # class 0 is nowhere else
        assert "000.png" in valid  # so class 1 must come from here


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("samples", [items((2, {0})), items((2, set())), items((1, {0}), (1, {1}))])
def test_two_images_give_one_to_each_side(samples, fraction):
    train, valid = split_samples(samples, fraction, 0)
    assert (len(train), len(valid)) == (1, 1)


@pytest.mark.parametrize("samples", [[], items((1, {0})), [Item(name, "same", frozenset()) for name in "ab"]])
def test_fewer_than_two_different_images_cannot_be_split(samples):
    with pytest.raises(DataError, match="1 different image\n" if samples else "0 different images\n"):
        split_samples(samples, 0.2, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_fraction_must_leave_something_on_both_sides(fraction):
    with pytest.raises(ConfigError):
        split_samples(items((5, {0})), fraction, 0)


def test_classes_that_exclude_each_other_are_in_training_first():
    samples = items((1, {0, 1}), (1, {1, 2}), (1, {0, 2}))  # no split of three has all classes on both sides
    train, _ = split_samples(samples, 0.5, 0)
    assert set(classes_of(samples, train)) == {0, 1, 2}


@pytest.mark.parametrize(("name", "pattern", "workpiece"), [
    ("p17_top.jpg", "^[^_]+", "p17"),
    ("line 2/p17_top.jpg", r"([^/_]+)_[^/]*$", "p17"),
    ("top.jpg", "^p[0-9]+", ""),
    ("top.jpg", "(p[0-9]+)?", ""),
    ("p17_top.jpg", "", ""),
])
def test_workpiece_is_what_the_pattern_finds_in_a_name(name, pattern, workpiece):
    assert workpiece_of(name, pattern) == workpiece


@pytest.mark.parametrize("seed", range(30))
def test_photographs_of_one_workpiece_stay_together(seed):
    draw = random.Random(seed)
    samples = [Item(f"p{draw.randint(0, 15)}_{index}.png", f"{index}", frozenset({index % 3})) for index in range(60)]
    train, valid = split_samples(samples, 0.25, seed, "^p[0-9]+")
    assert sorted(train + valid) == sorted(sample.name for sample in samples) and valid
    assert not {name.split("_")[0] for name in train} & {name.split("_")[0] for name in valid}


def test_copies_join_the_workpieces_that_show_them():
    samples = [Item(name, digest, frozenset()) for name, digest in (
        ("a_1", "x"), ("a_2", "y"), ("b_1", "y"), ("b_2", "z"), ("c_1", "w"), ("c_2", "v"))]
    sides = split_samples(samples, 0.5, 0, "^.")
    assert sorted(map(sorted, sides)) == [["a_1", "a_2", "b_1", "b_2"], ["c_1", "c_2"]]


def test_photographs_without_a_workpiece_count_by_themselves():
    samples = items((10, {0}))
    assert split_samples(samples, 0.3, 1, "^part[0-9]+") == split_samples(samples, 0.3, 1)


def test_one_workpiece_alone_cannot_be_split():
    with pytest.raises(DataError, match="1 different workpiece\n"):
        split_samples(items((5, {0})), 0.2, 0, "png")


@pytest.mark.parametrize(("sizes_hw", "fraction"), [
    ([(480, 640)] * 3, 0.2),
    ([(480, 640)] * 6000, 0.2),            # 1200 of 307,200 pixels are 369 million
    ([(4000, 5000)] * 60, 0.2),            # 12 of 20 million are 240 million
    ([(3000, 4000)] * 2000, 0.03),         # 60 images, though 500 million pixels are 42
    ([(1000, 1000)] * 4000, 0.125),        # 500 million of 4 billion pixels
    ([(1000, 1000)] * 2000 + [(2000, 1000)] * 1000, 0.125)])
def test_a_fifth_validates_but_of_many_large_photographs_less(sizes_hw, fraction):
    assert valid_fraction_for(sizes_hw) == pytest.approx(fraction)


@pytest.mark.parametrize(("fraction", "clean", "pitted"), [(1.0, 12, 8), (0.5, 6, 4), (0.25, 3, 2)])
def test_a_fraction_of_the_labels_has_each_set_of_classes_and_lies_in_the_double_of_it(fraction, clean, pitted):
    samples = items((12, set()), (8, {0}))
    names = thinned(samples, fraction, 0)
    assert classes_of(samples, names)[0] == pitted and len(names) == clean + pitted
    assert set(names) <= set(thinned(samples, min(1.0, 2 * fraction), 0))


def test_photographs_of_one_workpiece_are_chosen_together_and_one_is_always_left():
    samples = [Item(f"P{number // 3}_{number}.png", str(number), frozenset()) for number in range(12)]
    names = thinned(samples, 0.5, 3, "^P[0-9]+")
    assert len(names) == 6 and len({name.split("_")[0] for name in names}) == 2
    assert len(thinned(samples, 0.01, 3, "^P[0-9]+")) == 3
