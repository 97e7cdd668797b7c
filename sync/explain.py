"""How one person's scores come about, now or at any instant, computed from what is stored. Reads the store only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leadbridge import addresses, clock
from leadbridge.columns import Columns
from leadbridge.conditions import holds
from leadbridge.store import enrolments, hand_offs
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import BuyerJourney, LifecycleStage, PersonId, Score, Value
from nurture.hand_off import told
from scoring import reading
from scoring.frames import People
from sync.loading import Loaded, facts_of, load
from sync.outlook import Scorer


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one person's scores come about at one instant."""

    email: str
    at: datetime
    scores: tuple[Score, ...]
    evidence: Mapping[str, Mapping[str, str]]  # by score, by rule: what stands behind it
    raising: Mapping[str, Sequence[reading.Gain]]  # by score: what would raise it most
    likely: Mapping[str, reading.Likely | None]  # by score: what its trained model says
    stage: LifecycleStage | None
    buyer_journey: BuyerJourney | None
    phase_because: str  # the condition that holds, in words; "" without a phase
    wanted: Mapping[str, Value]  # what the CRM should show, by our write-back names
    fields: Mapping[str, Value]  # what was known of the person
    activities: Mapping[str, int]  # what they had done by then, counted by kind
    enrolments: tuple[enrolments.EnrolmentRow, ...]
    handed: tuple[hand_offs.HandOff, ...] = ()  # to people at the company, oldest first
    unmet: tuple[str, ...] = ()  # what the hand-off to sales still lacks
    machines: tuple[str, ...] = ()  # what machines did with the person's mail and nothing counts, with the evidence
    without: Mapping[str, str] = field(default_factory=dict)  # score they do not have: why

    def as_dict(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "at": self.at.isoformat(),
            "scores": [self._score(score) for score in self.scores],
            "without_score": dict(self.without),
            "stage": self.stage,
            "buyer_journey": self.buyer_journey,
            "buyer_journey_because": self.phase_because,
            "write_back": dict(self.wanted),
            "hand_offs": [
                {
                    "rule": row.rule,
                    "state": row.state,
                    "route": row.route,
                    "decided_at": row.decided_at.isoformat(),
                    "touched_at": row.touched_at.isoformat() if row.touched_at else None,
                    "outcome": row.outcome,
                    "reason": row.reason,
                }
                for row in self.handed
            ],
            "not_ready_for_sales": list(self.unmet),
            "machines": list(self.machines),
            "enrolments": [
                {"journey": row.journey, "variant": row.variant, "state": row.state, "words": row.words}
                for row in self.enrolments
            ],
        }

    def _score(self, score: Score) -> dict[str, Any]:
        evidence, likely = self.evidence[score.name], self.likely[score.name]
        return {
            "name": score.name,
            "value": score.value,
            "grade": score.grade,
            "model": score.model,
            "probability": score.probability,
            "average": None if likely is None else likely.average,
            "odds_times": {} if likely is None else dict(likely.times),
            "at": score.at.isoformat(),
            "contributions": [
                {
                    "category": line.category,
                    "rule": line.rule,
                    "points": line.points,
                    "evidence": evidence.get(line.rule, ""),
                }
                for line in score.contributions
            ],
            "would_raise_it": [
                {"rule": gain.rule, "what": gain.what, "points": gain.points} for gain in self.raising[score.name]
            ],
        }


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one score between two instants; None: it did not apply."""

    name: str
    before: int | None
    now: int | None
    lines: Sequence[tuple[str, float, float]]  # line, points before, points now; the largest change first


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed for one person between two instants, by the rules of today."""

    before: Explanation
    now: Explanation

    @property
    def scores(self) -> list[Moved]:
        old = {score.name: score for score in self.before.scores}
        new = {score.name: score for score in self.now.scores}
        return [
            Moved(
                name,
                old[name].value if name in old else None,
                new[name].value if name in new else None,
                reading.changed_lines(_lines(old.get(name)), _lines(new.get(name))),
            )
            for name in {**old, **new}
        ]

    @property
    def fields(self) -> dict[str, tuple[Value, Value]]:
        """What was known before and is now, where the two differ."""
        old, new = self.before.fields, self.now.fields
        return {name: (old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)}

    @property
    def activities(self) -> dict[str, int]:
        """What was done in between, counted by kind."""
        old, new = self.before.activities, self.now.activities
        return {kind: more for kind in sorted(new) if (more := new[kind] - old.get(kind, 0))}

    def as_dict(self) -> dict[str, Any]:
        return {
            "before": self.before.as_dict(),
            "now": self.now.as_dict(),
            "scores": [
                {
                    "name": moved.name,
                    "before": moved.before,
                    "now": moved.now,
                    "lines": [{"line": line, "before": old, "now": new} for line, old, new in moved.lines],
                }
                for moved in self.scores
            ],
            "fields": {name: {"before": old, "now": new} for name, (old, new) in self.fields.items()},
            "activities": self.activities,
        }


def _lines(score: Score | None) -> list[tuple[str, float]]:
    if score is None:
        return []
    return [(f"{line.rule} ({line.category})" if line.category else line.rule, line.points)
            for line in score.contributions]  # fmt: skip


def what_if(
    store: Store, scorer: Scorer, ids: Sequence[PersonId], pretend: Mapping[str, Value]
) -> dict[PersonId, Mapping[str, int]]:
    """The scores by name these people would have now if their attributes were as pretended. Reads the store only."""
    at = clock.now()
    with store.reading() as tx:
        loaded = load(tx, scorer, ids, at, pretend)
    found = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    return {one.person_id: {score.name: score.value for score in one.scores} for one in found}


def explain(store: Store, scorer: Scorer, email: str, at: datetime | None = None) -> Explanation | None:
    """One person's scores by the rules of today, computed from what is stored; None when nobody has the address, or
    nothing was known of them at `at` yet.

    `at` (default: now) may be past: fields as they were then, what was done by then (what came in late included), the
    stage they were in. Raises ValueError when it names no zone.
    """
    canonical = addresses.canonical(email)
    if canonical is None:
        return None
    with store.reading() as tx:
        person = lead_store.person_by_email(tx, canonical)
        if person is None:
            return None
        loaded = load(tx, scorer, [person], at or clock.now(), past=at is not None)
        ledger = enrolments.history(tx, [person]).get(person, [])
        handed = hand_offs.of_person(tx, person)
    if not len(loaded.people):
        return None
    return _explained(canonical, scorer, loaded, at or clock.now(), ledger, handed)


def _explained(
    email: str,
    scorer: Scorer,
    loaded: Loaded,
    at: datetime,
    ledger: Sequence[enrolments.EnrolmentRow],
    handed: Sequence[hand_offs.HandOff],
) -> Explanation:
    view = scorer.view(loaded.people, loaded.activities, loaded.stages, at)
    (found,) = scorer.outlooks(view)
    people = People(loaded.people.ids, view.facts)
    applied = {score.name for score in found.scores}
    asked = [
        (model, scorer.config.scores[model.name], people, loaded.activities, at)
        for model in scorer.models
        if model.name in applied
    ]
    return Explanation(
        email=email,
        at=at,
        scores=found.scores,
        evidence={each[0].name: reading.evidence(*each) for each in asked},
        raising={each[0].name: reading.raising(*each) for each in asked},
        likely={each[0].name: reading.likelihood(*each) for each in asked},
        stage=found.stage,
        buyer_journey=found.buyer_journey,
        phase_because="" if found.buyer_journey is None else told(scorer.config.buyer_journey[found.buyer_journey]),
        wanted=found.wanted,
        fields={name: value for name, value in facts_of(loaded.rows[found.person_id]).items() if value is not None},
        activities=reading.counts(loaded.activities, at),
        enrolments=tuple(row for row in ledger if row.created_at <= at),
        handed=tuple(row for row in handed if row.decided_at <= at),
        unmet=tuple(found.asked.unmet),
        machines=tuple(reading.by_machines(loaded.activities, at)),
        without=_without(scorer, view.facts, at, applied),
    )


def _without(scorer: Scorer, facts: Columns, at: datetime, applied: set[str]) -> dict[str, str]:
    """Why one person has no score, for each that they do not have."""
    objects = bool(holds(scorer.objects, facts, at)[0])
    return {
        name: "objects to profiling" if objects or model.applies_to is None else f"only for {told(model.applies_to)}"
        for name, model in scorer.config.scores.items()
        if name not in applied
    }


def difference(
    store: Store, scorer: Scorer, email: str, before: datetime, at: datetime | None = None
) -> Difference | None:
    """What changed for one person between two instants (the second by default now); None as `explain` says it.

    Somebody of whom nothing was known at the first instant is compared with nothing known. Raises ValueError when
    `before` is not before.
    """
    now = explain(store, scorer, email, at)
    if now is None:
        return None
    if before >= now.at:
        raise ValueError(f"{before.isoformat()} is not before {now.at.isoformat()}")
    then = explain(store, scorer, email, before)
    return Difference(then or _nothing(now, before), now)


def _nothing(now: Explanation, at: datetime) -> Explanation:
    return Explanation(now.email, at, (), {}, {}, {}, None, None, "", {}, {}, {}, ())
