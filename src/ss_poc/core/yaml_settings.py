"""Reading a yaml file into dataclasses: every error at once, each with its line.

A field of a dataclass is declared by `entry`, which says how its value is read. Values may hold `${NAME}`: what the
environment has under that name. Secrets come from there and from nowhere else.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from .errors import ConfigError

__all__ = ["Reader", "address", "block", "blocks", "choice", "each", "entry", "file", "folder", "named", "number",
           "path", "pattern", "read_yaml", "secret", "switch", "text", "url", "whole", "words"]

T = TypeVar("T")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MAPPING, LIST, SCALAR = "names with values", "a list", "one value"
NULL = "tag:yaml.org,2002:null"

Read = Callable[["Reader", yaml.Node, str], Any]


class _Wrong(Exception):
    """A value that cannot be: what it is, and what it should be."""


@dataclass(frozen=True)
class _Problem:
    line: int
    what: str
    expected: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" + (f"; expected {self.expected}" if self.expected else "")


def entry(read: Read, meaning: str, default: Any = MISSING) -> Any:
    """A field of a settings dataclass.

    Args:
        read: how its value is read.
        meaning: what it is, for an error that says it is missing.
        default: left out where the setting must be given.
    """
    return field(default=default, metadata={"read": read, "meaning": meaning})


class Reader:
    """One file that is being read, and all that is wrong with it.

    Args:
        source: the file; paths in it are relative to its folder.
        environment: where `${NAME}` comes from.
    """

    def __init__(self, source: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = source.parent.resolve(), environment
        self.problems: list[_Problem] = []
        self._lines: dict[str, int] = {}

    def note(self, place: str, what: str, expected: str = "") -> None:
        """Note an error about a place that was read before, such as `sources[0].path`."""
        known = place
        while known and known not in self._lines:  # a setting that was left out is said where its block begins
            known = known.rpartition(".")[0]
        self.problems.append(_Problem(self._lines.get(known, 1), f"{place} {what}".strip(), expected))

    def value(self, read: Read, node: yaml.Node, place: str) -> Any:
        """Read one value; None, and a noted error, where it is wrong."""
        self._lines[place] = node.start_mark.line + 1
        try:
            return read(self, node, place)
        except _Wrong as error:
            self.note(place, *error.args)
            return None

    def scalar(self, node: yaml.Node) -> str:
        """The text of one value, with what the environment has in place of each `${NAME}`."""
        if not isinstance(node, yaml.ScalarNode):
            raise _Wrong(f"holds {_kind(node)}", SCALAR)
        if node.tag == NULL:
            raise _Wrong("is empty", "a value")
        missing = [name for name in VARIABLE.findall(node.value) if name not in self.environment]
        if missing:
            raise _Wrong(f"asks for {', '.join(missing)}", "a variable that the environment has")
        return VARIABLE.sub(lambda found: self.environment[found[1]], node.value)

    def mapping(self, cls: type[T], node: yaml.Node, place: str, passed: tuple[str, ...] = ()) -> T | None:
        """Read names with values into a dataclass; names in `passed` belong to somebody else."""
        if not isinstance(node, yaml.MappingNode):
            raise _Wrong(f"holds {_kind(node)}", MAPPING)
        known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
        before, values, given = len(self.problems), {}, set()
        for key, child in node.value:
            name, inner = str(key.value), f"{place}.{key.value}" if place else str(key.value)
            self._lines[inner] = key.start_mark.line + 1
            if name in given:
                self.note(inner, "is there twice", "one of them")
            elif name in known:
                values[name] = self.value(known[name].metadata["read"], child, inner)
            elif name not in passed:
                self.note(inner, "is not known", _nearest(name, known))
            given.add(name)
        for name, item in known.items():
            if name not in given and item.default is MISSING:
                self.note(f"{place}.{name}" if place else name, "is missing", item.metadata["meaning"])
        return cls(**values) if len(self.problems) == before else None


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return MAPPING
    return LIST if isinstance(node, yaml.SequenceNode) else SCALAR


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return near[0] if near else "one of " + ", ".join(known)


def read_yaml(cls: type[T], source: Path, together: Callable[[T, Reader], None],
              environment: Mapping[str, str] = os.environ) -> T:
    """Read a whole file, and check it.

    Args:
        cls: dataclass of `entry` fields.
        source: the yaml file.
        together: notes what is wrong of settings that must fit each other.
        environment: where `${NAME}` comes from.

    Raises:
        ConfigError: the file is missing, is no yaml, or has errors: all of them are said, each with its line.
    """
    reader = Reader(source, environment)
    try:
        node = yaml.compose(source.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise ConfigError(f"{source} is missing", "a yaml file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source} is not written in UTF-8", "a yaml file in UTF-8", "save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source} is no yaml: line {line}: {error.problem}", "yaml",
                          "check the spaces at the beginning of that line and the one above") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is no yaml: {error}", "yaml") from None
    if node is None:
        raise ConfigError(f"{source} is empty", MAPPING)
    found: T = reader.value(block(cls), node, "")
    if found is not None:
        together(found, reader)
    if reader.problems:
        lines = [str(problem) for problem in sorted(reader.problems, key=lambda problem: problem.line)]
        count = "an error" if len(lines) == 1 else f"{len(lines)} errors"
        raise ConfigError("\n  ".join([f"{source} has {count}", *lines]),
                          fix="put all of them right: nothing was started")
    return found


def block(cls: type) -> Read:
    """Names with values, which `cls` declares."""
    return lambda reader, node, place: reader.mapping(cls, node, place)


def blocks(kinds: Mapping[str, type]) -> Read:
    """A list of blocks, told apart by their `type`."""

    def one(reader: Reader, node: yaml.Node, place: str) -> Any:
        given = [child for key, child in getattr(node, "value", ()) if key.value == "type"] \
            if isinstance(node, yaml.MappingNode) else []
        if not given:
            raise _Wrong("has no type", "type: " + " | ".join(kinds))
        kind = reader.value(choice(*kinds), given[0], f"{place}.type")
        return reader.mapping(kinds[kind], node, place, passed=("type",)) if kind else None

    return each(one)


def named(cls: type) -> Read:
    """Names of the user's own, each with a block that `cls` declares."""

    def read(reader: Reader, node: yaml.Node, place: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _Wrong(f"holds {_kind(node)}", MAPPING)
        found: dict[str, Any] = {}
        for key, child in node.value:
            name = str(key.value)
            value = reader.value(block(cls), child, f"{place}.{name}")
            if name in found:
                reader.note(f"{place}.{name}", "is there twice", "one of them")
            found[name] = value
        return found

    return read


def each(read: Read) -> Read:
    """A list, whose items are all read alike."""
    return lambda reader, node, place: tuple(reader.value(read, child, f"{place}[{index}]")
                                             for index, child in enumerate(_items(node)))


def words(*names: str) -> Read:
    """A list of some of these names."""
    return each(choice(*names))


def _items(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _Wrong(f"holds {_kind(node)}", LIST)
    return list(node.value)


def text(shape: str = ".+", expected: str = "a text") -> Read:
    """A text that a regular expression matches as a whole."""

    def read(reader: Reader, node: yaml.Node, _: str) -> str:
        found = reader.scalar(node)
        if not re.fullmatch(shape, found, re.DOTALL):
            raise _Wrong(f"is {found!r}", expected)
        return found

    return read


def choice(*names: str) -> Read:
    """One of some names."""
    return text("|".join(map(re.escape, names)), "one of " + ", ".join(names))


def switch(reader: Reader, node: yaml.Node, place: str) -> bool:
    """True or false."""
    found = reader.scalar(node)
    if found.lower() not in ("true", "false"):
        raise _Wrong(f"is {found!r}", "true or false")
    return found.lower() == "true"


def number(least: float = -math.inf, most: float = math.inf, kind: Callable[[str], float] = float) -> Read:
    """A number within bounds."""
    name = "a whole number" if kind is int else "a number"

    def read(reader: Reader, node: yaml.Node, _: str) -> float:
        found = reader.scalar(node)
        try:
            value = kind(found)
        except ValueError:
            raise _Wrong(f"is {found!r}", name) from None
        if not least <= value <= most or math.isinf(value):
            bounds = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
            raise _Wrong(f"is {found}", f"{name} {bounds}")
        return value

    return read


def whole(least: float = 0, most: float = math.inf) -> Read:
    """A whole number within bounds."""
    return number(least, most, int)


def path(reader: Reader, node: yaml.Node, place: str) -> Path:
    """A path, relative to the folder of the file."""
    return reader.folder / Path(reader.scalar(node)).expanduser()


def folder(reader: Reader, node: yaml.Node, place: str) -> Path:
    """A folder that is there."""
    found = path(reader, node, place)
    if not found.is_dir():
        raise _Wrong(f"is {str(found)!r}", "a folder that is there")
    return found


def file(reader: Reader, node: yaml.Node, place: str) -> Path:
    """A file that is there."""
    found = path(reader, node, place)
    if not found.is_file():
        raise _Wrong(f"is {str(found)!r}", "a file that is there")
    return found


def secret(reader: Reader, node: yaml.Node, place: str) -> str:
    """A secret: a variable of the environment, never written in the file."""
    if isinstance(node, yaml.ScalarNode) and node.tag != NULL and not VARIABLE.fullmatch(node.value):
        raise _Wrong("is written in the file", "a secret from the environment, such as ${LINE_SECRET}")
    found = reader.scalar(node)
    if not found:
        raise _Wrong("is empty", "a variable with a value")
    return found


def url(*schemes: str) -> Read:
    """An address with one of some schemes; a password in it comes from the environment."""

    def read(reader: Reader, node: yaml.Node, _: str) -> str:
        found = reader.scalar(node)
        try:
            written, parts = urlsplit(node.value), urlsplit(found)
            port_is_right = parts.port != 0
        except ValueError:
            port_is_right = False
        if not port_is_right or parts.scheme not in schemes or not (parts.hostname or parts.path.strip("/")):
            raise _Wrong(f"is {VARIABLE.sub('…', str(node.value))!r}",
                         f"an address that begins with {' or '.join(schemes)}://")
        if written.password and not VARIABLE.search(written.password):
            raise _Wrong("has a password that is written in the file",
                         "it from the environment, such as ${LINE_PASSWORD}")
        return found

    return read


def address(*schemes: str) -> Read:
    """A camera's number or device, an address with one of some schemes, or a file that is there."""

    def read(reader: Reader, node: yaml.Node, place: str) -> str:
        found = reader.scalar(node)
        if "://" in found:
            return str(url(*schemes)(reader, node, place))
        return found if found.isdecimal() or found.startswith("/dev/") else str(file(reader, node, place))

    return read


def pattern(*groups: str) -> Read:
    """A regular expression that names at least one of some groups."""

    def read(reader: Reader, node: yaml.Node, _: str) -> re.Pattern[str]:
        found = reader.scalar(node)
        try:
            compiled = re.compile(found)
        except re.error as error:
            raise _Wrong(f"is {found!r}: {error}", "a regular expression") from None
        if not set(groups) & set(compiled.groupindex):
            raise _Wrong(f"is {found!r}", "a named group: " + " or ".join(f"(?P<{name}>…)" for name in groups))
        return compiled

    return read
