"""One person's score read closely: what stands behind each line, and what would raise the score most. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from leadbridge.columns import micros, plain, values_of
from leadbridge.config.conditions import fields_of
from leadbridge.config.scores import Rule, ScoreModel
from leadbridge.machines import EVIDENCE
from leadbridge.types import ActivityKind, Value
from scoring import engine, explain, rules
from scoring.compile import CompiledModel, CompiledRule
from scoring.frames import FIRST_OF_MACHINES, Activities, People
from scoring.predict import likely

SHOWN = 3
"""Activities shown behind one line; the rest are counted."""

_KINDS = tuple(ActivityKind)
_TELLING = (
    "url", "title", "form", "subject", "file", "name", "event", "campaign", "network", "amount", "value", "outcome"
)  # fmt: skip
"""Values of an activity that say most about it, the best first."""


@dataclass(frozen=True, slots=True)
class Likely:
    """What a trained model says of one person."""

    goal: str
    probability: float
    average: float  # of the people it was learned from
    times: Sequence[tuple[str, float]]  # rule, and what it multiplies the odds by; the largest effect first


@dataclass(frozen=True, slots=True)
class Gain:
    """Something that would raise the score, and by how much."""

    rule: str
    what: str
    points: int


def evidence(
    model: CompiledModel, config: ScoreModel, people: People, activities: Activities, at: datetime
) -> dict[str, str]:
    """What stands behind each rule of one person, in words, by the rule's name; nothing for one that gave nothing.

    Raises ValueError unless it is one person.
    """
    _one(people)
    activities = activities.in_order()
    found = {}
    for rule, compiled in zip(config.rules, model.rules, strict=True):
        told = list(_values(rule, people))
        if compiled.sort == "activity":
            told += _acts(compiled, activities, at)
        elif compiled.sort == "silence":
            told.append(_silence(compiled, activities, at))
        found[rule.name] = "; ".join(told)
    return found


def likelihood(
    model: CompiledModel, config: ScoreModel, people: People, activities: Activities, at: datetime
) -> Likely | None:
    """How likely one person is to reach the goal, and why; None without a trained model.

    Raises ValueError unless it is one person.
    """
    _one(people)
    if model.predictor is None or config.trained is None:
        return None
    table = np.zeros((len(model.lines), 1), np.int64)
    engine.rule_points(model, people, activities.in_order(), micros(at), table)
    chance = float(likely.probability(likely.log_odds(model.predictor, table))[0])
    times = [(config.rules[line].name, factor) for line, factor in likely.factors(model.predictor, table)]
    return Likely(likely.line_of(config.trained), chance, config.trained.share, times)


def raising(
    model: CompiledModel, config: ScoreModel, people: People, activities: Activities, at: datetime, limit: int = 3
) -> list[Gain]:
    """What would raise one person's score most, each by itself, with every bound and group as it is.

    One more activity of a rule, a condition that came to hold, or a reason for losing points that ended. Raises
    ValueError unless it is one person.
    """
    _one(people)
    activities = activities.in_order()
    t = micros(at)
    table = np.zeros((len(model.lines), 1), np.int64)
    engine.rule_points(model, people, activities, t, table)
    tries = [
        (index, rule, what, points)
        for index, rule in enumerate(config.rules)
        for what, points in _more(model, index, rule, int(table[index, 0]), people, activities, at)
    ]
    if not tries:
        return []
    trial = np.repeat(table, len(tries) + 1, axis=1)
    for column, (index, _, _, points) in enumerate(tries):
        bound = model.rules[index].bound
        trial[index, column] = max(-bound, min(bound, points))
    _, value = engine.combined(model, trial)
    gains = [
        Gain(rule.name, what, int(value[column] - value[-1]))
        for column, (_, rule, what, _) in enumerate(tries)
        if value[column] > value[-1]
    ]
    return sorted(gains, key=lambda gain: -gain.points)[:limit]


def _more(
    model: CompiledModel, index: int, rule: Rule, given: int, people: People, activities: Activities, at: datetime
) -> Iterator[tuple[str, int]]:
    """What could happen to a rule, with its points then, in units; nothing that only loses points."""
    compiled = model.rules[index]
    if given < 0:
        yield f"with one more: {_kinds(rule.activity)}" if compiled.sort == "silence" else "if it no longer held", 0
    if compiled.points <= 0:
        return
    holds = compiled.when is None or bool(compiled.when.check(people.facts, micros(at))[0])
    match compiled.sort:
        case "attribute" if rule.each is None and not holds:
            yield f"if it held ({', '.join(sorted(fields_of(rule.when)))})" if rule.when else "", compiled.points
        case "activity" if holds:
            yield from _one_more(model, index, rule, given, people, activities, at)


def _one_more(
    model: CompiledModel, index: int, rule: Rule, given: int, people: People, activities: Activities, at: datetime
) -> Iterator[tuple[str, int]]:
    compiled = model.rules[index]
    kind = _kinds(rule.activity)
    if rule.sequence is not None:
        kind += f", and then in time {_kinds(rule.sequence.then)}"
    rows = rules.counted(compiled, activities, at)
    if compiled.at_least is not None:
        if (missing := compiled.at_least - len(rows)) > 0:
            yield f"with {missing} more: {kind}", compiled.points
    elif not (compiled.first_only and len(rows)):
        if compiled.at_most is not None and len(rows) >= compiled.at_most:  # the oldest of them makes room for it
            single = replace(compiled, at_most=compiled.at_most - 1) if compiled.at_most > 1 else None
            given = 0 if single is None else int(rules.points_of(single, people, activities, at)[0])
        yield f"with one more: {kind}", given + compiled.points


def _kinds(kinds: Sequence[ActivityKind] | None) -> str:
    return " or ".join(kind.value.replace("_", " ") for kind in kinds) if kinds else "activity of any kind"


def _values(rule: Rule, people: People) -> Iterator[str]:
    """The person's own values that a rule looks at."""
    asked = set() if rule.when is None else set(fields_of(rule.when))
    if rule.each is not None and rule.activity is None:
        asked.add(rule.each)
    for name in sorted(asked):
        column = people.facts.by_name.get(name)
        yield f"{name}: {said(None if column is None else values_of(column)[0])}"


def _acts(compiled: CompiledRule, activities: Activities, at: datetime) -> list[str]:
    rows = rules.counted(compiled, activities, at)
    told = [_act(activities, int(row), at, compiled.each) for row in rows[::-1][:SHOWN]]
    if compiled.then is not None:
        ends = rules.followers(compiled.then, activities, at)
        after = np.searchsorted(activities.at[ends], activities.at[rows], "right")  # of one person, in order
        told = [
            f"{one}, then {_act(activities, int(ends[place]), at)}"
            for one, place in zip(told, after[::-1].tolist(), strict=False)
        ]
    return told + ([f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])


def _act(activities: Activities, row: int, at: datetime, multiplied: str | None = None) -> str:
    """One activity: kind, day, what says most about it, and the number that the points were multiplied by."""
    when = at - timedelta(microseconds=micros(at) - int(activities.at[row]))
    code = int(activities.documents.codes[row])
    document = activities.documents.documents[code] if code >= 0 else {}
    key = next((key for key in _TELLING if document.get(key) not in (None, "")), "")
    telling = [said(document[key])] if key else []
    if multiplied is not None and multiplied != key:
        telling.append(f"{multiplied} {said(document.get(multiplied))}")
    kind = _KINDS[int(activities.kind[row])].value.replace("_", " ")
    return f"{kind} {when:%Y-%m-%d}" + (f" ({', '.join(telling)})" if telling else "")


def _silence(compiled: CompiledRule, activities: Activities, at: datetime) -> str:
    ever = rules.counted(replace(compiled, within=None), activities, at)
    return f"last: {_act(activities, int(ever[-1]), at)}" if len(ever) else "nothing of it ever done"


def said(value: Value) -> str:
    """A value as it may be shown: plain text of one line, whatever a stranger wrote."""
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return plain(value)
        case datetime():
            return f"{value:%Y-%m-%d}"
        case _:
            return explain.joined([str(value)], 80)


def _one(people: People) -> None:
    if len(people) != 1:
        raise ValueError(f"{len(people)} people, where one is read closely")


def counts(activities: Activities, at: datetime) -> dict[str, int]:
    """How many activities of each kind there were by an instant."""
    found = np.bincount(activities.kind[activities.at <= micros(at)], minlength=len(_KINDS))
    return {kind.value: count for kind, count in zip(_KINDS, found.tolist(), strict=True) if count}


def by_machines(activities: Activities, at: datetime) -> list[str]:
    """What machines did with one person's mail up to an instant, with the evidence; the newest first."""
    past = np.flatnonzero((activities.kind >= FIRST_OF_MACHINES) & (activities.at <= micros(at)))
    order = past[np.argsort(-activities.at[past], kind="stable")]
    return [f"{_act(activities, row, at)}: {_evidence(activities, row)}" for row in order.tolist()]


def _evidence(activities: Activities, row: int) -> str:
    code = int(activities.documents.codes[row])
    return said(activities.documents.documents[code].get(EVIDENCE, "its source says so") if code >= 0 else None)


def changed_lines(
    before: Sequence[tuple[str, float]], now: Sequence[tuple[str, float]]
) -> list[tuple[str, float, float]]:
    """(line, points before, points now) of every line whose points differ in hundredths, the largest change first."""
    old, new = dict(before), dict(now)
    lines = [(line, old.get(line, 0.0), new.get(line, 0.0)) for line in {**old, **new}]
    moved = [line for line in lines if abs(line[2] - line[1]) >= 0.005]
    return sorted(moved, key=lambda line: -abs(line[2] - line[1]))
