"""ss_poc.core.errors: what a user reads, and the status a command ends with."""

from __future__ import annotations

import errno

import pytest

from ss_poc.core import errors
from ss_poc.core.errors import (
    AnnotatorError,
    ArtifactError,
    ConfigError,
    DataError,
    EngineError,
    ImageError,
    ModelError,
    RequestError,
    SegmentError,
    ServiceError,
    run_command,
)

KINDS = (AnnotatorError, ArtifactError, ConfigError, DataError, EngineError, ImageError, ModelError, RequestError,
         ServiceError)


def status_of(main) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    return ended.value.code


def raiser(error: BaseException):
    def main() -> None:
        raise error
    return main


def test_an_error_says_what_happened_what_was_expected_and_what_to_do():
    error = SegmentError("epoch is 0", "at least 1", "leave --epoch out")
    assert str(error) == "epoch is 0\n  expected: at least 1\n  to do:    leave --epoch out"
    assert (error.what, error.expected, error.fix) == ("epoch is 0", "at least 1", "leave --epoch out")


@pytest.mark.parametrize(("parts", "text"), [
    (("broken",), "broken"),
    (("broken", "whole"), "broken\n  expected: whole"),
    (("broken", "", "mend it"), "broken\n  to do:    mend it"),
])
def test_parts_that_are_not_known_make_no_line(parts, text):
    assert str(SegmentError(*parts)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_caught_as_the_base_and_says_the_same(kind):
    with pytest.raises(SegmentError) as raised:
        raise kind("a", "b", "c")
    assert str(raised.value) == "a\n  expected: b\n  to do:    c" and type(raised.value) is kind


def test_no_kind_is_caught_as_another():
    assert {kind.__base__ for kind in KINDS} == {SegmentError}
    assert {name for name in errors.__all__ if name.endswith("Error")} == {k.__name__ for k in (*KINDS, SegmentError)}


def test_an_image_error_carries_the_http_status_400_unless_said():
    assert ImageError("no image").status == 400
    assert ImageError("too large", "less", "cut it", status=413).status == 413


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_a_command_that_returns_ends_with_what_it_returned(returned, status, capsys):
    assert status_of(lambda: returned) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "status", "line"), [
    (ConfigError("epoch is 0", "at least 1"), 2, "error: epoch is 0\n  expected: at least 1\n"),
    (SegmentError("a"), 1, "error: a\n"),
    (DataError("a"), 1, "error: a\n"),
    (ArtifactError("a"), 1, "error: a\n"),
    (ModelError("a"), 1, "error: a\n"),
    (ImageError("a", status=415), 1, "error: a\n"),
    (KeyboardInterrupt(), 130, "interrupted\n"),
])
def test_a_known_error_is_a_sentence_on_stderr_and_a_status(error, status, line, capsys):
    assert status_of(raiser(error)) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_the_file(number, capsys):
    assert status_of(raiser(OSError(number, "no room", "/run/model.keras"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the disk is full (/run/model.keras)\n") and "free some space" in said


def test_a_full_disk_without_a_file_name_says_the_reason(capsys):
    assert status_of(raiser(OSError(errno.ENOSPC, "no room"))) == 1
    assert "no room" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), ValueError("a bug"), RuntimeError("a bug")])
def test_an_error_nobody_foresaw_keeps_its_traceback(error):
    with pytest.raises(type(error)) as raised:
        run_command(raiser(error))
    assert raised.value is error


def test_a_wrong_call_ends_as_argparse_says():
    assert status_of(raiser(SystemExit(2))) == 2
