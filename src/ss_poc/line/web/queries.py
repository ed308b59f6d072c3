"""What a page may ask for, checked: every value of an address is a stranger's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from ...core.errors import RequestError
from ..history import Query
from ..parts import VERDICTS, storable

__all__ = ["Asked", "key_of", "read_query"]

TEXTS, NUMBERS = ("source", "part", "lot", "label", "verdict"), ("since_ms", "until_ms", "before_id", "after_id")
LONGEST, HIGHEST = 200, 2**53  # characters of a text; a whole number that a browser can say
KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Asked:
    """Which parts, and how many of them."""

    query: Query
    count: int


def read_query(text: str, line: str, most: int = 200) -> Asked:
    """Read the query of an address; values that are empty do not matter.

    Args:
        text: what follows the question mark.
        line: whose parts.
        most: parts at a time; 50 where the address does not say.

    Raises:
        RequestError: a name is unknown or there twice, or a value cannot be.
    """
    try:
        given = parse_qs(text, max_num_fields=20, errors="replace")
    except ValueError:
        raise RequestError("the address holds too many values", "at most 20") from None
    for name, values in given.items():
        if name not in (*TEXTS, *NUMBERS, "count"):
            raise RequestError(f"{name[:50]!r} is not known", "some of " + ", ".join((*TEXTS, *NUMBERS, "count")))
        if len(values) > 1:
            raise RequestError(f"{name} is there {len(values)} times", "one value")
    single = {name: values[0] for name, values in given.items()}
    texts: dict[str, Any] = {name: storable(single[name]) for name in TEXTS if name in single}
    for name, value in texts.items():
        if len(value) > LONGEST:
            raise RequestError(f"{name} has {len(value)} characters", f"at most {LONGEST}")
    if texts.get("verdict", VERDICTS[0]) not in VERDICTS:
        raise RequestError(f"verdict is {texts['verdict']!r}", "one of " + ", ".join(VERDICTS))
    numbers: dict[str, Any] = {name: _whole(single, name) for name in NUMBERS if name in single}
    count = _whole(single, "count") if "count" in single else min(50, most)
    if not 1 <= count <= most:
        raise RequestError(f"count is {count}", f"a whole number from 1 to {most}")
    return Asked(Query(line=line, **texts, **numbers), count)


def _whole(given: Mapping[str, str], name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", given[name]) or int(given[name]) > HIGHEST:
        raise RequestError(f"{name} is {given[name][:50]!r}", "a whole number of at least 0")
    return int(given[name])


def key_of(text: str) -> str:
    """The key of a photograph that an address names.

    Raises:
        RequestError: it is none; status 404.
    """
    if not KEY.fullmatch(text):
        raise RequestError("there is no such part", "the 64 hex digits of a part's id", status=404)
    return text
