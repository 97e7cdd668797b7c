"""Columns of facts about many rows, and the readings of single values that fill them.

A column is an array with a way to say "unknown". Text is kept by code (one code per distinct value), so that whatever
reads text does it once per distinct value; numbers and instants are plain arrays.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leadbridge.types import Value

Mask: TypeAlias = NDArray[np.bool_]

UNKNOWN_INSTANT = int(np.iinfo(np.int64).min)
MICROS = 1_000_000
DAY_MICROS = 86_400 * MICROS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def caseless(text: str) -> str:
    """Text without regard to case or to Unicode's look-alike spellings (NFKC)."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def fold(text: str) -> str:
    """The form in which text is compared: caseless, without spaces around it."""
    return caseless(text).strip()


def plain(number: float) -> str:
    """The usual spelling of a number: 5, not 5.0."""
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(float(number))


def micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC. Raises ValueError for an instant that names no zone."""
    if at.tzinfo is None:
        raise ValueError(f"the instant {at.isoformat()} names no zone; give it one, such as UTC")
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * MICROS + since.microseconds


def as_number(value: Any) -> float | None:
    """A finite number, from a number or from text that spells one; None for all else, yes and no included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and "_" in value:  # Python would read 1_000
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_instant(value: Any) -> int | None:
    """Microseconds since 1970, from a datetime, a date, or ISO 8601 text; no zone means UTC. None for all else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return micros(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return (value.toordinal() - _EPOCH.toordinal()) * DAY_MICROS
    return None


_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def as_truth(value: Any) -> bool | None:
    """Yes or no, from a boolean, 1 and 0, or text that says so; None for all else."""
    if isinstance(value, bool):
        return value
    return _TRUTHS.get(spelled(value))


def spelled(value: Any) -> str:
    """Any value as comparable text; "" for what no test can read."""
    match value:
        case str():
            return fold(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 10**300 else ""
        case float():
            return plain(value) if math.isfinite(value) else ""
        case date():  # datetime is one too
            return fold(value.isoformat())
        case _:
            return ""


def _datetime(at: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=at)
    except OverflowError:  # UNKNOWN_INSTANT, and the first and last hours of the calendar in other zones
        return None


# --- columns -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Coded:
    """Any values, by code: row i holds values[codes[i]]; code -1 is unknown. Values may repeat."""

    codes: NDArray[np.int32]
    values: Sequence[Value]

    def __len__(self) -> int:
        return len(self.codes)

    def spread(self, of_values: Sequence[Any], of_unknown: Any) -> NDArray[Any]:
        """One answer per value, turned into one answer per row."""
        return np.array([*of_values, of_unknown])[self.codes]  # code -1 takes the last

    @cached_property
    def readings(self) -> list[tuple[Value, str] | None]:
        """Each value beside its comparable text; None where it is unknown after all."""
        return [(value, text) if text else None for value, text in zip(self.values, self.texts, strict=True)]

    @cached_property
    def texts(self) -> list[str]:
        """The comparable text of each value; "" where it is unknown after all."""
        return [
            value.casefold().strip()  # as `spelled` has it, at a third of the cost
            if type(value) is str and value.isascii()
            else spelled(value)
            for value in self.values
        ]

    @cached_property
    def known(self) -> Mask:
        return self.spread([reading is not None for reading in self.readings], False)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The column as numbers, NaN where it has none."""
        return self.spread(_as_numbers(self.values), math.nan)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers; NaN (or an infinity) is unknown."""

    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def known(self) -> Mask:
        known: Mask = np.isfinite(self.values)
        return known

    @cached_property
    def coded(self) -> Coded:
        """The same by code, for tests on spelling."""
        distinct, codes = np.unique(self.values, return_inverse=True)
        return Coded(codes.astype(np.int32), distinct.tolist())


@dataclass(frozen=True, eq=False)
class Instants:
    """Instants as microseconds since 1970 in UTC; UNKNOWN_INSTANT is unknown."""

    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def known(self) -> Mask:
        known: Mask = self.at != UNKNOWN_INSTANT
        return known

    @cached_property
    def coded(self) -> Coded:
        """The same by code, for tests on spelling."""
        distinct, codes = np.unique(self.at, return_inverse=True)
        return Coded(codes.astype(np.int32), [_datetime(at) for at in distinct.tolist()])


Column: TypeAlias = Coded | Numbers | Instants


def values_of(column: Column) -> list[Value]:
    """The column as Python values, None where unknown."""
    kept = column if isinstance(column, Coded) else column.coded
    values = [None if reading is None else reading[0] for reading in kept.readings]
    return [*map([*values, None].__getitem__, kept.codes.tolist())]


def taken(column: Column, rows: NDArray[np.intp]) -> Column:
    """Some rows of a column."""
    match column:
        case Coded():
            return Coded(column.codes[rows], column.values)
        case Numbers():
            return Numbers(column.values[rows])
        case Instants():
            return Instants(column.at[rows])


@dataclass(frozen=True, eq=False)
class Columns:
    """Facts of n rows by field name. A field that is not there is unknown for every row.

    Raises ValueError when a column has another length.
    """

    n: int
    by_name: Mapping[str, Column]

    def __post_init__(self) -> None:
        if wrong := {name: len(column) for name, column in self.by_name.items() if len(column) != self.n}:
            raise ValueError(f"columns of another length than {self.n}: {wrong}")

    def adding(self, more: Mapping[str, Column]) -> "Columns":
        """These columns and more; of two with one name the new one."""
        return Columns(self.n, {**self.by_name, **more})

    def every(self, answer: bool) -> Mask:
        """The same answer for every row."""
        return np.full(self.n, answer)


_SINGLE = (str, bool, int, float, date)


def coded(values: Iterable[Value]) -> Coded:
    """One code per distinct value. 1, 1.0 and True are three values; what is no single value is unknown."""
    rows = list(values)
    sorts = {*map(type, rows)} - {type(None)}
    if len(sorts) <= 1 and all(issubclass(sort, _SINGLE) for sort in sorts):  # the usual case, at a fifth of the cost
        distinct = [value for value in dict.fromkeys(rows) if value is not None]
        code: dict[Value, int] = {value: index for index, value in enumerate(distinct)}
        code[None] = -1
        return Coded(np.fromiter(map(code.__getitem__, rows), np.int32, len(rows)), distinct)
    seen: dict[tuple[type, Value], int] = {}
    codes = [seen.setdefault((type(row), row), len(seen)) if isinstance(row, _SINGLE) else -1 for row in rows]
    return Coded(np.array(codes, np.int32), [value for _, value in seen])


def _as_numbers(values: Iterable[Value]) -> list[float]:
    """Each as a finite number, NaN where it is none."""
    return [
        float(value)  # numbers of a usual size, at a tenth of the cost
        if (type(value) is float or type(value) is int) and -1e300 < value < 1e300
        else math.nan
        if value is None or (number := as_number(value)) is None
        else number
        for value in values
    ]


def _numbers(values: Sequence[Value]) -> Numbers:
    return Numbers(np.array(_as_numbers(values), np.float64))


def _truths(values: Sequence[Value]) -> Coded:
    return coded(as_truth(value) for value in values)


def _instants(values: Sequence[Value]) -> Instants:
    found = (as_instant(value) for value in values)
    return Instants(np.array([UNKNOWN_INSTANT if at is None else at for at in found], np.int64))


_BUILD: Mapping[str, Callable[[Sequence[Value]], Column]] = {
    "text": coded,
    "integer": _numbers,
    "number": _numbers,
    "boolean": _truths,
    "date": _instants,
    "datetime": _instants,
}


def columns_of(rows: Sequence[Mapping[str, Value]], types: Mapping[str, str]) -> Columns:
    """Columns from one mapping per row; `types` as in `config.schema.known_facts`: field to type.

    Only fields with a type become columns. A value that does not fit its type is unknown.
    """
    return Columns(len(rows), {name: _BUILD[kind]([row.get(name) for row in rows]) for name, kind in types.items()})
