"""What a sink has not taken yet waits on disk, in order, and is handed over once the sink takes it."""

from __future__ import annotations

import logging
import sqlite3

import pytest
from conftest import disk
from lines import until_so

from ss_poc.line.outbox import Delivery, Item, Outbox, SinkError


def item(number: int, picture: bytes = b"") -> Item:
    return Item(f"key-{number}", {"type": "part", "number": number}, {"rle": []} if picture else {}, picture)


def numbers(found) -> list[int]:
    return [item.message["number"] for _, item in found]


class Peer:
    """A sink that takes things only while it is up."""

    name, at_a_time = "peer", 3

    def __init__(self, up: bool = True, wants_pictures: bool = False) -> None:
        self.up, self.wants_pictures, self.got, self.tries, self.closed = up, wants_pictures, [], 0, False

    def deliver(self, items):
        self.tries += 1
        if self.up is not True:
            raise self.up or SinkError("it is down")
        self.got += items

    def close(self):
        self.closed = True


def test_items_come_back_in_order_after_a_restart(tmp_path):
    box = Outbox(tmp_path / "a.sqlite", "a", True, 1)
    box.put([item(1, b"picture"), item(2)])
    box.put([item(3)])
    assert len(box) == 3 and numbers(box.first(2)) == [1, 2]
    box.close()
    box = Outbox(tmp_path / "a.sqlite", "a", True, 1)
    assert [found for _, found in box.first()] == [item(1, b"picture"), item(2), item(3)]
    box.remove([number for number, _ in box.first(2)])
    assert numbers(box.first()) == [3]
    box.close()


def test_an_item_that_waits_already_is_not_queued_again(tmp_path):
    box = Outbox(tmp_path / "a.sqlite", "a", False, 1)
    box.put([item(1), item(2)])
    box.put([item(2), item(3), item(1)])
    assert numbers(box.first()) == [1, 2, 3]
    box.close()


def test_a_full_queue_drops_the_oldest_pictures_first_and_no_verdict_and_says_so(tmp_path, caplog):
    box = Outbox(tmp_path / "a.sqlite", "a", True, 0.001)
    with caplog.at_level(logging.WARNING, "ss_poc.line"):
        box.put([item(number, bytes(400)) for number in range(1, 5)])
    found = [waiting for _, waiting in box.first()]
    assert [waiting.message["number"] for waiting in found] == [1, 2, 3, 4]
    assert [len(waiting.picture) for waiting in found] == [0, 0, 400, 400]
    assert [waiting.message.get("picture_dropped", False) for waiting in found] == [True, True, False, False]
    assert "sink a: its queue is full: the oldest 2 pictures were dropped, verdicts stay" in caplog.text
    box.close()


def test_pictures_that_no_sink_wants_are_not_kept(tmp_path):
    box = Outbox(tmp_path / "a.sqlite", "a", False, 1)
    box.put([item(1, b"picture")])
    assert box.first()[0][1] == Item("key-1", {"type": "part", "number": 1})
    box.close()


def test_a_full_disk_refuses_all_of_a_put_and_what_waits_stays(tmp_path):
    with disk(tmp_path / "small", 400):
        box = Outbox(tmp_path / "small" / "a.sqlite", "a", True, 100)
        box.put([item(1)])
        with pytest.raises(sqlite3.Error, match="full"):
            box.put([item(2), item(3, bytes(500_000))])
        assert numbers(box.first()) == [1]
        box.put([item(2)])
        assert numbers(box.first()) == [1, 2]
        box.close()


@pytest.mark.parametrize("down", [False, SinkError("it is down"), ValueError("nobody foresaw this")])
def test_what_a_sink_does_not_take_is_handed_over_when_it_is_back_in_order(tmp_path, down, monkeypatch):
    monkeypatch.setattr("ss_poc.line.outbox.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("ss_poc.line.outbox.LONGEST_PAUSE", 0.05)
    peer = Peer(down)
    delivery = Delivery(Outbox(tmp_path / "a.sqlite", "a", False, 1), peer)
    delivery.outbox.put([item(number) for number in range(4)])
    delivery.start()
    until_so(lambda: peer.tries >= 3)
    assert delivery.trouble and len(delivery.outbox) == 4
    peer.up = True
    until_so(lambda: len(peer.got) == 4)
    delivery.outbox.put([item(4)])
    until_so(lambda: len(peer.got) == 5 and not delivery.outbox.first())
    assert [found.message["number"] for found in peer.got] == [0, 1, 2, 3, 4] and delivery.trouble == ""
    delivery.stop()
    assert peer.closed


def test_what_is_left_when_a_line_stops_is_handed_over_by_the_next(tmp_path):
    first = Delivery(Outbox(tmp_path / "a.sqlite", "a", False, 1), Peer(up=False))
    first.outbox.put([item(1)])
    first.start()
    until_so(lambda: first.trouble)
    first.stop()
    peer = Peer()
    second = Delivery(Outbox(tmp_path / "a.sqlite", "a", False, 1), peer)
    second.start()
    until_so(lambda: peer.got == [item(1)])
    second.stop()
