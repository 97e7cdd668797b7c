"""Columns of facts, and the rows of them for which a condition holds. Scoring and nurture both ask here.

The language is `leadbridge.config.conditions`; its meaning on values:

- **Unknown** (None, blank text, NaN, infinity, a field that is not there, text that is not the number or date a test
  needs) makes a test false, never an error; `present: false` alone holds for it. `is_not` and `not_in` need a known
  value; a `not:` around a test is plain logic, so it holds for the unknown.
- **Text** is compared in Unicode's NFKC form, without regard to case or to spaces around it. `words` finds whole
  words: neither a letter nor a digit may touch either end (so "chief_officer" has the word "chief", "mischief" does
  not); a phrase matches across any run of spaces. `matches` searches the compared form, which is lower case, for a
  regular expression of RE2, without regard to case. Either takes time linear in the text.
- **Spellings meet**: `equals: 5` holds for the number 5 and the text "5"; `equals: "5"` for both too; `true` for the
  yes of a checkbox and the text "true". Number tests read text that is a plain number; yes and no are not numbers.
- **Dates**: `within: d` holds for t - d < value <= t, `older_than: d` for value <= t - d, so the two share out the
  past, and `in_next: d` for t < value <= t + d. A date without a time means its midnight in UTC.

Text tests run once per distinct value and are spread by code; number and date tests run on whole arrays.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import and_, ge, gt, le, lt, or_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import (
    DAY_MICROS,
    MICROS,
    Column,
    Columns,
    Instants,
    Mask,
    Numbers,
    as_instant,
    as_number,
    as_truth,
    caseless,
    columns_of,
    fold,
    micros,
    spelled,
)
from leadbridge.config.conditions import AllOf, AnyOf, Condition, FieldTest, Not, Test
from leadbridge.config.patterns import searcher
from leadbridge.types import Value

__all__ = ["Columns", "Mask", "Prepared", "columns_of", "holds", "named_list", "prepare", "words_of"]

# --- tests ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One prepared test on known values: one by one, and where it can, on whole arrays."""

    of_value: Callable[[Value, str, int], bool]  # the value, its comparable text, the instant of asking
    of_numbers: Callable[[NDArray[np.float64]], Mask] | None = None
    of_instants: Callable[[NDArray[np.int64], int], Mask] | None = None
    of_texts: Callable[[Sequence[str]], list[bool]] | None = None  # all at once; "" is unknown, and false


def _one_of(wanted: Iterable[Any], *, inside: bool) -> _Part:
    """Is the value among these (or, not inside, among none of them)?"""
    items = list(wanted)
    texts = frozenset(text for item in items if (text := spelled(item)))
    numbers = frozenset(number for item in items if (number := as_number(item)) is not None)
    truths = frozenset(truth for item in items if (truth := as_truth(item)) is not None)
    instants: set[int] = set()
    days: set[int] = set()
    for item in items:
        if isinstance(item, str) and (at := as_instant(item)) is not None:
            # "2026-03-01" means the whole day, "2026-03-01T00:00" the instant.
            (days if len(item.strip()) <= len("2026-03-01") else instants).add(at)
    array = np.array(sorted(numbers), np.float64)

    def of_value(value: Value, text: str, _at: int) -> bool:
        match value:
            case bool():
                found = value in truths
            case int() | float():
                found = value in numbers
            case date():
                at = as_instant(value) or 0
                found = at in instants or at - at % DAY_MICROS in days
            case _:
                found = text in texts
        return found is inside

    return _Part(of_value, of_numbers=lambda values: np.isin(values, array) == inside)


def _number(holds_for: Callable[[Any], Any]) -> _Part:
    """A comparison that numbers and arrays of them understand alike."""

    def of_value(value: Value, _text: str, _at: int) -> bool:
        number = as_number(value)
        return number is not None and bool(holds_for(number))

    return _Part(of_value, of_numbers=holds_for)


def _text(holds_for: Callable[[str], bool]) -> _Part:
    return _Part(
        lambda _value, text, _at: holds_for(text),
        of_texts=lambda texts: [bool(text) and holds_for(text) for text in texts],
    )


def _instant(holds_for: Callable[[Any, int], Any]) -> _Part:
    def of_value(value: Value, _text: str, at: int) -> bool:
        instant = as_instant(value)
        return instant is not None and bool(holds_for(instant, at))

    return _Part(of_value, of_instants=holds_for)


def _between(ends: tuple[float, float]) -> _Part:
    low, high = ends
    return _number(lambda value: (value >= low) & (value <= high))


def _words(words: Iterable[str]) -> _Part:
    """Literal words and phrases between boundaries. An alternation of literals never backtracks beyond their length."""
    literals = [r"\s+".join(map(re.escape, word.split())) for text in words if (word := fold(text))]
    if not literals:
        return _text(lambda _text: False)
    search = re.compile(rf"(?<![^\W_])(?:{'|'.join(literals)})(?![^\W_])").search
    return _text(lambda text: search(text) is not None)


def _pieces(given: str | Sequence[str], fold_piece: Callable[[str], str] = fold) -> tuple[str, ...]:
    """Literals of a text test, folded; a blank one can match nothing, rather than everything."""
    return tuple(fold_piece(piece) for piece in ([given] if isinstance(given, str) else given) if piece.strip())


def _starts(pieces: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda text: text.startswith(pieces)


def _ends(pieces: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda text: text.endswith(pieces)


def _contains(given: str | Sequence[str]) -> _Part:
    pieces = _pieces(given, caseless)  # inner spaces may be meant
    if len(pieces) == 1:
        (piece,) = pieces
        return _Part(lambda _value, text, _at: piece in text, of_texts=lambda texts: [piece in text for text in texts])
    return _text(lambda text: any(piece in text for piece in pieces))


def _within(seconds: float) -> _Part:
    length = round(seconds * MICROS)
    return _instant(lambda value, at: (value > at - length) & (value <= at))


def _older_than(seconds: float) -> _Part:
    length = round(seconds * MICROS)
    return _instant(lambda value, at: value <= at - length)


def _in_next(seconds: float) -> _Part:
    length = round(seconds * MICROS)
    return _instant(lambda value, at: (value > at) & (value <= at + length))


_PARTS: Mapping[str, Callable[[Any], _Part]] = {
    "equals": lambda wanted: _one_of([wanted], inside=True),
    "is_not": lambda wanted: _one_of([wanted], inside=False),
    "in_": lambda wanted: _one_of(wanted, inside=True),
    "not_in": lambda wanted: _one_of(wanted, inside=False),
    "at_least": lambda bound: _number(lambda value: ge(value, bound)),
    "at_most": lambda bound: _number(lambda value: le(value, bound)),
    "above": lambda bound: _number(lambda value: gt(value, bound)),
    "below": lambda bound: _number(lambda value: lt(value, bound)),
    "between": _between,
    "words": _words,
    "contains": _contains,
    "matches": lambda given: _text(searcher(given)),
    "starts_with": lambda given: _text(_starts(_pieces(given))),
    "ends_with": lambda given: _text(_ends(_pieces(given))),
    "within": _within,
    "older_than": _older_than,
    "in_next": _in_next,
}


def _parts_of(test: Test) -> tuple[_Part, ...]:
    parts = []
    for name, build in _PARTS.items():
        argument = getattr(test, name)
        if argument is None:
            continue
        if name in ("in_", "not_in") and isinstance(argument, str):
            argument = named_list(argument)
        if name == "words":
            argument = words_of(argument)
        parts.append(build(argument))
    if not parts and test.present is None:
        raise ValueError("a test that tests nothing; for a value that is unknown write {present: false}")
    return tuple(parts)


def named_list(name: str) -> Collection[str]:
    """What a list holds, such as `free_mail_domains`. Raises ValueError for one that is not there."""
    from leadbridge.config.lists import NAMED_LISTS  # read late: they are long

    if name not in NAMED_LISTS:
        raise ValueError(f"there is no list named {name!r}; there is: {', '.join(sorted(NAMED_LISTS))}")
    return NAMED_LISTS[name]


def words_of(given: Iterable[str]) -> list[str]:
    """The words of a `words:` test, each name of a list of words replaced by what it holds."""
    from leadbridge.config.lists import WORD_LISTS

    return [word for one in given for word in sorted(WORD_LISTS.get(one, [one]))]


def _passing(parts: Sequence[_Part], column: Column, at: int) -> Mask:
    """Rows whose value is known and passes every part."""
    if isinstance(column, Numbers):
        if all(part.of_numbers for part in parts):
            return reduce(and_, (part.of_numbers(column.values) for part in parts if part.of_numbers), column.known)
        column = column.coded
    elif isinstance(column, Instants):
        if all(part.of_instants for part in parts):
            return reduce(and_, (part.of_instants(column.at, at) for part in parts if part.of_instants), column.known)
        column = column.coded
    if len(parts) == 1:  # the usual case, at a part of the cost
        of_value, of_texts = parts[0].of_value, parts[0].of_texts
        if of_texts is not None:
            return column.spread(of_texts(column.texts), False)
        return column.spread([reading is not None and of_value(*reading, at) for reading in column.readings], False)
    return column.spread(
        [reading is not None and all(part.of_value(*reading, at) for part in parts) for reading in column.readings],
        False,
    )


# --- conditions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A condition with its words folded and its lists looked up, to be asked many times."""

    check: Callable[[Columns, int], Mask]


def prepare(condition: Condition) -> Prepared:
    """Make a condition ready. Raises ValueError for a list that is not there and for a test that tests nothing."""
    match condition:
        case FieldTest():
            return Prepared(_field_check(condition.field, condition.test))
        case Not():
            part = prepare(condition.part).check
            return Prepared(lambda columns, at: ~part(columns, at))
        case AllOf():
            parts = [prepare(part).check for part in condition.parts]
            return Prepared(
                lambda columns, at: reduce(and_, (part(columns, at) for part in parts), columns.every(True))
            )
        case AnyOf():
            parts = [prepare(part).check for part in condition.parts]
            return Prepared(
                lambda columns, at: reduce(or_, (part(columns, at) for part in parts), columns.every(False))
            )


def _field_check(name: str, test: Test) -> Callable[[Columns, int], Mask]:
    parts = _parts_of(test)

    def check(columns: Columns, at: int) -> Mask:
        column = columns.by_name.get(name)
        if test.present is False:
            return columns.every(True) if column is None else ~column.known
        if column is None:
            return columns.every(False)
        return _passing(parts, column, at) if parts else column.known

    return check


def holds(condition: Condition | Prepared, columns: Columns, at: datetime) -> Mask:
    """For each row: does the condition hold at this instant? Shape (columns.n,).

    Raises ValueError as `prepare` does, and when `at` names no zone.
    """
    prepared = condition if isinstance(condition, Prepared) else prepare(condition)
    return prepared.check(columns, micros(at))
