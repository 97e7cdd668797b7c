"""What one rule gives each person, and of which activities; the meaning is in `engine`. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask, Numbers, micros
from leadbridge.conditions import Prepared
from scoring.compile import UNIT, CompiledRule, CompiledThen
from scoring.frames import FIRST_OF_MACHINES, KIND_CODES, Activities, People

Units: TypeAlias = NDArray[np.int64]
"""Ten billionths of a point."""

_WORTH_MAX = 1e9 * UNIT  # of one activity; keeps every sum finite whatever number `each` meets


def counted(rule: CompiledRule, activities: Activities, at: datetime) -> NDArray[np.intp]:
    """The activities behind a rule's points, as rows of a frame that is in order; of silence, those that break it."""
    matching = Matching(activities, micros(at))
    rows = matching.rows(rule) if rule.sort == "silence" else _chosen(rule, matching)[0]
    return np.sort(rows.row)


def followers(then: CompiledThen, activities: Activities, at: datetime) -> NDArray[np.intp]:
    """The activities that may end a sequence, as rows of a frame that is in order."""
    return np.sort(Matching(activities, micros(at)).later(then).row)


def points_of(rule: CompiledRule, people: People, activities: Activities, at: datetime) -> Units:
    """What one rule by itself gives each person, in units; the activities are in order."""
    t = micros(at)
    return contribution(rule, people, Matching(activities, t), t)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Some of the activities, up to t: rows in the frame, whose they are, and how old."""

    row: NDArray[np.intp]
    person: NDArray[np.int32]
    age: NDArray[np.int64]

    def at(self, index: NDArray[np.intp] | slice) -> "_Rows":
        return _Rows(self.row[index], self.person[index], self.age[index])

    def where(self, mask: Mask) -> "_Rows":
        return self.at(np.flatnonzero(mask))


class Matching:
    """Which activities a rule sees. They are put in order of kind once, so that a rule's kind is a slice."""

    def __init__(self, activities: Activities, t: int) -> None:
        self._documents = activities.documents_of
        self._t = t
        past = np.flatnonzero(activities.at <= t)
        kind = activities.kind[past]
        order = np.argsort(kind, kind="stable")  # within a kind, the order of the frame stays
        row = past[order]
        self._past = _Rows(row, activities.person[row], t - activities.at[row])
        self._ends = np.searchsorted(kind[order], np.arange(len(KIND_CODES) + 1)).tolist()
        by_people = self._past.at(slice(0, self._ends[FIRST_OF_MACHINES]))
        self._of_kinds: dict[frozenset[int] | None, _Rows] = {None: by_people}

    def rows(self, rule: CompiledRule) -> _Rows:
        """Activities of the rule's kinds, in its period, that pass its `where`; of a kind, in the frame's order."""
        found = self._kinds(rule.kinds)
        if rule.within is not None and not rule.first_only:
            found = found.where(found.age < rule.within)
        found = self._passing(found, rule.kinds, rule.where, rule.where_keys)
        if (then := rule.then) is not None and len(found.row):
            found = found.where(_followed(found, self.later(then), then.within))
        return found

    def later(self, then: CompiledThen) -> _Rows:
        """Activities that may follow those of a rule."""
        return self._passing(self._kinds(then.kinds), then.kinds, then.where, then.where_keys)

    def _passing(
        self, rows: _Rows, kinds: frozenset[int] | None, where: Prepared | None, keys: frozenset[str]
    ) -> _Rows:
        if where is None:
            return rows
        documents = self._documents(kinds)
        passing = where.check(documents.columns(keys), self._t)
        return rows.where(passing[documents.codes[rows.row]])

    def values(self, rule: CompiledRule, key: str, rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """A code per distinct value of an attribute of the rule's activities, as its text compares; -1 for none."""
        documents = self._documents(rule.kinds)
        column = documents.column(key)
        seen: dict[str, int] = {}
        codes = [-1 if reading is None else seen.setdefault(reading[1], len(seen)) for reading in column.readings]
        found: NDArray[np.int32] = column.spread(codes, -1)[documents.codes[rows]].astype(np.int32)
        return found

    def numbers(self, rule: CompiledRule, key: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """A numeric attribute of these activities of the rule's; NaN where it has none."""
        documents = self._documents(rule.kinds)
        return documents.column(key).numbers[documents.codes[rows]]

    def _kinds(self, kinds: frozenset[int] | None) -> _Rows:
        if kinds is not None and kinds not in self._of_kinds:
            slices = [slice(self._ends[kind], self._ends[kind + 1]) for kind in sorted(kinds)]
            if len(slices) == 1:
                self._of_kinds[kinds] = self._past.at(slices[0])
            else:
                mixed = np.concatenate([self._past.row[part] for part in slices])
                order = np.argsort(mixed)  # back into the order of the frame
                places = np.concatenate([np.arange(part.start, part.stop) for part in slices])
                self._of_kinds[kinds] = self._past.at(places[order])
        return self._of_kinds[kinds]


def contribution(rule: CompiledRule, people: People, matching: Matching, t: int) -> Units:
    """What the rule gives each person, in units."""
    n = len(people)
    if rule.sort == "attribute":
        given = np.full(n, rule.points) if rule.each is None else _multiplied(rule, people)
    elif rule.sort == "silence":
        given = np.full(n, rule.points)
        given[matching.rows(rule).person] = 0
    else:
        given = _activity_points(rule, people, matching, t)
    if rule.when is not None:
        given = np.where(rule.when.check(people.facts, t), given, 0)
    return given


def _multiplied(rule: CompiledRule, people: People) -> Units:
    """The points times a number of the person's own; nothing where it is unknown."""
    column = people.facts.by_name.get(str(rule.each))
    if not isinstance(column, Numbers):
        return np.zeros(len(people), np.int64)
    each = np.where(column.known, column.values, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        return _clipped(np.rint(_clipped(rule.points * each, _WORTH_MAX)), rule.bound).astype(np.int64)


def _activity_points(rule: CompiledRule, people: People, matching: Matching, t: int) -> Units:
    n = len(people)
    rows, each = _chosen(rule, matching)
    if rule.at_least is not None:
        sums = np.where(np.bincount(rows.person, minlength=n) >= rule.at_least, float(rule.points), 0.0)
    else:
        pause = None if rule.decay is None else rule.decay.pause
        sums = _sums(rule, rows, each, n, None if pause is None else pause.check(people.facts, t))
    return _clipped(sums, rule.bound).astype(np.int64)


def _chosen(rule: CompiledRule, matching: Matching) -> tuple[_Rows, NDArray[np.float64] | None]:
    """The activities that count, with the number each is multiplied by."""
    rows = matching.rows(rule)
    each = None
    if rule.each is not None:
        each = matching.numbers(rule, rule.each, rows.row)
        rows, each = rows.where(known := np.isfinite(each)), each[known]
    if rule.first_only or rule.distinct is not None:
        chosen = _first(rule, rows, each) if rule.first_only else _distinct(rule, rows, each, matching)
        rows, each = rows.where(chosen), None if each is None else each[chosen]
    if rule.at_most is not None:
        if each is not None:
            order = np.lexsort((each, -rows.age, rows.person))
            rows, each = rows.at(order), each[order]
        newest = _newest(rows.person, rule.at_most)
        rows, each = rows.where(newest), None if each is None else each[newest]
    return rows, each


def _first(rule: CompiledRule, rows: _Rows, each: NDArray[np.float64] | None) -> Mask:
    """The oldest row of each person, if it is in the rule's period; of equally old ones that with the largest value."""
    first = _last_of_run((rows.age, rows.person), each)
    return first if rule.within is None else first & (rows.age < rule.within)


def _distinct(rule: CompiledRule, rows: _Rows, each: NDArray[np.float64] | None, matching: Matching) -> Mask:
    """The newest row of each person and value; of equally new ones that with the largest value of `each`."""
    value = matching.values(rule, str(rule.distinct), rows.row)
    return _last_of_run((-rows.age, value, rows.person), each) & (value >= 0)


def _last_of_run(keys: tuple[NDArray[Any], ...], each: NDArray[np.float64] | None) -> Mask:
    """In order of the keys, the last most important, and then of `each`: the last row of each run of equals.

    All keys but the first make a run.
    """
    order = np.lexsort(keys if each is None else (each, *keys))
    last = np.ones(len(order), np.bool_)
    if len(order):
        last[:-1] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys[1:]])
    found = np.zeros(len(order), np.bool_)
    found[order[last]] = True
    return found


def _followed(rows: _Rows, then: _Rows, within: int) -> Mask:
    """Which rows did the same person follow by one of `then`, later and less than `within` later?"""
    n, both = len(rows.row), len(rows.row) + len(then.row)
    person, age = np.concatenate([rows.person, then.person]), np.concatenate([rows.age, then.age])
    follows = np.arange(both) >= n
    order = np.lexsort((~follows, -age, person))  # of one instant, what follows comes first, so that it is never next
    place = np.where(follows[order], np.arange(both), both)
    after = np.minimum.accumulate(place[::-1])[::-1]  # place of the next that follows, in this order
    some = after < both
    later = order[np.where(some, after, 0)]
    found = np.zeros(both, np.bool_)
    found[order] = some & (person[later] == person[order]) & (age[order] - age[later] < within)
    return found[:n]


def _clipped(values: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    return np.minimum(np.maximum(values, -bound), bound)  # np.clip takes three times as long on a few values


def _newest(person: NDArray[np.int32], count: int) -> Mask:
    """The last `count` rows of each person; rows are in order of (person, at)."""
    keep = np.ones(len(person), np.bool_)
    keep[:-count] = person[count:] != person[:-count]  # the row `count` later is already another person's
    return keep


def _sums(
    rule: CompiledRule, rows: _Rows, each: NDArray[np.float64] | None, n: int, paused: Mask | None
) -> NDArray[np.float64]:
    """Worth of all these activities by person: whole units, so their sum is exact in any order (up to 2^53).

    `paused`: of which people nothing decays.
    """
    points = float(rule.points)
    if rule.decay is None and each is None:
        return np.multiply(np.bincount(rows.person, minlength=n), points, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        worth = np.full(len(rows.row), points) if each is None else _clipped(points * each, _WORTH_MAX)
        if rule.decay is not None:
            worth *= rule.decay.share(rows.age, None if paused is None else paused[rows.person])
    return np.bincount(rows.person, np.rint(worth), minlength=n).astype(np.float64)  # of nobody's, integers
