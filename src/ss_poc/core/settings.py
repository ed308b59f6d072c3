"""How settings are declared, checked and read: a field of a dataclass says its type, meaning, bounds and variable.

A setting that may be left open has the default None, and None means "not set" everywhere.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from .errors import ConfigError

__all__ = ["check_bounds", "flags_of", "from_environment", "from_flags", "kinds_of", "setting", "stored_settings"]

T = TypeVar("T")


def setting(default: Any, meaning: str, choices: Sequence[str] = (), least: float | None = None,
            most: float | None = None, variable: str = "", unset: str = "", old_unset: float | None = None) -> Any:
    """A dataclass field that knows what it means and what it may be.

    Args:
        default: None for a setting that may be left open.
        meaning: for `--help`.
        choices: the only legal values, where there are but a few.
        least, most: bounds of a number.
        variable: environment variable; "" for SS_POC_<NAME>.
        unset: for `--help`: what is taken where the setting is None.
        old_unset: number that meant "not set" before None did. Flags, variables and run.json files that hold it are
            read as None.
    """
    return field(default=default, metadata={"meaning": meaning, "choices": choices, "least": least, "most": most,
                                            "variable": variable, "unset": unset, "old_unset": old_unset})


def check_bounds(config: Any) -> None:
    """Raise ConfigError where a setting is not one of its choices or is out of its bounds."""
    for item in fields(config):
        value, meta = getattr(config, item.name), item.metadata
        if value is None and item.default is None:
            continue
        if meta.get("choices") and value not in meta["choices"]:
            raise ConfigError(f"{item.name} is {value!r}", "one of " + ", ".join(meta["choices"]))
        if meta.get("least") is not None and not value >= meta["least"]:
            raise ConfigError(f"{item.name} is {value}", f"at least {meta['least']:g}")
        if meta.get("most") is not None and not value <= meta["most"]:
            raise ConfigError(f"{item.name} is {value}", f"at most {meta['most']:g}")
        if meta and _means_unset(item, value):
            raise ConfigError(f"{item.name} is {value!r}", "None where it is not set, or a value with a meaning")


def from_flags(cls: type[T], argv: Sequence[str] | None, description: str, positional: Sequence[str] = (),
               examples: str | None = None) -> T:
    """Settings of `cls` from `--name value` flags; an unknown flag ends the program with status 2.

    Args:
        cls: dataclass of `setting` fields.
        argv: words of the command line; None for the program's own.
        description: for `--help`.
        positional: settings that are given without a flag.
        examples: docstring of the command's module; `--help` shows its indented lines.

    Raises:
        ConfigError: a value that `cls` refuses.
    """
    shown = [line for line in (examples or "").splitlines() if line.startswith("    ")]
    path = Path(sys.argv[0])
    path = path.parent if path.stem == "__main__" else path
    parser = argparse.ArgumentParser(prog=f"python -m ss_poc.{path.stem}" if path.parent.name == "ss_poc" else None,
                                     description=description, allow_abbrev=False,
                                     epilog="\n".join(["examples:", *shown]) if shown else None,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for item in fields(cls):  # type: ignore[arg-type]
        choices, kind = item.metadata["choices"], kinds_of(cls)[item.name]
        if item.name in positional:
            parser.add_argument(item.name, help=_help(item))
        elif kind is bool:
            parser.add_argument(f"--{item.name}", action="store_true", help=_help(item))
        else:
            parser.add_argument(f"--{item.name}", type=_flag_reader(item, kind), default=item.default,
                                help=_help(item),
                                metavar="{" + ",".join(choices) + "}" if choices else item.name.upper())
    return cls(**vars(parser.parse_args(argv)))


def flags_of(cls: type, settings: Mapping[str, Any]) -> list[str]:
    """The words of a command line that `from_flags` reads as these settings of `cls`; defaults are left out."""
    words = []
    for item in fields(cls):
        value = settings.get(item.name, item.default)
        if value == item.default:
            continue
        if value is True:
            words.append(f"--{item.name}")
        elif str(value).startswith("-"):  # a word of its own would be taken for a flag
            words.append(f"--{item.name}={value}")
        else:
            words += [f"--{item.name}", str(value)]
    return words


def from_environment(cls: type[T], environment: Mapping[str, str] = os.environ) -> T:
    """Settings of `cls` from SS_POC_<NAME> variables, or those they name; an empty one counts as not set.

    Raises:
        ConfigError: a variable of the wrong type, or a value that `cls` refuses.
    """
    values = {}
    for item in fields(cls):  # type: ignore[arg-type]
        name = item.metadata["variable"] or f"SS_POC_{item.name.upper()}"
        text, kind = environment.get(name, ""), kinds_of(cls)[item.name]
        if text:
            try:
                values[item.name] = _read(item, kind, text)
            except ValueError:
                raise ConfigError(f"{name} is {text!r}", f"a value of type {kind.__name__}",
                                  f"set {name} right or unset it") from None
    return cls(**values)


def stored_settings(cls: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `cls` as a run.json holds them; what meant "not set" in older files ("", 0 or -1) is None."""
    known = {item.name: item for item in fields(cls)}
    return {name: None if name in known and _means_unset(known[name], value) else value
            for name, value in stored.items()}


def kinds_of(cls: type) -> dict[str, type]:
    """Return the declared type of each setting, without its None."""
    hints = get_type_hints(cls)
    return {item.name: next(kind for kind in (get_args(hints[item.name]) or (hints[item.name],))
                            if kind is not type(None)) for item in fields(cls)}


def _means_unset(item: Field[Any], value: Any) -> bool:
    return item.default is None and (value in (None, "") or value == item.metadata["old_unset"])


def _read(item: Field[Any], kind: Callable[[str], Any], text: str) -> Any:
    value = kind(text)
    return None if _means_unset(item, value) else value


def _flag_reader(item: Field[Any], kind: type) -> Callable[[str], Any]:
    """What argparse turns a flag's text into a value with. It checks choices too: to argparse None would be one."""
    choices = item.metadata["choices"]

    def read(text: str) -> Any:
        value = _read(item, kind, text)
        if choices and value is not None and value not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return value

    read.__name__ = kind.__name__  # argparse says "invalid int value"
    return read


def _help(item: Field[Any]) -> str:
    default = item.metadata["unset"] if item.default is None else item.default
    shown = "" if default == "" or isinstance(default, bool) else f" (default: {default})"
    meaning: str = item.metadata["meaning"]
    return (meaning + shown).replace("%", "%%")
