"""The slow, obvious evaluator: plain Python, one person at a time, no NumPy. Shares no code with what it checks."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from leadbridge.config.behaviour import Behaviour, Counted
from leadbridge.config.conditions import AllOf, AnyOf, Condition, FieldTest, Not, Test
from leadbridge.config.lists import NAMED_LISTS, WORD_LISTS
from leadbridge.config.scores import Category, Persona, Rule, ScoreModel, Sequence
from leadbridge.types import Value


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and "_" not in value:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and abs(value) < 1e300:
        return float(value) if -math.inf < value < math.inf else None
    return None


def moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = text(value)
    if word in ("true", "yes", "1"):
        return True
    if word in ("false", "no", "0"):
        return False
    return None


def text(value: Any) -> str:
    if isinstance(value, str):
        return folded(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return folded(value.isoformat())


def fitted(value: Value, kind: str) -> Value:
    """The value as a field of this type holds it; None when it does not fit, or is unknown."""
    if value is None or (isinstance(value, int | float) and not -1e300 < value < 1e300):
        return None
    if isinstance(value, str) and not value.strip():
        return None
    match kind:
        case "text":
            return value
        case "integer" | "number":
            return number(value)
        case "boolean":
            return truth(value)
        case _:
            return moment(value)


def same(value: Value, wanted: Any) -> bool:
    if isinstance(value, bool):
        return truth(wanted) is value
    if isinstance(value, int | float):
        return number(wanted) == value
    if isinstance(value, date):
        if not isinstance(wanted, str) or (asked := moment(wanted)) is None:
            return False
        mine = moment(value)
        assert mine is not None
        return mine.date() == asked.date() if len(wanted.strip()) == 10 else mine == asked
    return text(value) == text(wanted)


def has_word(inside: str, word: str) -> bool:
    inside, word = " ".join(inside.split()), " ".join(folded(word).split())
    start = inside.find(word) if word else -1
    while start >= 0:
        before, after = inside[:start][-1:], inside[start + len(word) :][:1]
        if not before.isalnum() and not after.isalnum():
            return True
        start = inside.find(word, start + 1)
    return False


def many(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple | set | frozenset) else [given]


def passes(name: str, argument: Any, value: Value, at: datetime) -> bool:
    """One test on one known value."""
    if name in ("in_", "not_in") and isinstance(argument, str):
        argument = NAMED_LISTS[argument]
    size, when = number(value), moment(value)
    match name:
        case "equals":
            return same(value, argument)
        case "is_not":
            return not same(value, argument)
        case "in_":
            return any(same(value, one) for one in argument)
        case "not_in":
            return not any(same(value, one) for one in argument)
        case "at_least":
            return size is not None and size >= argument
        case "at_most":
            return size is not None and size <= argument
        case "above":
            return size is not None and size > argument
        case "below":
            return size is not None and size < argument
        case "between":
            return size is not None and argument[0] <= size <= argument[1]
        case "words":
            words = [word for one in argument for word in WORD_LISTS.get(one, [one])]
            return any(has_word(text(value), word) for word in words)
        case "matches":
            return any(re.search(pattern, text(value), re.IGNORECASE) for pattern in argument)
        case "contains":
            pieces = [folded(f"|{piece}|")[1:-1] for piece in many(argument) if piece.strip()]
            return any(piece in text(value) for piece in pieces)
        case "starts_with":
            return any(text(value).startswith(folded(piece)) for piece in many(argument) if piece.strip())
        case "ends_with":
            return any(text(value).endswith(folded(piece)) for piece in many(argument) if piece.strip())
        case "present":
            return bool(argument)
        case "within":
            return when is not None and at - timedelta(seconds=argument) < when <= at
        case "older_than":
            return when is not None and when <= at - timedelta(seconds=argument)
        case "in_next":
            return when is not None and at < when <= at + timedelta(seconds=argument)
    raise AssertionError(name)


def test_passes(test: Test, value: Value, at: datetime) -> bool:
    given = {name: argument for name, argument in dict(test).items() if argument is not None}
    if value is None:
        return given == {"present": False}
    return all(passes(name, argument, value, at) for name, argument in given.items())


test_passes.__test__ = False  # type: ignore[attr-defined]


def holds(condition: Condition, row: Mapping[str, Value], types: Mapping[str, str], at: datetime) -> bool:
    match condition:
        case FieldTest():
            kind = types.get(condition.field)
            value = None if kind is None else fitted(row.get(condition.field), kind)
            return test_passes(condition.test, value, at)
        case Not():
            return not holds(condition.part, row, types, at)
        case AllOf():
            return all(holds(part, row, types, at) for part in condition.parts)
        case AnyOf():
            return any(holds(part, row, types, at) for part in condition.parts)


@dataclass(frozen=True)
class Did:
    """One activity of the person at hand."""

    kind: str
    at: datetime
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Found:
    """What the oracle says of one person; lines by (category, rule), zero lines left out."""

    value: int
    grade: str | None
    categories: Mapping[str, float]
    lines: Mapping[tuple[str, str], float]
    cell: str | None = None
    probability: float | None = None


def reached(words: Mapping[str, float], points: float) -> str | None:
    """The word that begins highest of those that the points reach."""
    found = [(begins, word) for word, begins in words.items() if round(points, 9) >= round(begins, 9)]
    return max(found)[1] if found else None


def to_know(condition: Condition) -> set[str]:
    """Fields without which the condition cannot be judged."""
    match condition:
        case FieldTest():
            return {condition.field} if condition.test.present is None else set()
        case Not():
            return to_know(condition.part)
        case _:
            return {field for part in condition.parts for field in to_know(part)}


def confidence(model: ScoreModel, row: Mapping[str, Value], types: Mapping[str, str]) -> int:
    """Share of the rules about a person of which everything asked is known, 0..100."""
    asked = []
    for rule in model.rules:
        fields = set() if rule.when is None else to_know(rule.when)
        if rule.each is not None and rule.activity is None:
            fields |= {rule.each}
        if fields:
            asked.append(all(fitted(row.get(field), types[field]) is not None for field in fields))
    return math.floor(Fraction(100 * sum(asked), len(asked)) + Fraction(1, 2)) if asked else 100


def attribute_types(rows: list[Did]) -> dict[str, str]:
    return {key: "text" for row in rows for key in row.attributes}


def followed(sequence: Sequence, first: Did, done: Iterable[Did], at: datetime) -> bool:
    return any(
        first.at < one.at <= at
        and one.at - first.at < timedelta(seconds=sequence.within)
        and one.kind in [kind.value for kind in sequence.then]
        and (sequence.where is None or holds(sequence.where, one.attributes, attribute_types([one]), at))
        for one in done
    )


def share(rule: Rule, age: timedelta, paused: bool) -> float:
    """The part of an activity's points that is left at this age."""
    if paused:
        return 1.0
    left = 1.0
    if rule.half_life is not None:
        left = 2 ** (-(age / timedelta(seconds=rule.half_life)))
    if rule.steps is not None:
        ahead = [part for end, part in sorted(rule.steps.items()) if age < timedelta(seconds=end)]
        left = ahead[0] if ahead else 0.0
    return max(left, rule.floor or 0.0)


def rule_points(rule: Rule, row: Mapping[str, Value], types: Mapping[str, str], done: list[Did], at: datetime) -> float:
    if rule.when is not None and not holds(rule.when, row, types, at):
        return 0.0
    if rule.activity is None and rule.no_activity_for is None:
        each = 1.0 if rule.each is None else fitted(row.get(rule.each), types[rule.each])
        points = 0.0 if each is None else round(rule.points * float(each), 10)  # type: ignore[arg-type]
        return points if rule.cap is None else max(-rule.cap, min(rule.cap, points))
    matching = [
        one
        for one in done
        if one.at <= at
        and (rule.activity is None or one.kind in [kind.value for kind in rule.activity])
        and (rule.where is None or holds(rule.where, one.attributes, attribute_types([one]), at))
    ]
    if rule.no_activity_for is not None:
        silent = not any(one.at > at - timedelta(seconds=rule.no_activity_for) for one in matching)
        return rule.points if silent else 0.0
    if rule.sequence is not None:
        matching = [one for one in matching if followed(rule.sequence, one, done, at)]
    if rule.within is not None and not rule.first_only:
        matching = [one for one in matching if one.at > at - timedelta(seconds=rule.within)]
    paused = rule.pause_while is not None and holds(rule.pause_while, row, types, at)
    worths = []
    for one in matching:
        worth = rule.points
        worth *= share(rule, at - one.at, paused)
        each = 1.0 if rule.each is None else number(one.attributes.get(rule.each))
        if each is not None:
            worths.append((one.at, each, round(worth * each, 10), one))
    if rule.first_only and worths:
        oldest = min(when for when, _, _, _ in worths)
        worths = [max((worth for worth in worths if worth[0] == oldest), key=lambda worth: worth[1])]
        if rule.within is not None and oldest <= at - timedelta(seconds=rule.within):
            worths = []
    if rule.distinct is not None:
        newest: dict[str, Any] = {}
        for candidate in worths:
            value = fitted(candidate[3].attributes.get(rule.distinct), "text")
            if value is not None:
                key = text(value)
                newest[key] = max(newest.get(key, candidate), candidate, key=lambda one: one[:2])
        worths = list(newest.values())
    if rule.at_least is not None:
        points = rule.points if len(worths) >= rule.at_least else 0.0
    else:
        worths.sort(key=lambda worth: worth[:3], reverse=True)
        points = math.fsum(worth for _, _, worth, _ in worths[: rule.at_most])
    return points if rule.cap is None else max(-rule.cap, min(rule.cap, points))


def spelled(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else repr(bound)


def score(
    model: ScoreModel,
    row: Mapping[str, Value],
    types: Mapping[str, str],
    done: list[Did],
    at: datetime,
) -> Found | None:
    """One person's score; None when it does not apply."""
    if model.applies_to is not None and not holds(model.applies_to, row, types, at):
        return None
    points = {rule.name: rule_points(rule, row, types, done, at) for rule in model.rules}
    likely = {label: expected(each, points) for label, each in model.categories.items() if each.model}
    for word in {rule.exclusive for rule in model.rules} - {None}:
        group = [rule.name for rule in model.rules if rule.exclusive == word]
        strongest = max(abs(round(points[name], 9)) for name in group)
        equals = [name for name in group if abs(round(points[name], 9)) == strongest]
        winner = next((name for name in equals if points[name] > 0), equals[0])
        points |= {name: 0.0 for name in group if name != winner}

    lines = {(rule.category, rule.name): points[rule.name] for rule in model.rules}
    categories = {}
    for name, category in model.categories.items():
        raw = math.fsum(points[rule.name] for rule in model.rules if rule.category == name)
        if category.model is not None:
            raw, _ = likely[name]
            lines[name, f"likely to become {category.model.reaches}"] = raw
        categories[name] = max(category.min, min(category.max, raw))
        lines[name, f"at most {spelled(category.max)}"] = min(category.max, raw) - raw
        lines[name, f"at least {spelled(category.min)}"] = categories[name] - min(category.max, raw)
    total = math.fsum(categories.values())
    bounded = max(model.min, min(model.max, total))
    lines["", f"at most {model.max}"] = min(model.max, total) - total
    lines["", f"at least {model.min}"] = bounded - min(model.max, total)
    value = math.floor(round(bounded, 9) + 0.5)
    lines["", "rounding"] = value - bounded
    grade = reached(model.grades, categories[model.grade_from]) if model.grades else None
    figure = None if model.matrix is None else reached(model.figures, categories[model.matrix.of])
    cell = None if grade is None or figure is None else grade + figure
    chance = next((chance for _, chance in likely.values()), None)
    shown = {line: given for line, given in lines.items() if abs(given) > 1e-9}
    return Found(value, grade, categories, shown, cell, chance)


def expected(category: Category, points: Mapping[str, float]) -> tuple[float, float]:
    """Points of a category with a trained model, and the probability."""
    trained = category.model
    assert trained is not None
    odds = math.exp(
        trained.intercept
        + math.fsum(one.weight * max(one.low, min(one.high, points[one.rule])) for one in trained.weights)
    )
    beside = odds / (trained.share / (1 - trained.share))
    return category.max * beside / (1 + beside), odds / (1 + odds)


def facts_of(found: Found | None, name: str) -> dict[str, Value]:
    """What a score tells the next one."""
    if found is None:
        return {}
    facts: dict[str, Value] = {
        f"score.{name}": found.value, f"grade.{name}": found.grade, f"matrix.{name}": found.cell
    }  # fmt: skip
    return facts | {f"score.{name}.{category}": points for category, points in found.categories.items()}


def counted(one: Counted, done: list[Did], at: datetime) -> list[Did]:
    return [
        each
        for each in done
        if each.at <= at
        and each.kind in [kind.value for kind in one.of]
        and (one.within is None or each.at > at - timedelta(seconds=one.within))
        and (one.where is None or holds(one.where, each.attributes, attribute_types([each]), at))
    ]


def behaved(behaviour: Behaviour, done: list[Did], at: datetime) -> Value:
    """One field worked out from what a person did."""
    found = sorted(counted(behaviour, done, at), key=lambda each: each.at)
    if behaviour.take == "count":
        if behaviour.per is None:
            return len(found)
        whole = len(counted(behaviour.per, done, at))
        return len(found) / whole if whole else None
    if behaviour.take in ("first_at", "last_at"):
        return found[0 if behaviour.take == "first_at" else -1].at if found else None
    values = [(each.at, each.attributes.get(str(behaviour.value))) for each in found]
    if behaviour.take in ("distinct", "most"):
        words = [(when, text(value)) for when, value in values if fitted(value, "text") is not None]
        spellings = [word for _, word in words]
        if behaviour.take == "distinct":
            others = counted(behaviour.without, done, at) if behaviour.without else []
            theirs = [each.attributes.get(str(behaviour.value)) for each in others]
            return len(set(spellings) - {text(value) for value in theirs if fitted(value, "text") is not None})
        best = [(spellings.count(word), when, word) for when, word in words]
        top = [one for one in best if one[:2] == max(best)[:2]]
        return min(word for _, _, word in top) if top else None
    numbers = [(when, max(-1e12, min(1e12, size))) for when, value in values if (size := number(value)) is not None]
    sizes = [size for _, size in numbers]
    match behaviour.take:
        case "sum":
            return math.fsum(sizes)
        case "average":
            return math.fsum(sizes) / len(sizes) if sizes else None
        case "largest":
            return max(sizes, default=None)
        case "smallest":
            return min(sizes, default=None)
        case _:
            return max(numbers)[1] if numbers else None


def nearness(persona: Persona, row: Mapping[str, Value], types: Mapping[str, str], at: datetime) -> int:
    """0..100, by fractions."""
    held = [trait.weight for trait in persona.traits if holds(trait.when, row, types, at)]
    every = [trait.weight for trait in persona.traits]
    share = sum(map(Fraction, held)) / sum(map(Fraction, every))
    return math.floor(100 * share + Fraction(1, 2))
