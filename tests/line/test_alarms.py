"""Alarms come once and go once, and every sink is told."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
from lines import Process, photograph, until_so, yaml_of

from ss_poc.line.alarms import Alarms
from ss_poc.line.parts import Part
from ss_poc.line.settings import AlarmSettings


class Told:
    """Alarms with a clock that the test sets, and a sink that notes what it is told."""

    def __init__(self, **settings):
        self.now, self.got, self.full = 0.0, [], False
        self.service = SimpleNamespace(trouble="", drift=lambda: self.shifted)
        self.shifted = []
        self.alarms = Alarms(AlarmSettings(**{"not_ready": 0, **settings}), "press", self.service, lambda: self.now)
        self.last = {}

    def put(self, items):
        if self.full:
            raise sqlite3.OperationalError("disk is full")
        self.got += [(item.message["alarm"], item.message["source"], item.message["active"]) for item in items]

    def look(self, at=None):
        self.now = self.now if at is None else at
        delivery = SimpleNamespace(outbox=self)
        self.alarms.look([SimpleNamespace(name="camera", trouble="")], self.last, [delivery])
        told, self.got = self.got, []
        return told

    def see(self, *verdicts):
        for verdict in verdicts:
            self.alarms.see(Part("k", "press", "camera", "a", 0, verdict))


def test_three_rejects_in_five_parts_are_an_alarm_until_they_are_fewer():
    told = Told(rejects=3, of=5)
    told.see("reject", "accept", "reject", "error", "warn")
    assert told.look() == []
    told.see("reject")  # the first one is no longer among the five
    assert told.look() == []
    told.see("reject")
    assert told.look() == [("rejects", None, True)] and told.look() == []
    assert list(told.alarms.active.values()) == ["3 of the last 5 parts were rejected"]
    told.see("accept", "accept", "accept")
    assert told.look() == [("rejects", None, False)] and told.look() == [] and not told.alarms.active


def test_a_source_that_is_silent_is_an_alarm_until_a_photograph_comes():
    told = Told(silent=10)
    assert told.look(9.9) == [] and told.look(10) == [("silent", "camera", True)] and told.look(11) == []
    told.last["camera"] = 12
    assert told.look(12) == [("silent", "camera", False)]
    assert told.look(21) == [] and told.look(22) == [("silent", "camera", True)]


def test_a_service_that_does_not_answer_for_long_is_an_alarm():
    told = Told(not_ready=30)
    told.service.trouble = "it cannot be reached"
    assert told.look(5) == [] and told.look(29) == []
    told.service.trouble = ""
    told.look(29.5)
    told.service.trouble = "it cannot be reached"
    assert told.look(59) == [] and told.look(60) == [("service", None, True)]
    told.service.trouble = ""
    assert told.look(61) == [("service", None, False)]


def test_drift_is_an_alarm_as_the_service_says_it():
    told = Told(drift=60)
    assert told.look(0) == []
    told.shifted = ["brightness"]
    assert told.look(59) == [] and told.look(60) == [("drift", None, True)]
    assert list(told.alarms.active.values()) == ["photographs are unlike those of training in brightness"]
    told.shifted = []
    assert told.look(119) == [] and told.look(120) == [("drift", None, False)]


def test_an_alarm_that_cannot_be_written_is_told_later():
    told = Told(silent=10)
    told.full = True
    assert told.look(10) == []
    told.full = False
    assert told.look(11) == [("silent", "camera", True)] and told.look(12) == []


@pytest.mark.parametrize("settings", [{}, {"rejects": 0, "silent": 0, "drift": 0}])
def test_alarms_that_are_off_say_nothing(settings):
    told = Told(**settings)
    told.see(*["reject"] * 20)
    told.service.trouble, told.shifted = "away", ["contrast"]
    assert told.look(1e6) == []


def test_the_sinks_of_a_line_are_told_of_rejects(tmp_path, service):
    extra = f"sinks: [{{type: csv, name: t, path: {tmp_path}/parts.csv}}]\nalarms: {{rejects: 2, of: 4, drift: 60}}\n"
    with Process(yaml_of(tmp_path, service, extra)):
        for number in range(2):
            (tmp_path / "in" / f"{number}.png").write_bytes(photograph(number, defect=True))
        until_so(lambda: (tmp_path / "parts-alarms.csv").is_file())
    said = (tmp_path / "parts-alarms.csv").read_text().splitlines()[1].split(",")
    assert said[1:6] == ["press", "rejects", "", "True", "2 of the last 2 parts were rejected"]
