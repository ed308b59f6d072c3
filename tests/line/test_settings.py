"""The yaml of a line: all errors at once, each with its line."""

from __future__ import annotations

import pytest

from ss_poc.core.errors import ConfigError
from ss_poc.line.command import main
from ss_poc.line.settings import read_settings

RIGHT = """\
line: press-4
state: state
service: {url: "http://127.0.0.1:8892", token: "${TOKEN}"}
sources:
  - type: folder
    name: camera-1
    path: in
    part: '(?P<lot>[A-Z]+)_(?P<part>[0-9]+)'
archive: {days: 90, gigabytes: 1.5}
"""


def written(folder, text):
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "line.yaml"
    path.write_text(text)
    return path


def errors(folder, text, **environment):
    with pytest.raises(ConfigError) as caught:
        read_settings(written(folder, text), environment)
    return str(caught.value)


def test_a_whole_file_is_read(tmp_path):
    found = read_settings(written(tmp_path, RIGHT), {"TOKEN": "s3cret"})
    assert found.line == "press-4" and found.service.token == "s3cret" and found.service.requests == 2
    assert found.sources[0].path == tmp_path / "in" and found.sources[0].done_folder == tmp_path / "in-done"
    assert found.sources[0].part.search("AB_17.png")["part"] == "17"
    assert (found.archive.days, found.archive.gigabytes) == (90, 1.5)
    assert found.archive_url == f"sqlite:///{tmp_path / 'state' / 'archive.sqlite'}"


def test_ten_different_errors_are_said_at_once_each_with_its_line(tmp_path):
    said = errors(tmp_path, """\
line: press 4
state: state
servise: {}
service:
  url: ftp://somewhere
  token: written-here
  requests: many
sources:
  - type: folder
    name: a
    path: nowhere
    part: '([0-9]+)'
    settle: -1
  - type: carrier-pigeon
  - type: folder
    name: a
    after: keep
    done: elsewhere
    path: in
archive: {pictures: every, pictures: none}
""")
    assert said.splitlines()[0].endswith("line.yaml has 11 errors")
    for line in ("line 1: line is 'press 4'; expected letters", "line 3: servise is not known; expected service",
                 "line 5: service.url is 'ftp://somewhere'; expected an address that begins with http or https://",
                 "line 6: service.token is written in the file; expected a secret from the environment",
                 "line 7: service.requests is 'many'; expected a whole number",
                 "line 11: sources[0].path is '", "line 12: sources[0].part is '([0-9]+)'; expected a named group",
                 "line 13: sources[0].settle is -1; expected a number from 0 to 3600",
                 "line 14: sources[1].type is 'carrier-pigeon'; expected one of folder",
                 "line 20: archive.pictures is 'every'", "line 20: archive.pictures is there twice"):
        assert f"\n  {line}" in said, line
    assert "to do:    put all of them right: nothing was started" in said


def test_settings_that_do_not_fit_each_other_are_said_together(tmp_path):
    said = errors(tmp_path, """\
line: a
state: state
sources:
  - {type: folder, name: one, path: in, after: keep, done: there}
  - type: folder
    name: one
    path: ./in
    subfolders: true
    done: in/done
""")
    assert "line 4: sources[0].done is given, but after is keep" in said
    assert "line 4: sources[0].path is watched by another source too" in said
    assert "line 6: sources[1].name is 'one', as another's" in said
    assert "line 9: sources[1].done lies in the folder that is watched" in said


@pytest.mark.parametrize(("text", "expected"), [
    ("", "is empty"), ("a: [1", "is no yaml: line 1"), ("a: b: c", "line 1"), ("- a", "holds a list; expected names"),
    ("line: a\nstate: s\nsources: []\n", "line 3: sources is empty"),
    ("line: a\nstate: s\nsources: x\n", "line 3: sources holds one value; expected a list"),
    ("line: a\nstate:\nsources: [{name: a}]\n", "line 2: state is empty"),
    ("line: a\nstate: s\nsources: [{name: a}]\n", "line 3: sources[0] has no type; expected type: folder"),
    ("line: [a]\nstate: s\nsources: []\n", "line 1: line holds a list; expected one value"),
    ("line: a\nsources: []\n", "line 1: state is missing; expected folder of what the line itself keeps"),
    (RIGHT, "line 3: service.token asks for TOKEN; expected a variable that the environment has"),
    (RIGHT.replace("days: 90", "url: 'postgresql+psycopg://me:open@there/db'"), "line 9: archive.url has a password"),
    (RIGHT.replace("days: 90", "url: 'postgresql+psycopg://there:0/db'"), "line 9: archive.url is '"),
    (RIGHT.replace("days: 90", "days: nan"), "line 9: archive.days is nan"),
    (RIGHT.replace("path: in", "path: in\n    subfolders: yes"), "line 8: sources[0].subfolders is 'yes'; expected"),
    (RIGHT.replace("(?P<lot>[A-Z]+)_", "("), "is '((?P<part>[0-9]+)': missing )"),
])
def test_a_broken_file_is_refused_with_its_line(tmp_path, text, expected):
    assert expected in errors(tmp_path, text)


def test_a_password_in_an_address_comes_from_the_environment(tmp_path):
    text = RIGHT.replace("days: 90", "url: 'postgresql+psycopg://me:${WORD}@there/db'")
    found = read_settings(written(tmp_path, text), {"TOKEN": "x", "WORD": "sesame"})
    assert found.archive_url == "postgresql+psycopg://me:sesame@there/db"
    assert "sesame" not in errors(tmp_path, text.replace("postgresql+psycopg", "mysql"), TOKEN="x", WORD="sesame")


def test_check_says_that_a_file_is_right(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOKEN", "x")
    main(["check", str(written(tmp_path, RIGHT))])
    assert capsys.readouterr().out.endswith("line.yaml is right: line press-4, 1 source(s)\n")


def test_a_missing_or_unreadable_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="is missing"):
        read_settings(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"line: \xe9\n")
    with pytest.raises(ConfigError, match="not written in UTF-8"):
        read_settings(tmp_path / "latin.yaml", {})
