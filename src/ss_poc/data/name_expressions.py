"""Expressions that could find the workpiece in a photograph's name, made of what the names of a data set consist of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Expression", "expressions", "shortened"]

# Fields of a name lie between marks such as _ and -; in a second reading, numbers and words are fields of their own.
READINGS = {"whole": re.compile(r"[^\W_]+|[\W_]+"), "split": re.compile(r"[0-9]+|[^\W\d_]+|[\W_]+|\d")}
FIELD, WORD = re.compile(r"[^\W_]"), re.compile(r"[^\W\d_]{2}")
# Forms of names that are looked at, the most frequent first, and the fraction of the names that have such a form.
MOST_FORMS, LEAST_OF_FORM = 3, 0.1
# A name of more fields is a sentence.
MOST_FIELDS = 16
# Digits that are cut off a number, so that near numbers are the same.
CUTS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Expression:
    """A regular expression with one group, in three pieces.

    Attributes:
        before: what comes before the group, a piece for each field and mark.
        group: what is in the group.
        after: what must follow it.
        whole: whether the group ends where a field ends; else it holds the first digits of a number.
        view: of names of the same form, what the fields after the group say; None where fields that differ come
            before the group, or none follow it.
    """

    before: tuple[str, ...]
    group: str
    after: str
    whole: bool = True
    view: dict[str, str] | None = None

    @property
    def pattern(self) -> str:
        """As `--group` takes it."""
        return f"{''.join(self.before)}({self.group}){self.after}"


def expressions(names: Sequence[str]) -> list[Expression]:
    """Expressions for groups of fields that follow each other, and for numbers without their last digits.

    Args:
        names: of photographs, relative to the data set's folder.
    """
    found = [Expression(("^",), "[^/]+", "/"), Expression(("^",), ".+", "/[^/]+$")] \
        if any("/" in name for name in names) else []
    stems = {name: name.removesuffix(PurePosixPath(name).suffix) for name in names}
    for reading in READINGS.values():
        parts = {name: tuple(reading.findall(stem)) for name, stem in stems.items()}
        forms = {name: _form(found, reading is READINGS["split"]) for name, found in parts.items()}
        for form, count in Counter(forms.values()).most_common(MOST_FORMS):
            if count >= LEAST_OF_FORM * len(names) and len(form) < 2 * MOST_FIELDS:
                found += _of_form({name: parts[name] for name in names if forms[name] == form})
    return [*{expression.pattern: expression for expression in reversed(found)}.values()][::-1]


def shortened(expression: Expression, names: Sequence[str]) -> str:
    """The shortest pattern that groups these names as an expression does, by leaving out what it need not say.

    It begins where the name begins, or with a word that all names have there.
    """
    pieces = [*expression.before, expression.group]
    starts = [index for index, piece in enumerate(pieces) if WORD.match(piece)]
    wanted = _partition(expression.pattern, names)
    for after in ("", expression.after):
        for start in (*reversed(starts), 0):
            pattern = f"{''.join(expression.before[start:])}({expression.group}){after}"
            if _partition(pattern, names) == wanted:
                return pattern
    return expression.pattern


def _partition(pattern: str, names: Sequence[str]) -> list[int]:
    """For each name the number of its group, in the order of their first names; no match is a group by itself."""
    numbers: dict[str, int] = {}
    compiled = re.compile(pattern)
    keys = [(found[1] if (found := compiled.search(name)) else "") or f"/{name}" for name in names]
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _form(parts: Sequence[str], split: bool) -> tuple[str, ...]:
    """Names of the same form have the same marks, and fields where the others have fields."""
    return tuple(("0" if split and part.isdigit() else "a") if FIELD.match(part) else part for part in parts)


def _of_form(parts: dict[str, tuple[str, ...]]) -> Iterator[Expression]:
    """Expressions of names, with their parts, that have one form."""
    columns = [*zip(*parts.values(), strict=True)]
    marks = {character for column in columns if not FIELD.match(column[0]) for character in column[0]}
    tokens = [_token(set(column), marks, last=index == len(columns) - 1) for index, column in enumerate(columns)]
    differ = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    for begin in differ:
        for end in (end for end in differ if end >= begin):
            follows = [index for index in differ if index > end]
            view = {name: "".join(found[follows[0]:]) for name, found in parts.items()} \
                if follows and begin == differ[0] else None
            yield Expression(("^", *tokens[:begin]), "".join(tokens[begin:end + 1]),
                             tokens[end + 1] if end + 1 < len(tokens) else r"\.", view=view)
        if all(text.isdigit() for text in columns[begin]):
            yield from _cut(columns, tokens, begin)


def _cut(columns: Sequence[Sequence[str]], tokens: Sequence[str], index: int) -> Iterator[Expression]:
    """Expressions for a number without its last digits.

    What stands before the number joins the group where it is always the same: else a number of few digits would leave
    the group empty.
    """
    start = index
    while start and len(set(columns[start - 1])) == 1:
        start -= 1
    if start < index and not FIELD.match(columns[start][0]):
        start += 1
    before, ahead = ("^", *tokens[:start]), "".join(tokens[start:index])
    lengths = {len(text) for text in columns[index]}
    for cut in CUTS:
        if len(lengths) == 1 and (length := min(lengths)) > cut:
            yield Expression(before, f"{ahead}[0-9]{_times(length - cut)}", f"[0-9]{_times(cut)}(?![0-9])", whole=False)
        elif len(lengths) > 1 and cut < max(lengths):
            most = f"{{1,{cut}}}" if cut > 1 else ""
            yield Expression(before, f"{ahead}[0-9]*?", f"[0-9]{most}(?![0-9])", whole=False)


def _times(count: int) -> str:
    return f"{{{count}}}" if count > 1 else ""


def _token(texts: set[str], marks: set[str], last: bool) -> str:
    """What matches a field or a mark of which these texts are known."""
    if len(texts) == 1:
        return re.sub(r"\\([- #&~])", r"\g<1>", re.escape(next(iter(texts))))  # those need no escape there
    if all(text.isdigit() for text in texts):
        return "[0-9]+"
    other = sorted(marks - {"-"} | ({"."} if last else set()))
    forbidden = "".join(f"\\{mark}" if mark in r"\]^[" else mark for mark in other)
    return f"[^{forbidden}{'-' * ('-' in marks)}]+" if forbidden or "-" in marks else ".+"
