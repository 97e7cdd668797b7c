"""What people did, to fields of theirs (`behaviour:` of the configuration): counts, sums, rates, dates. Pure.

Activity counts for t - within < at <= t, as it does for rules. Settled here:

- A value that is not a number is no match for sum, average, largest, smallest and latest; one that is unknown is none
  for distinct and most. Numbers are taken to a millionth and bounded at 10^12, so that no order of activities shows.
- `latest` is of the newest activity that has the value; of several at one instant, the largest value. `most` is the
  value that occurs most often, as its text compares; of equals the one that occurred last, of these the first in the
  alphabet.
- A rate is unknown while there is nothing to divide by.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import MICROS, UNKNOWN_INSTANT, Coded, Column, Instants, Mask, Numbers
from leadbridge.conditions import Prepared, prepare
from leadbridge.config.behaviour import Behaviour, Counted
from leadbridge.config.conditions import fields_of
from scoring.frames import KIND_CODES, Activities

_PART = 1e6
"""Parts of one that numbers are counted in, as integers."""

_LARGEST = 1e12


@dataclass(frozen=True, slots=True)
class CompiledCount:
    """Which activities count. `within` in microseconds."""

    kinds: tuple[int, ...]
    where: Prepared | None
    where_keys: frozenset[str]
    within: int | None


@dataclass(frozen=True, slots=True)
class CompiledBehaviour:
    """One field, ready to be worked out."""

    name: str
    take: str
    value: str | None
    counted: CompiledCount
    per: CompiledCount | None
    without: CompiledCount | None = None

    @property
    def counts(self) -> tuple[CompiledCount, ...]:
        """Everything it counts."""
        return tuple(one for one in (self.counted, self.per, self.without) if one is not None)

    @property
    def reach(self) -> int | None:
        """Microseconds before the instant of asking beyond which no activity matters; None: all of it does."""
        asked = [one.within for one in self.counts]
        return None if None in asked else max(within for within in asked if within is not None)

    @property
    def kinds(self) -> frozenset[int]:
        """Kinds of activity it looks at, as `frames.KIND_CODES`."""
        return frozenset(kind for one in self.counts for kind in one.kinds)


def compile_behaviour(behaviour: Mapping[str, Behaviour]) -> tuple[CompiledBehaviour, ...]:
    """Make fields ready, in the file's order. Raises ValueError as `conditions.prepare` does."""
    return tuple(
        CompiledBehaviour(
            name,
            each.take,
            each.value,
            compile_count(each),
            None if each.per is None else compile_count(each.per),
            None if each.without is None else compile_count(each.without),
        )
        for name, each in behaviour.items()
    )


def compile_count(counted: Counted) -> CompiledCount:
    """Make ready which activities count. Raises ValueError as `conditions.prepare` does."""
    return CompiledCount(
        kinds=tuple(sorted({KIND_CODES[kind] for kind in counted.of})),
        where=None if counted.where is None else prepare(counted.where),
        where_keys=frozenset() if counted.where is None else frozenset(fields_of(counted.where)),
        within=None if counted.within is None else round(counted.within * MICROS),
    )


def measured(behaviour: tuple[CompiledBehaviour, ...], n: int, activities: Activities, t: int) -> dict[str, Column]:
    """A column of n people for each field, at t (microseconds since 1970)."""
    return {each.name: _column(each, n, activities, t) for each in behaviour}


def _column(each: CompiledBehaviour, n: int, activities: Activities, t: int) -> Column:
    rows = counted_rows(each.counted, activities, t)
    person, at = activities.person[rows], activities.at[rows]
    if each.take == "count":
        count = np.bincount(person, minlength=n).astype(np.float64)
        if each.per is None:
            return Numbers(count)
        whole = np.bincount(activities.person[counted_rows(each.per, activities, t)], minlength=n)
        return Numbers(np.where(whole > 0, count / np.maximum(whole, 1), np.nan))
    if each.take in ("first_at", "last_at"):
        return Instants(_extreme(person, at, n, last=each.take == "last_at"))
    if each.take in ("distinct", "most"):
        column = activities.documents.column(str(each.value))
        codes, texts = _by_text(column, activities.documents.codes[rows])
        known = codes >= 0
        if each.take == "distinct":
            pairs = np.unique(np.stack([person[known], codes[known]]), axis=1)
            if each.without is not None:
                others = counted_rows(each.without, activities, t)
                other, _ = _by_text(column, activities.documents.codes[others])
                theirs = np.stack([activities.person[others], other]).astype(np.int64)
                span = len(texts) + 1  # one number for each person and value; -1 is no value of anybody's
                pairs = pairs[:, ~np.isin(pairs[0].astype(np.int64) * span + pairs[1], theirs[0] * span + theirs[1])]
            return Numbers(np.bincount(pairs[0], minlength=n).astype(np.float64))
        return _most(person[known], codes[known], at[known], texts, n)
    values = activities.documents.column(str(each.value)).numbers[activities.documents.codes[rows]]
    known = np.isfinite(values)
    parts = np.rint(np.clip(values[known], -_LARGEST, _LARGEST) * _PART)
    return Numbers(_of_numbers(each.take, person[known], at[known], parts, n))


def counted_rows(counted: CompiledCount, activities: Activities, t: int) -> NDArray[np.intp]:
    """Places of the activities that count, in the order of the frame."""
    kind: Mask = activities.kind == counted.kinds[0]
    for another in counted.kinds[1:]:
        kind |= activities.kind == another
    rows = np.flatnonzero(kind & (activities.at <= t))
    if counted.within is not None:
        rows = rows[activities.at[rows] > t - counted.within]
    if counted.where is not None and len(rows):
        passing = counted.where.check(activities.documents.columns(counted.where_keys), t)
        rows = rows[passing[activities.documents.codes[rows]]]
    return rows


def _extreme(person: NDArray[np.int32], at: NDArray[np.int64], n: int, *, last: bool) -> NDArray[np.int64]:
    found = np.full(n, UNKNOWN_INSTANT)
    if last:
        np.maximum.at(found, person, at)
        return found
    earliest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(earliest, person, at)
    found[person] = earliest[person]
    return found


def _of_numbers(
    take: str, person: NDArray[np.int32], at: NDArray[np.int64], parts: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Sum, average, largest, smallest or latest of numbers in parts."""
    count = np.bincount(person, minlength=n)
    if take in ("sum", "average"):
        total = np.bincount(person, parts, minlength=n).astype(np.float64)
        return total / _PART if take == "sum" else np.where(count > 0, total / np.maximum(count, 1) / _PART, np.nan)
    order = np.lexsort((parts, at, person) if take == "latest" else (at, parts, person))
    chosen = order[_ends(person[order], first=take == "smallest")]
    found = np.full(n, np.nan)
    found[person[chosen]] = parts[chosen] / _PART
    return found


def _ends(person: NDArray[np.int32], *, first: bool) -> Mask:
    """The last (or first) row of each person, in rows ordered by person."""
    ends = np.ones(len(person), np.bool_)
    if first:
        ends[1:] = person[1:] != person[:-1]
    else:
        ends[:-1] = person[1:] != person[:-1]
    return ends


def _by_text(column: Coded, documents: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[str]]:
    """A code per activity by the text its value compares as, in the order of the alphabet; -1: unknown."""
    texts = sorted({reading[1] for reading in column.readings if reading is not None})
    place = {text: code for code, text in enumerate(texts)}
    codes = column.spread([-1 if reading is None else place[reading[1]] for reading in column.readings], -1)
    found: NDArray[np.int32] = codes[documents].astype(np.int32)
    return found, texts


def _most(
    person: NDArray[np.int32], codes: NDArray[np.int32], at: NDArray[np.int64], texts: list[str], n: int
) -> Coded:
    """The value each person has most often."""
    found = np.full(n, -1, np.int32)
    if len(person):
        pairs, place = np.unique(np.stack([person, codes]), axis=1, return_inverse=True)
        place = place.ravel()
        counts = np.bincount(place)
        last = np.full(len(counts), UNKNOWN_INSTANT)
        np.maximum.at(last, place, at)
        order = np.lexsort((-pairs[1], last, counts, pairs[0]))
        chosen = order[_ends(pairs[0][order].astype(np.int32), first=False)]
        found[pairs[0][chosen]] = pairs[1][chosen]
    return Coded(found, texts)
