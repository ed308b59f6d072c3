"""Clicks that come with all clicks before them: what was answered is remembered, for several people at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ss_poc.clicks.guidance import Box, Click
from ss_poc.clicks.session import MOST_ANSWERS, REPLAYED, ClickSession
from ss_poc.core.errors import RequestError

IMAGE = np.full((60, 90, 3), 70, np.uint8)
IMAGE[20:40, 30:60] = 200


class Network:
    """Finds all that is bright where there is no negative click; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.previous: list[float] = []

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        self.asked += 1
        self.previous.append(float(inputs[..., 5].max()))
        dark = inputs[..., 4].max() > 0
        return ((inputs[..., :1] > 128) * (0.6 if dark else 0.9)).astype(np.float32)


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def session(network):
    return ClickSession(network)


def decoded():
    return IMAGE


def test_a_click_gives_the_region(session):
    found = session.answer("a", decoded, [Click(45, 30)])
    assert found.mask.shape == (60, 90) and found.mask[21:39, 31:59].all() and not found.mask[:18].any()


def test_a_photograph_is_decoded_once_while_it_is_clicked_on(session):
    calls = []

    def decode():
        calls.append(1)
        return IMAGE

    for number in range(3):
        session.answer("a", decode, [Click(45, 30 + number)])
    session.answer("b", decode, [Click(45, 30)])
    assert len(calls) == 2


def test_of_two_large_photographs_only_the_last_is_kept(session, monkeypatch):
    monkeypatch.setattr(session._images, "_most", 60 * 90 + 1)
    calls = []

    def decode():
        calls.append(1)
        return IMAGE

    for name in "abba":
        session.answer(name, decode, [Click(45, 30)])
    assert len(calls) == 3


def test_the_answer_before_is_what_the_next_click_corrects(session, network):
    session.answer("a", decoded, [Click(45, 30)])
    before = network.asked
    session.answer("a", decoded, [Click(45, 30), Click(5, 5, False)])
    assert network.asked == before + 1 and network.previous[-1] == pytest.approx(0.9, abs=1 / 255)


def test_two_hundred_clicks_that_nobody_remembers_take_a_few_steps_only(session, network):
    clicks = [Click(31 + number % 28, 21 + number // 28) for number in range(200)]
    found = session.answer("a", decoded, clicks)
    assert found.mask.any() and network.asked <= 2 * (REPLAYED + 1)


def test_two_hundred_clicks_one_after_another_are_all_answered_and_few_are_kept(session, network):
    clicks = [Click(31 + number % 28, 21 + number // 28) for number in range(200)]
    for count in range(1, 201):
        assert session.answer("a", decoded, clicks[:count]).mask.any()
    assert len(session._answers._kept) == MOST_ANSWERS


def test_negative_clicks_alone_correct_the_region_before_whether_clicked_or_boxed(session, network):
    box = Box(25, 15, 65, 45)
    session.answer("a", decoded, [], box)
    one = session.answer("a", decoded, [Click(5, 5, False)])
    assert one.probability.max() == pytest.approx(0.6)
    session.answer("a", decoded, [Click(5, 5, False), Click(6, 6, False)])
    assert session._last.get("a") == (box, (Click(5, 5, False), Click(6, 6, False)))


def test_nothing_is_meant_by_negative_clicks_on_a_new_photograph_or_by_no_clicks(session, network):
    assert session.answer("a", decoded, [Click(5, 5, False)]) is None
    assert session.answer("a", decoded, []) is None and network.asked == 0


def test_negative_clicks_before_the_first_positive_one_are_no_reason_to_fail(session):
    clicks = [*(Click(5, number, False) for number in range(10)), Click(45, 30)]
    assert session.answer("a", decoded, clicks).mask.any()


@pytest.mark.parametrize("click", [Click(90, 30), Click(-1, 30), Click(45, 60)])
def test_a_click_outside_says_so_and_the_next_is_answered(session, click):
    with pytest.raises(RequestError, match="outside"):
        session.answer("a", decoded, [click])
    assert session.answer("a", decoded, [Click(45, 30)]).mask.any()


def test_the_same_box_twice_gives_the_same_answer(session):
    first, second = (session.answer("a", decoded, [], Box(25, 15, 65, 45)) for _ in range(2))
    assert (first.mask == second.mask).all() and first.mask.any()


def test_an_answer_of_nothing_is_remembered_too_and_corrected_where_somebody_clicks_again():
    session = ClickSession(lambda inputs: np.zeros((*inputs.shape[:3], 1), np.float32))
    assert not session.answer("a", decoded, [Click(45, 30)]).mask.any()
    # A correction is obeyed, whatever the network says.
    rows, columns = np.nonzero(session.answer("a", decoded, [Click(45, 30), Click(46, 30)]).mask)
    assert rows.tolist() == [30, 30] and columns.tolist() == [45, 46]


def test_eight_people_at_once_each_get_their_own_photograph(session):
    def click(number):
        image = np.full((40, 50 + number, 3), 60, np.uint8)
        image[10:20, 10:20 + number] = 220
        found = [session.answer(f"p{number}", lambda: image, [Click(12, 12), Click(14 + turn, 15)])
                 for turn in range(5)]
        return all(item.mask.shape == (40, 50 + number) and item.mask[12, 12] for item in found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(click, range(8)))
