"""All that follows for a person from what is stored: scores, stage, phase, journeys that fit. Pure but for `load`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import MICROS, Column, Columns, Mask, coded, micros, taken, values_of
from leadbridge.conditions import Prepared, holds, prepare
from leadbridge.config.conditions import AnyOf, Condition, FieldTest, Not, Test, fields_of
from leadbridge.config.schema import BUILT_IN_FIELDS, Config, conditions_of
from leadbridge.types import BuyerJourney, LifecycleStage, PersonId, Score, Value
from nurture import buyer_journey, catalogue
from nurture.hand_off import Asked, Judged, Readiness
from nurture.journeys import Matcher
from nurture.segments import expand
from scoring import engine, horizon
from scoring import explain as words
from scoring.behaviour import compile_behaviour, measured
from scoring.company import Companies, companies, together
from scoring.compile import CompiledModel, compile_model, in_order
from scoring.confidence import confidence
from scoring.frames import Activities, People
from scoring.lifecycle import Stay, cause, stages
from scoring.personas import PersonaFrame, compile_personas, nearness
from scoring.questions import Answers, answered, compile_questions

OBJECTS = "objects_to_profiling"
"""Built-in field: did the person object, as far as we noted it ourselves?"""

STANDING = ("hand_off", "hand_off_reason", "hand_off_to")
"""Built-in fields: where the hand-off stands, why it ended, who received it (`hand_offs.standing`)."""


TOO_LITTLE = "too little data"
"""State of a probability that nobody could learn yet."""


class Outlook(NamedTuple):
    """All that follows for one person at one instant."""

    person_id: PersonId
    scores: tuple[Score, ...]
    stage: LifecycleStage | None
    cause: str  # of a change of stage, in words; "" when it is what it was
    buyer_journey: BuyerJourney | None
    journeys: tuple[str, ...]  # of the configuration, in its order, whose condition holds
    until: tuple[str, ...]  # likewise, whose `until` holds
    segments: tuple[str, ...]  # of the configuration, in its order
    reasons: Mapping[str, str]  # by score name
    wanted: Mapping[str, Value]  # our write-back names
    persona: str | None
    asked: Asked  # of people at the company
    unchanged_until: datetime | None = None  # nothing changes by time alone before then; None: nothing can
    company: str | None = None  # for whose company score they count
    paused: bool = False  # `nurture.pause_while` holds
    not_for: tuple[str, ...] = ()  # assets whose own condition does not hold


@dataclass(frozen=True, eq=False)
class View:
    """All that follows for many people at one instant, in columns: row i is person ids[i]."""

    ids: NDArray[np.int64]
    facts: Columns  # all that conditions may look at
    frames: tuple[engine.ScoreFrame, ...]  # by score, in the file's order
    current: Sequence[Stay | None]  # the stage they were in
    stages: Sequence[LifecycleStage | None]
    phases: Sequence[BuyerJourney | None]
    fits: Mapping[str, Mask]  # configured journey: does its condition hold?
    until: Mapping[str, Mask]  # journey with an `until`: does it hold?
    inside: Mapping[str, Mask]  # segment: are they in it?
    paused: Mask | None  # does `nurture.pause_while` hold?
    meant: Mapping[str, Mask]  # asset with a condition of its own: does it hold?
    companies: Companies
    answers: Answers
    near: PersonaFrame
    behaviour: Mapping[str, Column]
    judged: Judged  # what is asked of people at the company
    activities: Activities
    at: datetime
    work_out: Callable[["View"], list[datetime | None]] = field(repr=False)

    @cached_property
    def unchanged_until(self) -> list[datetime | None]:
        """For each person: before when nothing changes by time alone; None: nothing can. Worked out when asked for."""
        return self.work_out(self)


_FAR = round(timedelta(days=36500) / timedelta(microseconds=1))
"""Microseconds; what is further off than this is never."""


class Scorer:
    """The configuration's scores, stages and journeys, compiled once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.types = {**BUILT_IN_FIELDS, **{name: field.type for name, field in config.fields.items()}}
        self.personas = compile_personas(config.personas)
        self.behaviour = compile_behaviour(config.behaviour)
        self._questions = compile_questions(config.questions)
        where = None if config.company is None else config.company.where
        self._of_company = None if where is None else prepare(where)
        self.models = tuple(
            compile_model(
                name,
                model,
                self.types,
                personas=config.personas,
                behaviour=config.behaviour,
                others=config.scores,
                questions=config.questions,
                company=None if config.company is None else config.company.scores,
            )
            for name, model in config.scores.items()
        )
        self.objects = _objecting(config.consent.objection)
        self.models = tuple(_unless(self.objects, model) for model in self.models)
        self._shows = {name: _shows(config, name) for name in config.scores}
        self.consent = None if config.consent.given is None else prepare(config.consent.given)
        by_name = {model.name: model for model in self.models}
        self._shows_confidence = any(name.partition(".")[0] == "confidence" for name in config.write_back)
        self._in_order = tuple(by_name[name] for name in in_order(config.scores))
        self._works = horizon.clockwork(config)
        segments = config.segments

        def ready(condition: Any) -> Prepared:
            return prepare(expand(condition, segments))

        self._stages = {
            stage: rule.model_copy(
                update={
                    "when": expand(rule.when, segments),
                    "until": None if rule.until is None else expand(rule.until, segments),
                }
            )
            for stage, rule in config.stages.items()
        }
        self._segments = {name: ready(condition) for name, condition in segments.items()}
        self._phases = {phase: ready(condition) for phase, condition in config.buyer_journey.items()}
        self._readiness = Readiness(config.hand_off, config.stages, segments)
        journeys = config.nurture.journeys
        self._journeys = {journey.name: ready(journey.when) for journey in journeys}
        ends = config.nurture.until
        self._until = {
            journey.name: ready(AnyOf(tuple(each for each in (journey.until, ends) if each is not None)))
            for journey in journeys
            if journey.until is not None or ends is not None
        }
        pause = config.nurture.pause_while
        self._pause = None if pause is None else ready(pause)
        self._meant = {name: ready(one.when) for name, one in config.catalogue.items() if one.when is not None}
        self.matcher = Matcher(config.nurture)
        self.withheld = lru_cache(1000)(self._withheld)

    def _withheld(
        self, not_for: tuple[str, ...], offered: tuple[tuple[str, str | None], ...], today: date
    ) -> tuple[tuple[str, str], ...]:
        """Assets that no journey offers now to somebody who was offered these, and why (`catalogue.withheld`)."""
        had = [asset for asset, _ in offered]
        found = catalogue.withheld(self.config.catalogue, not_for=not_for, offered=had, today=today)
        return tuple(found.items())

    @property
    def reach(self) -> timedelta | None:
        """How far back activity matters to any score; None: all of it."""
        found = [model.reach for model in self.models] + [each.reach for each in self.behaviour]
        return None if None in found else timedelta(microseconds=max(reach for reach in found if reach is not None))

    @property
    def depends_on_time(self) -> bool:
        """May anything about a person change although nothing happens: a score, a stage, the rest after a journey?"""
        return (
            bool(self._journeys or self.behaviour)
            or any(
                rule.activity is not None or rule.no_activity_for is not None
                for model in self.config.scores.values()
                for rule in model.rules
            )
            or any(_dated(condition) for _, condition, _ in conditions_of(self.config))
        )

    def outlook(
        self,
        people: People,
        activities: Activities,
        current: Sequence[Stay | None],
        at: datetime,
    ) -> list[Outlook]:
        """Everything that follows for these people at one instant. Pure."""
        return self.outlooks(self.view(people, activities, current, at))

    def view(
        self,
        people: People,
        activities: Activities,
        current: Sequence[Stay | None],
        at: datetime,
    ) -> View:
        """The same in columns, for any number of people. Pure."""
        done = measured(self.behaviour, len(people), activities, micros(at))
        facts = people.facts.adding(done)
        answers = answered(self._questions, facts, micros(at))
        facts = facts.adding(answers.columns())
        near = nearness(self.personas, facts, at)
        facts = facts.adding(near.facts())
        found = self.companies(facts, at)
        by_name: dict[str, engine.ScoreFrame] = {}
        for model in self._in_order:
            by_name[model.name] = frame = engine.score(model, replace(people, facts=facts), activities, at)
            facts = facts.adding(engine.score_facts([frame]))
            if self.config.company is not None and model.name in self.config.company.scores:
                how = self.config.company.scores[model.name]
                facts = facts.adding({f"company.{model.name}": together(how, found, frame, facts)})
        stage_of = stages(self._stages, facts, current, at)
        facts = facts.adding({"stage": coded(stage_of)})
        phase_holds = {phase: holds(test, facts, at) for phase, test in self._phases.items()}
        phase_of = buyer_journey.phases(phase_holds, facts.n)
        facts = facts.adding({"buyer_journey": coded(phase_of)})
        return View(
            ids=people.ids,
            facts=facts,
            current=current,
            frames=tuple(by_name[model.name] for model in self.models),
            stages=stage_of,
            phases=phase_of,
            fits={name: holds(test, facts, at) for name, test in self._journeys.items()},
            until={name: holds(test, facts, at) for name, test in self._until.items()},
            inside={name: holds(test, facts, at) for name, test in self._segments.items()},
            paused=None if self._pause is None else holds(self._pause, facts, at),
            meant={name: holds(test, facts, at) for name, test in self._meant.items()},
            companies=found,
            answers=answers,
            near=near,
            behaviour=done,
            judged=self._readiness.judge(facts, stage_of, at),
            activities=activities,
            at=at,
            work_out=self._unchanged_until,
        )

    def companies(self, facts: Columns, at: datetime) -> Companies:
        """The companies of these people, as far as the configuration has any."""
        company = self.config.company
        return companies("" if company is None else company.by, self._of_company, facts, micros(at))

    def _unchanged_until(self, view: View) -> list[datetime | None]:
        t = micros(view.at)
        until = horizon.unchanged_until(
            self._works,
            self.models,
            {frame.model.name: frame for frame in view.frames},
            self.behaviour,
            People(view.ids, view.facts),
            view.activities,
            t,
        )
        for row, (stay, stage) in enumerate(zip(view.current, view.stages, strict=True)):
            kept = None if stage is None else self._stages.get(stage)
            if kept is not None and kept.keep_for is not None:
                since = t if stay is None or stay.stage is not stage else micros(stay.since)
                end = since + round(kept.keep_for * MICROS)
                until[row] = min(until[row], end) if end > t else until[row]
        return [None if end > t + _FAR else view.at + timedelta(microseconds=end - t) for end in until.tolist()]

    def outlooks(self, view: View, rows: NDArray[np.intp] | None = None) -> list[Outlook]:
        """What is in view of these rows (rising; default: of all), person by person."""
        rows = np.arange(len(view.ids)) if rows is None else rows
        places = rows.tolist()
        columns = [frame.of(rows) for frame in view.frames]
        reasons = [words.reasons_of(frame, rows) for frame in view.frames]
        by_person = list(zip(*columns, strict=True)) or [()] * len(places)
        texts_of = list(zip(*reasons, strict=True)) or [()] * len(places)
        inside = _names_held(view.inside, rows)
        wanted = self._wanted(view, rows, columns, reasons, inside)
        crm = values_of(taken(view.facts.by_name["lifecycle_stage"], rows))
        called = bool(view.judged.ready)
        return [
            Outlook(
                person,
                scores,
                stage := view.stages[row],
                _cause(view.current[row], stage, scores, told),
                view.phases[row],
                fits,
                until,
                segments,
                texts,
                dict(zip(self.config.write_back, shown, strict=True)),
                view.near.persona(row) if view.near.personas else None,
                view.judged.of(row) if called else _NOBODY,
                unchanged,
                view.companies.key(row) if view.companies.keys else None,
                paused,
                not_for,
            )
            for row, person, scores, told, fits, until, segments, texts, shown, unchanged, paused, not_for in zip(
                places,
                view.ids[rows].tolist(),
                [tuple(score for score in each if score is not None) for each in by_person],
                crm,
                _names_held(view.fits, rows),
                _names_held(view.until, rows),
                inside,
                [
                    {score.name: text for score, text in zip(each, texts, strict=True) if score is not None}
                    for each, texts in zip(by_person, texts_of, strict=True)
                ],
                wanted,
                [view.unchanged_until[row] for row in places],
                [False] * len(places) if view.paused is None else view.paused[rows].tolist(),
                _names_held({name: ~mask for name, mask in view.meant.items()}, rows),
                strict=True,
            )
        ]

    def _wanted(
        self,
        view: View,
        rows: NDArray[np.intp],
        scores: Sequence[Sequence[Score | None]],
        reasons: Sequence[Sequence[str]],
        inside: Sequence[tuple[str, ...]],
    ) -> Sequence[tuple[Value, ...]]:
        """What is to be shown of each of these rows: a value for each name in `write_back`."""
        places = rows.tolist()
        columns: dict[str, Sequence[Value]] = {
            "stage": [view.stages[row] for row in places],
            "buyer_journey": [view.phases[row] for row in places],
            "segments": ["; ".join(names) for names in inside],
        }
        for name, column in view.behaviour.items():
            columns[name] = [_shown(value) for value in values_of(taken(column, rows))]
        for name in STANDING:
            if name in self.config.write_back:
                columns[name] = values_of(taken(view.facts.by_name[name], rows))
        for frame, found, texts in zip(view.frames, scores, reasons, strict=True):
            known: Sequence[int | None] = [None] * len(places)
            if self._shows_confidence:
                known = confidence(frame.model, view.facts)[rows].tolist()
            for name, read in self._shows[frame.model.name].items():
                columns[name] = [
                    None if score is None else read(score, text, share)
                    for score, text, share in zip(found, texts, known, strict=True)
                ]
        if view.near.personas or view.answers.questions:
            more = [view.near.values(row) | view.answers.values(row) for row in places]
            columns |= {name: [one[name] for one in more] for name in (more[0] if more else ())}
        unknown: Sequence[Value] = [None] * len(places)
        shown = [columns.get(name, unknown) for name in self.config.write_back]
        return list(zip(*shown, strict=True)) if shown else [()] * len(places)


_NOBODY = Asked({})


def _each(masks: Mapping[str, Mask], rows: NDArray[np.intp]) -> Iterator[tuple[bool, ...]]:
    return zip(*(mask[rows].tolist() for mask in masks.values()), strict=True)


def _names_held(masks: Mapping[str, Mask], rows: NDArray[np.intp]) -> Sequence[tuple[str, ...]]:
    """By row: the names of those that hold; equal ones are one object."""
    if not masks:
        return [()] * len(rows)
    names: dict[tuple[bool, ...], tuple[str, ...]] = {}
    found = []
    for each in _each(masks, rows):
        if each not in names:
            names[each] = tuple(name for name, held in zip(masks, each, strict=True) if held)
        found.append(names[each])
    return found


def _cause(stay: Stay | None, stage: LifecycleStage | None, scores: Sequence[Score], crm: Value) -> str:
    before = None if stay is None else stay.stage
    if before is stage:
        return ""
    return cause(before, stage, {score.name: score.value for score in scores} | {"lifecycle_stage": crm})


_Read = Callable[[Score, str, int | None], Value]
"""A value to write back, of a score, its reasons and its confidence."""


def _shows(config: Config, name: str) -> dict[str, _Read]:
    """What is written back of one score, by our write-back names; those of the main score need not name it."""
    reads: dict[str, _Read] = {}
    trained = config.scores[name].trained
    state = TOO_LITTLE if trained is None else f"learned {trained.trained_at[:10]}"
    for end in (f".{name}", "") if name == next(iter(config.scores)) else (f".{name}",):
        reads |= {
            f"score{end}": lambda score, _reasons, _confidence: score.value,
            f"grade{end}": lambda score, _reasons, _confidence: score.grade,
            f"matrix{end}": lambda score, _reasons, _confidence: score.cell,
            f"reasons{end}": lambda _score, reasons, _confidence: reasons,
            f"confidence{end}": lambda _score, _reasons, confidence: confidence,
            f"scored_at{end}": lambda score, _reasons, _confidence: f"{score.at.astimezone(UTC):%Y-%m-%d}",
            f"model{end}": lambda score, _reasons, _confidence: score.model,
            f"probability{end}": lambda score, _reasons, _confidence: _per_cent(score.probability),
            f"probability_state{end}": lambda _score, _reasons, _confidence: state,
            **{f"score{end}.{category}": _rounded(category) for category in config.scores[name].categories},
        }
    return {place: read for place, read in reads.items() if place in config.write_back}


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _rounded(category: str) -> _Read:
    return lambda score, _reasons, _confidence: round(score.categories[category], 1)


def _shown(value: Value) -> Value:
    """What an activity says may be a stranger's text, which nothing that shows it may act on (reliability G28)."""
    return words.joined([value]) if isinstance(value, str) else value


def _objecting(objection: Condition | None) -> Condition:
    """Who objects to profiling: by the CRM's word or by ours (GDPR Art. 21)."""
    ours = FieldTest(OBJECTS, Test(equals=True))
    return ours if objection is None else AnyOf((ours, objection))


def _unless(objects: Condition, model: CompiledModel) -> CompiledModel:
    """The same score, which nobody has who objects."""
    fields = model.fields | set(fields_of(objects))
    willing, applies = prepare(Not(objects)), model.applies
    if applies is None:
        return replace(model, applies=willing, fields=fields)
    return replace(model, applies=Prepared(lambda f, at: applies.check(f, at) & willing.check(f, at)), fields=fields)


def _dated(condition: Condition) -> bool:
    """Does the condition look at how long ago something was?"""
    match condition:
        case FieldTest():
            return condition.test.dated
        case Not():
            return _dated(condition.part)
    return any(_dated(part) for part in condition.parts)
