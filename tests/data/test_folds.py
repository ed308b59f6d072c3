"""ss_poc.data.folds: each group of photographs validates in exactly one fold."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from ss_poc.core.errors import ConfigError, DataError
from ss_poc.data.folds import folds_of, split_fold


@dataclass(frozen=True)
class Item:
    name: str
    digest: str
    classes: frozenset[int] = frozenset()


def items(*kinds: set[int]) -> list[Item]:
    return [Item(f"{index}.png", f"digest {index}", frozenset(classes)) for index, classes in enumerate(kinds)]


@pytest.mark.parametrize("seed", range(40))
def test_every_group_validates_in_exactly_one_fold(seed):
    draw = random.Random(seed)
    count, total = draw.randint(2, 7), draw.randint(30, 60)
    samples = [Item(f"part{draw.randint(0, total)}_{index}.png", f"{draw.randint(0, 3 * total)}",
                    frozenset(channel for channel in range(4) if draw.random() < 0.2)) for index in range(total)]
    folds = folds_of(samples, count, "^[^_]+")
    assert len(folds) == count and all(folds)
    assert sorted(name for names in folds for name in names) == sorted(item.name for item in samples)
    fold_of = {name: index for index, names in enumerate(folds) for name in names}
    for known in (lambda item: item.name.split("_")[0], lambda item: item.digest):
        assert len({(known(item), fold_of[item.name]) for item in samples}) == len({known(item) for item in samples})
    draw.shuffle(samples)
    assert folds_of(samples, count, "^[^_]+") == folds, "whatever order a disk lists them in"


def test_the_photographs_of_a_class_are_spread_over_the_folds():
    folds = folds_of(items(*[{0}] * 3, *[{1}] * 5, *[set()] * 7), 3)
    classes = [[0 <= int(name[:-4]) < 3 for name in names].count(True) for names in folds]
    assert classes == [1, 1, 1], "three of the rare class"
    assert sorted(sum(3 <= int(name[:-4]) < 8 for name in names) for names in folds) == [1, 2, 2]
    assert [len(names) for names in folds] == [5, 5, 5], "clean ones fill up what is left"


def test_the_other_folds_train():
    samples = items(*[{0}] * 4)
    # In the order of their contents: the 1st and the 3rd, then the 2nd and the 4th.
    assert split_fold(samples, "1/2") == (["1.png", "3.png"], ["0.png", "2.png"])
    assert split_fold(samples, "2/2") == (["0.png", "2.png"], ["1.png", "3.png"])


def test_fewer_groups_than_folds_are_refused():
    samples = [Item(f"a_{index}", f"{index}") for index in range(9)] + [Item("b_1", "x")]
    with pytest.raises(DataError, match="has 2 different workpieces, and 3 folds are asked for"):
        folds_of(samples, 3, "^[^_]+")
    with pytest.raises(DataError, match="has 0 different images"):
        folds_of([], 2)


@pytest.mark.parametrize("fold", ["0/5", "6/5", "1/1", "1", "5/1", "1/2/3", "", "-1/5"])
def test_a_fold_that_cannot_be_is_refused(fold):
    with pytest.raises(ConfigError, match="at least 2 of them"):
        split_fold(items({0}, {0}), fold)
