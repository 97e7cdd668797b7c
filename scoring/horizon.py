"""Until when nothing about a person can change by the passing of time alone: whom to look at again, and when. Pure.

The instant is a lower bound, so that looking then and not before misses nothing: the least over everything that time
can do.

- **Windows** and **steps**: each activity or date leaves (or enters) a period at one known instant.
- **Decay**: at most the sum of worth x ln 2 / half-life of every activity of a category passes per second, and that
  only slows down. Divided into the distance to the nearest boundary (the next half point of the score, the beginnings
  of grades, the bounds in conditions on a category) it gives a time in which none can be reached. The points
  of a trained probability move by at most a quarter of their maximum for each unit of log-odds, and those by each
  rule's weight.
- What this arithmetic does not cover (an exclusive group with points of both signs that decays, a score multiplied by
  the unrounded category of another, dated conditions on activities) is looked at every `SOON`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import MICROS, UNKNOWN_INSTANT, Instants
from leadbridge.config.conditions import Condition, FieldTest, Not, Test
from leadbridge.config.schema import Config, conditions_of
from scoring.behaviour import CompiledBehaviour, CompiledCount, counted_rows
from scoring.compile import UNIT, CompiledModel, units
from scoring.engine import ScoreFrame
from scoring.frames import Activities, People
from scoring.rules import Matching

DAY = 86_400 * MICROS
NEVER = np.iinfo(np.int64).max

SOON = DAY
"""When somebody is looked at again of whom nothing better can be said."""

_LEAST = 10**-6 * UNIT
"""What rounding of single contributions may add up to."""

_Micros = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clockwork:
    """What of a configuration moves with time, read off once."""

    dated: tuple[tuple[str, int], ...]  # (field, microseconds): a test flips when the field's date is that old
    thresholds: Mapping[tuple[str, str], tuple[int, ...]]  # (score, category): bounds in conditions, in units
    unsure: frozenset[str]  # scores that the arithmetic does not cover
    soon: bool  # something else that it does not cover


def clockwork(config: Config) -> Clockwork:
    """What of a configuration moves with time."""
    tests = [test for _, condition, _ in conditions_of(config) for test in _tests(condition)]
    dated = {(one.field, round(age * MICROS)) for one in tests for age in _ages(one.test)}
    dated |= {
        (each.dated, round(each.good_for * MICROS))
        for each in config.questions.values()
        if each.dated is not None and each.good_for is not None
    }
    thresholds: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one in tests:
        word = one.field.split(".")
        if word[0] == "score" and len(word) == 3:
            thresholds[word[1], word[2]].update(units(bound) for bound in _bounds(one.test))
    for name, model in config.scores.items():
        if model.grades:
            thresholds[name, model.grade_from].update(units(begins) for begins in model.grades.values())
        if model.matrix is not None:
            thresholds[name, model.matrix.of].update(units(begins) for begins in model.figures.values())
    wheres = [rule.where for model in config.scores.values() for rule in model.rules]
    wheres += [rule.sequence.where for model in config.scores.values() for rule in model.rules if rule.sequence]
    wheres += [each.where for each in config.behaviour.values()]
    wheres += [other.where for each in config.behaviour.values() for other in (each.per, each.without) if other]
    soon = any(one.test.dated for where in wheres if where is not None for one in _tests(where))
    return Clockwork(
        dated=tuple(sorted(dated)),
        thresholds={key: tuple(sorted(found)) for key, found in thresholds.items()},
        unsure=frozenset(_unsure(config)),
        soon=soon,
    )


def _unsure(config: Config) -> Iterator[str]:
    for name, model in config.scores.items():
        groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for rule in model.rules:
            if rule.exclusive is not None:
                groups[rule.exclusive].append((rule.points, rule.half_life is not None or rule.each is not None))
            if rule.activity is None and rule.each is not None and rule.each.count(".") == 2:
                yield name
        for rules in groups.values():
            signs = {points > 0 for points, _ in rules}
            if len(signs) > 1 and any(decays for _, decays in rules):
                yield name


def _tests(condition: Condition) -> Iterator[FieldTest]:
    match condition:
        case FieldTest():
            yield condition
        case Not():
            yield from _tests(condition.part)
        case _:
            for part in condition.parts:
                yield from _tests(part)


def _ages(test: Test) -> Iterator[float]:
    """How old a date is, in seconds, when the test flips; below nothing for one that is still to come."""
    yield from (length for length in (test.within, test.older_than) if length is not None)
    if test.in_next is not None:
        yield -test.in_next


def _bounds(test: Test) -> Iterator[float]:
    for bound in (test.at_least, test.at_most, test.above, test.below, *(test.between or ())):
        if bound is not None:
            yield bound
    exact = [test.equals, test.is_not]
    for listed in (test.in_, test.not_in):
        exact += listed if isinstance(listed, list) else []
    yield from (float(bound) for bound in exact if isinstance(bound, int | float) and not isinstance(bound, bool))


def unchanged_until(
    works: Clockwork,
    models: Iterable[CompiledModel],
    frames: Mapping[str, ScoreFrame],
    behaviour: Iterable[CompiledBehaviour],
    people: People,
    activities: Activities,
    t: int,
) -> _Micros:
    """For each person: until when (microseconds since 1970) nothing changes by time alone; NEVER: nothing can.

    `frames`: their scores at `t`, by name; `people`: with all facts that conditions look at.
    """
    n = len(people)
    found = np.full(n, NEVER)
    if works.soon:
        np.minimum(found, t + SOON, out=found)
    later = activities.at > t
    np.minimum.at(found, activities.person[later], activities.at[later])
    for field, length in works.dated:
        column = people.facts.by_name.get(field)
        if isinstance(column, Instants):
            for flips in (column.at, column.at + length):
                np.minimum(found, np.where((column.at != UNKNOWN_INSTANT) & (flips > t), flips, NEVER), out=found)
    for each in behaviour:
        for counted in each.counts:
            _leaving(found, counted, activities, t)
    matching = Matching(activities, t)
    for model in models:
        _of_model(found, works, model, frames[model.name], matching, people, t)
    return found


def _leaving(found: _Micros, counted: CompiledCount, activities: Activities, t: int) -> None:
    if counted.within is not None:
        rows = counted_rows(counted, activities, t)
        np.minimum.at(found, activities.person[rows], activities.at[rows] + counted.within)


def _of_model(
    found: _Micros,
    works: Clockwork,
    model: CompiledModel,
    frame: ScoreFrame,
    matching: Matching,
    people: People,
    t: int,
) -> None:
    n = len(people)
    if model.name in works.unsure:
        np.minimum(found, t + SOON, out=found)
    speed = {category.name: np.zeros(n) for category in model.categories}  # units per microsecond, at most
    weight = {} if model.predictor is None else {one.rule: abs(one.weight) for one in model.predictor.weights}
    odds = np.zeros(n)  # log-odds per microsecond, at most
    category_of = {index: category.name for category in model.categories for index in category.rules}
    for index, rule in enumerate(model.rules):
        if rule.sort == "attribute":
            continue
        rows = matching.rows(rule)
        if rule.within is not None:
            inside = rows.age < rule.within  # of a rule that counts the first ever, all are here
            np.minimum.at(found, rows.person[inside], t - rows.age[inside] + rule.within)
        if rule.decay is not None:
            some, step = rule.decay.next_step(rows.age)
            np.minimum.at(found, rows.person[some], (t - rows.age + step)[some])
            paused = None if rule.decay.pause is None else rule.decay.pause.check(people.facts, t)[rows.person]
            worth = np.full(len(rows.row), abs(float(rule.points)))
            if rule.each is not None:
                number = matching.numbers(rule, rule.each, rows.row)
                worth *= np.where(np.isfinite(number), np.abs(np.clip(number, -1e9, 1e9)), 0.0)
            worth *= rule.decay.speed(rows.age, paused)
            mine = np.bincount(rows.person, worth, minlength=n)
            speed[category_of[index]] += mine
            odds += weight.get(index, 0.0) * mine
    if model.predictor is not None:
        speed[model.predictor.category] += model.predictor.steepest * odds
    total, score = np.zeros(n), np.zeros(n)
    for name, points in frame.categories.items():
        score += points * UNIT
        total += speed[name]
        for bound in works.thresholds.get((model.name, name), ()):
            _reaching(found, np.abs(points * UNIT - bound), speed[name], t)
    low, high = (UNIT * end for end in model.scale)
    score = np.clip(score, low, high)
    whole = frame.value.astype(np.float64) * UNIT
    _reaching(found, np.minimum(score - (whole - UNIT / 2), (whole + UNIT / 2) - score), total, t)


def _reaching(found: _Micros, distance: NDArray[np.float64], speed: NDArray[np.float64], t: int) -> None:
    """Nothing at this speed covers the distance before it has taken as long as it takes."""
    moving = speed > 0
    steps = np.full(len(found), np.inf)
    steps[moving] = np.maximum(distance[moving] - _LEAST, 0.0) / speed[moving]
    near = steps < 100 * 365 * DAY
    found[near] = np.minimum(found[near], t + steps[near].astype(np.int64))
