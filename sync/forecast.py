"""Who would move, and how far, before anything is written: this configuration beside what is stored, or beside another.

Reads the store only and calls no vendor. People are worked in batches, so that memory does not grow with the audience.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import clock
from leadbridge.progress import Tell, unheard
from leadbridge.store import due
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import LifecycleStage, PersonId, Value
from sync import day, past
from sync.loading import facts_of, load
from sync.outlook import Outlook, Scorer, View
from sync.wishes import drifting, wishes

BATCH = 2000
BANDS = 10
"""Equal parts of a score's scale that people are counted in."""

MOVERS = 10
"""Largest moves shown."""

WEEK = timedelta(days=7)

NOBODY = "none"


@dataclass(slots=True)
class Spread:
    """How people spread over one score, before and now, in equal bands of its scale from the lowest."""

    scale: tuple[int, int]
    before: list[int] = field(default_factory=lambda: [0] * BANDS)
    now: list[int] = field(default_factory=lambda: [0] * BANDS)
    moved: int = 0  # people whose score is another, or whom it begins or ceases to apply to
    up: int = 0
    down: int = 0

    def add(self, before: int | None, now: int | None) -> None:
        for bands, value in ((self.before, before), (self.now, now)):
            if value is not None:
                low, high = self.scale
                bands[min(BANDS - 1, max(0, BANDS * (value - low) // (high - low)))] += 1
        self.moved += before != now
        if before is not None and now is not None:
            self.up += now > before
            self.down += now < before


@dataclass(slots=True)
class Crossings:
    """People who would go to a higher or a lower stage."""

    up: int = 0
    down: int = 0


@dataclass(slots=True)
class Called:
    """People whom these rules would have called somebody at the company for in the seven days until now."""

    people: int = 0
    by: Counter[str] = field(default_factory=Counter)  # value of the field asked for
    unknown: int = 0  # called for now, and there a week ago, but nothing of how they were then is known


@dataclass(frozen=True, slots=True, order=True)
class Mover:
    """One person whose main score moves far."""

    by: int
    email: str
    before: int
    now: int
    reasons: str


@dataclass(slots=True)
class Forecast:
    """What this configuration would do."""

    models: Mapping[str, tuple[str | None, str]]  # score: hash of the model before (None: several, or none), and now
    people: int = 0
    scores: dict[str, Spread] = field(default_factory=dict)
    gone: Sequence[str] = ()  # scores there were before, and that this configuration does not have
    unread: set[str] = field(default_factory=set)  # fields that nobody has a value of
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)  # (before, now) of those who change
    by: dict[str, Crossings] = field(default_factory=dict)  # value of the field asked for
    by_segment: dict[str, Crossings] = field(default_factory=dict)
    called: Called | None = None  # None: nobody is ever called, there is no hand-off
    movers: list[Mover] = field(default_factory=list)  # the largest first
    writes: Counter[str] = field(default_factory=Counter)  # records to write, by vendor
    drifting: int = 0  # records, beside these, that drift so little that their write waits
    cost: day.Need = field(default_factory=day.Need)  # of the writes

    def as_dict(self) -> dict[str, Any]:
        return {
            "people": self.people,
            "models": {name: {"before": old, "now": new} for name, (old, new) in self.models.items()},
            "scores": {
                name: {"scale": list(one.scale), "before": one.before, "now": one.now, "moved": one.moved,
                       "up": one.up, "down": one.down}
                for name, one in self.scores.items()
            },
            "scores_gone": list(self.gone),
            "fields_without_values": sorted(self.unread),
            "stages": [{"before": old, "now": new, "people": many} for (old, new), many in self.stages.most_common()],
            "by": {value: {"up": one.up, "down": one.down} for value, one in self.by.items()},
            "by_segment": {name: {"up": one.up, "down": one.down} for name, one in self.by_segment.items()},
            "called_in_a_week": None if (one := self.called) is None else
                {"people": one.people, "by": dict(one.by), "unknown": one.unknown},
            "movers": [
                {"email": one.email, "before": one.before, "now": one.now, "reasons": one.reasons}
                for one in self.movers
            ],
            "writes": dict(self.writes),
            "drifting": self.drifting,
            **self.cost.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Was:
    """How one person stood before."""

    scores: Mapping[str, int]
    stage: LifecycleStage | None


def forecast(
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm] = (),
    platform: EmailPlatform | None = None,
    *,
    old: Scorer | None = None,
    by: str | None = None,
    tell: Tell = unheard,
) -> Forecast:
    """What the configuration of `scorer` would do to everybody now.

    Compared with what is stored, or with what the configuration of `old` would do at the same instant. `by`: a field
    whose values people who change stage are counted by, such as the owner. Raises ValueError when it is no field.
    """
    if by is not None and by not in scorer.types:
        raise ValueError(f"{by} is no field; there is: {', '.join(sorted(scorer.types))}")
    at = clock.now()
    with store.reading() as tx:
        found = Forecast(_models(tx, scorer, old))
        names = set(score_store.models_in_use(tx)) if old is None else set(old.config.scores)
    found.gone = sorted(names - scorer.config.scores.keys())
    found.scores = {model.name: Spread(model.scale) for model in scorer.models}
    found.unread = set(scorer.config.fields)
    found.called = None if scorer.config.hand_off is None else Called()
    movers: list[tuple[int, int, Mover]] = []
    order = count()
    after = 0
    while True:
        with store.reading() as tx:  # one for each batch: a long look holds up the cleaning of the store
            ids = lead_store.all_person_ids(tx, after, BATCH)
            if not ids:
                break
            after = ids[-1]
            loaded = load(tx, scorer, ids, at)
            was = _stored(tx, ids) if old is None else _by_the_old(tx, old, ids, at)
            view = scorer.view(loaded.people, loaded.activities, loaded.stages, at)
            called, unknown = _called_since(tx, scorer, view, ids, at - WEEK) if found.called else (set(), 0)
            outlooks = scorer.outlooks(view)
            wanted, known = wishes(tx, crms, platform, loaded.rows, outlooks)
            waiting = drifting(tx, scorer.config, wanted, known, due.quiet(tx, ids), at)
            found.drifting += len(waiting)
            for wish in wanted:
                found.writes[wish.ref.vendor] += bool(wish.values) and wish.ref not in waiting
        found.unread -= {
            name for row in loaded.rows.values() for name in found.unread if row.attributes.get(name) is not None
        }
        for outlook in outlooks:
            before = was.get(outlook.person_id, _Was({}, None))
            row = loaded.rows[outlook.person_id]
            value = None if by is None else facts_of(row).get(by)
            _add(found, outlook, before, value, counted_by=by is not None)
            if found.called and outlook.person_id in called and by is not None:
                found.called.by[NOBODY if value is None else str(value)] += 1
            mover = _mover(scorer, outlook, before, row.email)
            if mover is not None:
                heapq.heappush(movers, (abs(mover.by), -next(order), mover))
                if len(movers) > MOVERS:
                    heapq.heappop(movers)
        if found.called:
            found.called.people += len(called)
            found.called.unknown += unknown
        found.people += len(outlooks)
        tell("people", found.people)
    found.movers = [mover for _, _, mover in sorted(movers, reverse=True)]
    with store.reading() as tx:
        found.cost = day.need(tx, crms, platform, found.writes)
    return found


def _called_since(
    tx: Connection, scorer: Scorer, now: View, ids: Sequence[PersonId], then: datetime
) -> tuple[set[PersonId], int]:
    """Who of these is called for now and was not then, as far as that is known; and of how many it is not."""
    loaded = load(tx, scorer, ids, then, past=True)
    view = scorer.view(loaded.people, loaded.activities, loaded.stages, then)
    found = set(now.ids[now.judged.called()].tolist()) - set(view.ids[view.judged.called()].tolist())
    unknown = found & past.there(tx, sorted(found), then) - set(view.ids.tolist())
    return found - unknown, len(unknown)


def _models(tx: Connection, scorer: Scorer, old: Scorer | None) -> dict[str, tuple[str | None, str]]:
    if old is not None:
        before = {model.name: model.hash for model in old.models}
        return {model.name: (before.get(model.name), model.hash) for model in scorer.models}
    stored = score_store.models_in_use(tx)
    return {
        model.name: (next(iter(used)) if len(used := stored.get(model.name, set())) == 1 else None, model.hash)
        for model in scorer.models
    }


def _stored(tx: Connection, ids: Sequence[PersonId]) -> dict[PersonId, _Was]:
    scores, stages = score_store.current_scores(tx, ids), score_store.stages_of(tx, ids)
    return {
        person: _Was(
            {name: row.value for name, row in scores.get(person, {}).items()},
            stages[person][0] if person in stages else None,
        )
        for person in ids
    }


def _by_the_old(tx: Connection, old: Scorer, ids: Sequence[PersonId], at: datetime) -> dict[PersonId, _Was]:
    loaded = load(tx, old, ids, at)
    return {
        one.person_id: _Was({score.name: score.value for score in one.scores}, one.stage)
        for one in old.outlook(loaded.people, loaded.activities, loaded.stages, at)
    }


def _add(found: Forecast, outlook: Outlook, was: _Was, value: Value, *, counted_by: bool) -> None:
    now = {score.name: score.value for score in outlook.scores}
    for name, spread in found.scores.items():
        spread.add(was.scores.get(name), now.get(name))
    if was.stage is outlook.stage:
        return
    found.stages[was.stage or NOBODY, outlook.stage or NOBODY] += 1
    up = (outlook.stage.rank if outlook.stage else -1) > (was.stage.rank if was.stage else -1)
    groups = [(found.by_segment, name) for name in outlook.segments]
    if counted_by:
        groups.append((found.by, NOBODY if value is None else str(value)))
    for counts, name in groups:
        crossings = counts.setdefault(name, Crossings())
        crossings.up += up
        crossings.down += not up


def _mover(scorer: Scorer, outlook: Outlook, was: _Was, email: str | None) -> Mover | None:
    main = scorer.models[0].name
    now = next((score.value for score in outlook.scores if score.name == main), None)
    before = was.scores.get(main)
    if now is None or before is None or now == before:
        return None
    return Mover(now - before, email or f"person {outlook.person_id}", before, now, outlook.reasons.get(main, ""))
