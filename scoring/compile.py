"""One configured score made ready, once per configuration: words folded, lists looked up, points in whole units.

Points are counted in units of ten billionths (`UNIT` to the point) as integers. Integers add up exactly in any order,
so contributions sum to the score exactly, nothing depends on the order of activities, and points written in decimals
meet thresholds written in decimals (3.3 + 3.3 + 3.4 reaches `at_least: 10`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from leadbridge.columns import MICROS, plain, spelled
from leadbridge.conditions import Prepared, named_list, prepare, words_of
from leadbridge.config.behaviour import Behaviour, Counted
from leadbridge.config.conditions import AllOf, AnyOf, Condition, FieldTest, Not, Test, fields_of
from leadbridge.config.questions import Question, question_facts
from leadbridge.config.schema import attributes, of_company, of_scores
from leadbridge.config.scores import Persona, Rule, ScoreModel, Sequence
from scoring.decay import Decay
from scoring.frames import KIND_CODES
from scoring.predict import likely

UNIT = 10**10
"""Units in one point."""

RULE_LIMIT = 100_000 * UNIT
"""A rule's contribution never exceeds this in size; with the next limit it keeps every sum inside a 64-bit integer."""

_BOUND_LIMIT = 100 * RULE_LIMIT
"""Bounds of categories and beginnings of grades further out are out of reach, and cut to this."""

MEANING = 1
"""Part of every model hash: raise it when the engine's arithmetic changes, and every score is computed anew."""


def units(points: float) -> int:
    """Points as whole units, within what a sum may hold."""
    return round(max(-_BOUND_LIMIT, min(_BOUND_LIMIT, points * UNIT)))


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule; lengths of time in microseconds, points in units. Exactly one of three sorts, told by `sort`."""

    sort: str  # "attribute" | "activity" | "silence"
    points: int
    when: Prepared | None
    kinds: frozenset[int] | None  # codes of frames.KIND_CODES; None: any kind
    where: Prepared | None
    where_keys: frozenset[str]
    within: int | None  # of a silence rule: how long silent
    decay: "Decay | None"
    at_most: int | None
    at_least: int | None
    first_only: bool
    distinct: str | None
    then: "CompiledThen | None"
    bound: int  # cap, or RULE_LIMIT
    each: str | None

    @property
    def reach(self) -> int | None:
        """Age in microseconds beyond which no activity counts; None: any does."""
        ends = [self.within, None if self.decay is None else self.decay.end]
        return min((end for end in ends if end is not None), default=None)


@dataclass(frozen=True, slots=True)
class CompiledThen:
    """What must follow an activity, less than `within` microseconds after it."""

    kinds: frozenset[int]
    where: Prepared | None
    where_keys: frozenset[str]
    within: int


@dataclass(frozen=True, slots=True)
class CompiledCategory:
    """One category: its bounds in units, and the lines of its rules."""

    name: str
    low: int
    high: int
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A score ready to be computed. `hash` names its meaning (`model_hash`).

    `lines` are all lines a contribution table can have, as (category, rule): first the rules in the file's order and
    that of a trained probability, then "at most" and "at least" of each category, of the whole (category ""), and
    "rounding".
    """

    name: str
    hash: str
    scale: tuple[int, int]
    applies: Prepared | None
    rules: tuple[CompiledRule, ...]
    exclusive: tuple[tuple[int, ...], ...]
    categories: tuple[CompiledCategory, ...]
    lines: tuple[tuple[str, str], ...]
    grade_from: int  # index of a category
    grades: tuple[tuple[str, int], ...]  # letter and the units it begins at, lowest first
    figure_from: int  # index of a category
    figures: tuple[tuple[str, int], ...]  # of the matrix, likewise; none without one
    fields: frozenset[str]  # of people, that it looks at
    keys: frozenset[str]  # attributes of activities, that it looks at
    predictor: likely.Predictor | None  # a trained probability
    asks: tuple[frozenset[str], ...]  # of each rule that looks at a person: what it has to know (scoring.confidence)

    @property
    def kinds(self) -> frozenset[int] | None:
        """Kinds of activity it looks at; None: all."""
        asked = [rule.kinds for rule in self.rules if rule.sort != "attribute"]
        asked += [rule.then.kinds for rule in self.rules if rule.then is not None]
        return None if None in asked else frozenset().union(*(kinds for kinds in asked if kinds is not None))

    @property
    def reach(self) -> int | None:
        """Microseconds before the instant of scoring beyond which no activity matters; None: all of it does."""
        asked = [None if rule.first_only else rule.reach for rule in self.rules if rule.sort != "attribute"]
        return None if None in asked else max((within for within in asked if within is not None), default=0)


def compile_model(
    name: str,
    model: ScoreModel,
    types: Mapping[str, str],
    *,
    personas: Mapping[str, Persona] | None = None,
    behaviour: Mapping[str, Behaviour] | None = None,
    others: Mapping[str, ScoreModel] | None = None,
    questions: Mapping[str, Question] | None = None,
    company: Mapping[str, str] | None = None,
) -> CompiledModel:
    """Make the score `name` ready. `types`: the facts rules may look at (fields and built-in ones), with their types.

    Rules may look at the personas, behaviour and questions given too (their facts come from `personas.nearness`,
    `behaviour.measured` and `questions.answered`), and at the `others` among the scores, which have to be worked out
    before (`in_order`).

    Raises ValueError naming every rule that asks for a fact or category that is not there. A score is no fact of its
    own, and stages are none: what we write is never an input to it (reliability G17).
    """
    others = {key: each for key, each in (others or {}).items() if key != name}
    known = {**types, **{key: each.type for key, each in (behaviour or {}).items()}, **question_facts(questions or ())}
    known = attributes(known, personas or ()) | of_scores({key: each.categories for key, each in others.items()})
    known |= of_company(key for key in company or () if key != name)
    if wrong := _faults(model, known):
        raise ValueError(f"score {name}: " + "; ".join(wrong))

    rules = tuple(_rule(rule) for rule in model.rules)
    predictor = _predictor(model)
    words = dict.fromkeys(rule.exclusive for rule in model.rules if rule.exclusive is not None)
    categories = tuple(
        CompiledCategory(
            label,
            units(category.min),
            units(category.max),
            (predictor.line,)
            if predictor is not None and predictor.category == label
            else tuple(index for index, rule in enumerate(model.rules) if rule.category == label),
        )
        for label, category in model.categories.items()
    )
    return CompiledModel(
        name=name,
        hash=model_hash(
            name,
            model,
            personas=personas,
            behaviour=behaviour,
            others=others,
            questions=questions,
            company=company,
        ),
        scale=(model.min, model.max),
        applies=None if model.applies_to is None else prepare(model.applies_to),
        rules=rules,
        exclusive=tuple(
            tuple(index for index, rule in enumerate(model.rules) if rule.exclusive == word) for word in words
        ),
        categories=categories,
        lines=_lines(model, predictor),
        grade_from=list(model.categories).index(model.grade_from) if model.grades else 0,
        grades=tuple(sorted(((letter, units(begins)) for letter, begins in model.grades.items()), key=lambda g: g[1])),
        fields=frozenset(facts_asked(model)),
        figure_from=0 if model.matrix is None else list(model.categories).index(model.matrix.of),
        figures=tuple(sorted(((word, units(begins)) for word, begins in model.figures.items()), key=lambda f: f[1])),
        keys=frozenset().union(*(_keys(rule) for rule in rules)),
        predictor=predictor,
        asks=tuple(asks for rule in model.rules if (asks := _needs(rule))),
    )


def _faults(model: ScoreModel, types: Mapping[str, str]) -> list[str]:
    """What the model asks for that is not there."""
    wrong = [f"rule {rule.name!r}: no category {rule.category!r}" for rule in model.rules
             if rule.category not in model.categories]  # fmt: skip
    asking = [("applies_to", model.applies_to)]
    asking += [
        (f"rule {rule.name!r}", condition) for rule in model.rules for condition in (rule.when, rule.pause_while)
    ]
    for who, condition in asking:
        asked = fields_of(condition) if condition is not None else set()
        wrong += [f"{who}: no fact {missing!r} to look at" for missing in sorted(asked - types.keys())]
    return wrong + [
        f"rule {rule.name!r}: no number {rule.each!r} to multiply by"
        for rule in model.rules
        if rule.each is not None and rule.activity is None and types.get(rule.each) not in ("number", "integer")
    ]


def _lines(model: ScoreModel, predictor: likely.Predictor | None) -> tuple[tuple[str, str], ...]:
    """(category, words) of every line a contribution may have: rules, the trained probability, bounds, rounding."""
    lines = [(rule.category, rule.name) for rule in model.rules]
    if predictor is not None and model.trained is not None:
        lines.append((predictor.category, likely.line_of(model.trained)))
    bounds = [(label, category.max, category.min) for label, category in model.categories.items()]
    for label, high, low in [*bounds, ("", model.max, model.min)]:
        lines += [(label, f"at most {plain(high)}"), (label, f"at least {plain(low)}")]
    return (*lines, ("", "rounding"))


def _predictor(model: ScoreModel) -> likely.Predictor | None:
    names = [rule.name for rule in model.rules]
    for label, category in model.categories.items():
        if category.model is not None:
            return likely.predictor(label, units(category.max), len(names), category.model, names, UNIT)
    return None


def _keys(rule: CompiledRule) -> frozenset[str]:
    """Attributes of activities that the rule looks at."""
    then = frozenset[str]() if rule.then is None else rule.then.where_keys
    each = rule.each if rule.sort == "activity" else None  # of an attribute rule it is the person's
    return rule.where_keys | then | {key for key in (each, rule.distinct) if key is not None}


def _needs(rule: Rule) -> frozenset[str]:
    """Facts of a person that have to be known for the rule to be judged."""
    each = {rule.each} if rule.each is not None and rule.activity is None else set()
    return frozenset(each | (set() if rule.when is None else _to_be_known(rule.when)))


def _to_be_known(condition: Condition) -> set[str]:
    match condition:
        case FieldTest():  # whether it is known is answered either way
            return set() if condition.test.present is not None else {condition.field}
        case Not():
            return _to_be_known(condition.part)
        case AllOf() | AnyOf():
            return set().union(*(_to_be_known(part) for part in condition.parts))


def _decay(rule: Rule) -> "Decay | None":
    if rule.half_life is None and rule.steps is None:
        return None
    steps = sorted((rule.steps or {}).items())
    return Decay(
        half_life=None if rule.half_life is None else rule.half_life * MICROS,
        ages=tuple(round(age * MICROS) for age, _ in steps),
        shares=tuple(share for _, share in steps),
        floor=rule.floor or 0.0,
        pause=None if rule.pause_while is None else prepare(rule.pause_while),
    )


def _rule(rule: Rule) -> CompiledRule:
    silent = rule.no_activity_for is not None
    within = rule.no_activity_for if silent else rule.within
    return CompiledRule(
        sort="silence" if silent else "attribute" if rule.activity is None else "activity",
        points=units(rule.points),
        when=None if rule.when is None else prepare(rule.when),
        kinds=None if rule.activity is None else frozenset(KIND_CODES[kind] for kind in rule.activity),
        where=None if rule.where is None else prepare(rule.where),
        where_keys=frozenset() if rule.where is None else frozenset(fields_of(rule.where)),
        within=None if within is None else round(within * MICROS),
        decay=None if silent else _decay(rule),
        at_most=rule.at_most,
        at_least=rule.at_least,
        first_only=rule.first_only,
        distinct=rule.distinct,
        then=None if rule.sequence is None else _then(rule.sequence),
        bound=RULE_LIMIT if rule.cap is None else min(units(rule.cap), RULE_LIMIT),
        each=rule.each,
    )


def _then(sequence: Sequence) -> CompiledThen:
    return CompiledThen(
        kinds=frozenset(KIND_CODES[kind] for kind in sequence.then),
        where=None if sequence.where is None else prepare(sequence.where),
        where_keys=frozenset() if sequence.where is None else frozenset(fields_of(sequence.where)),
        within=round(sequence.within * MICROS),
    )


# --- content hash --------------------------------------------------------------------------------------------------


def model_hash(
    name: str,
    model: ScoreModel,
    *,
    personas: Mapping[str, Persona] | None = None,
    behaviour: Mapping[str, Behaviour] | None = None,
    others: Mapping[str, ScoreModel] | None = None,
    questions: Mapping[str, Question] | None = None,
    company: Mapping[str, str] | None = None,
) -> str:
    """Content hash of a score: 16 hexadecimal digits.

    The same under another order of keys, of parts of `all:` and `any:`, and of words in a list, and under comments
    and spelled-out defaults; another one whenever the meaning may differ, the contents of a named list included,
    the behaviour and the other scores it looks at, and all personas, and all questions, once it looks at one.
    The order of rules counts: of two equal rules in an exclusive group the first in the file wins.
    """
    meaning = {
        "meaning": MEANING,
        "name": name,
        "applies_to": _plain(model.applies_to),
        "scale": [model.min, model.max],
        "categories": {
            label: [_exact(each.min), _exact(each.max), *([] if each.model is None else [each.model.version])]
            for label, each in model.categories.items()
        },
        "rules": [
            {key: _plain(value) for key, value in dict(rule).items() if value not in (None, False)}
            for rule in model.rules
        ],
        "grades": {letter: _exact(begins) for letter, begins in model.grades.items()},
        "grade_from": model.grade_from if model.grades else None,
    }
    if model.matrix is not None:
        figures = {figure: _exact(begins) for figure, begins in model.figures.items()}
        meaning["matrix"] = [model.matrix.of, figures]
    asked = facts_asked(model)
    if personas and any(fact.partition(".")[0] == "persona" for fact in asked):
        asked |= {fact for each in personas.values() for trait in each.traits for fact in fields_of(trait.when)}
        meaning["personas"] = [
            [label, _exact(each.at_least),
             _sorted([[trait.name, _exact(trait.weight), _plain(trait.when)] for trait in each.traits])]
            for label, each in personas.items()
        ]  # fmt: skip
    if questions and any(fact.partition(".")[0] == "known" or fact == "completeness" for fact in asked):
        meaning["questions"] = {key: _plain(each) for key, each in questions.items()}
        asked |= {each.field for each in questions.values()}
        asked |= {fact for each in questions.values() if each.enough is not None for fact in fields_of(each.enough)}
    if looked := {key: each for key, each in (behaviour or {}).items() if key in asked}:
        meaning["behaviour"] = {key: _plain(each) for key, each in looked.items()}
    if taken_up := sorted(scores_asked(model) & (others or {}).keys() - {name}):
        around: Any = {
            "personas": personas, "behaviour": behaviour, "others": others, "questions": questions,
            "company": company,
        }  # fmt: skip
        meaning["scores"] = {key: model_hash(key, (others or {})[key], **around) for key in taken_up}
    if shared := {key: how for key, how in (company or {}).items() if f"company.{key}" in facts_asked(model)}:
        meaning["company"] = shared
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def facts_asked(model: ScoreModel) -> set[str]:
    """Facts of people that a score looks at."""
    conditions = (model.applies_to, *(part for rule in model.rules for part in (rule.when, rule.pause_while)))
    asked = {fact for condition in conditions if condition is not None for fact in fields_of(condition)}
    return asked | {rule.each for rule in model.rules if rule.each is not None and rule.activity is None}


def scores_asked(model: ScoreModel) -> set[str]:
    """Names of the scores that a score looks at."""
    words = [fact.split(".") for fact in facts_asked(model)]
    return {word[1] for word in words if word[0] in ("score", "grade", "matrix", "company") and len(word) > 1}


def in_order(models: Mapping[str, ScoreModel]) -> list[str]:
    """Names of the scores, each after those it looks at. Raises ValueError when they go round in a circle."""
    try:
        return list(TopologicalSorter({name: scores_asked(model) & models.keys() - {name}
                                       for name, model in models.items()}).static_order())  # fmt: skip
    except CycleError as error:
        raise ValueError(f"scores go round in a circle: {' → '.join(reversed(error.args[1]))}") from None


def _exact(number: float) -> str:
    return float(number).hex()


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def _plain(value: Any) -> Any:
    """A part of the model in JSON's words, with everything that has no order put in one."""
    match value:
        case FieldTest():
            return ["field", value.field, _plain(value.test)]
        case AllOf() | AnyOf():
            return [type(value).__name__, _sorted([_plain(part) for part in value.parts])]
        case Not():
            return ["not", _plain(value.part)]
        case Sequence() | Counted() | Question():
            return {key: _plain(part) for key, part in dict(value).items() if part is not None}
        case Test():
            return {key: _test_argument(key, given) for key, given in dict(value).items() if given is not None}
        case float():
            return _exact(value)
        case dict():  # steps
            return [[_exact(key), _plain(part)] for key, part in sorted(value.items())]
        case list() | tuple():
            return _sorted([_plain(part) for part in value])
        case _:
            return value


def _test_argument(key: str, given: Any) -> Any:
    if key in ("in_", "not_in") and isinstance(given, str):
        return sorted({spelled(item) for item in named_list(given)})
    if key == "words":
        return sorted({spelled(word) for word in words_of(given)})
    return _plain([given] if key in ("contains", "starts_with", "ends_with") and isinstance(given, str) else given)
