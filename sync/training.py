"""From the store to a trained probability: who reached the goal, by what the rules of a score gave them before.

Learned at earlier instants, tried at later ones; it abstains rather than say what too few people show.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask, micros
from leadbridge.config.measurement import Goal
from leadbridge.config.schema import Config
from leadbridge.config.trained import Figures, Looked, Trained, Weight, sealed
from leadbridge.progress import Tell, unheard
from leadbridge.store.engine import Store
from nurture.accuracy import FEW, ranking
from scoring.compile import UNIT, CompiledModel, facts_asked
from scoring.engine import rule_points
from scoring.frames import People
from scoring.predict import figures, leaks
from scoring.predict.fit import Fit, fit
from sync import past
from sync.loading import load
from sync.outlook import Scorer

ENOUGH = 50
"""Fewer outcomes teach nothing that could be relied on."""

HELD_OUT = 0.25
"""Of the outcomes at least this share is not learned from, but tried on."""


@dataclass(frozen=True, slots=True)
class Abstained:
    """No model, and why."""

    why: str
    instants: list[past.Instant]


@dataclass(frozen=True, slots=True)
class Leaking:
    """No model: these tell the outcome too well."""

    leaks: list[leaks.Leak]
    instants: list[past.Instant]


@dataclass(frozen=True, slots=True)
class Learned:
    """A model, and how it did on the people held out."""

    model: Trained
    calibration: figures.Calibration
    instants: list[past.Instant]


@dataclass(slots=True)
class _Examples:
    """What was known then of people who had not reached the goal, a row each: by instant, joined when asked for."""

    points: list[NDArray[np.float64]] = field(default_factory=list)  # shape (people, rules)
    value: list[NDArray[np.float64]] = field(default_factory=list)  # the score itself
    became: list[Mask] = field(default_factory=list)
    instant: list[NDArray[np.int64]] = field(default_factory=list)
    person: list[NDArray[np.int64]] = field(default_factory=list)
    known: list[dict[str, Mask]] = field(default_factory=list)  # of each field that the rules look at


def train(
    store: Store,
    config: Config,
    name: str,
    goal: Goal,
    now: datetime,
    count: int = past.INSTANTS,
    *,
    honest: Collection[str] = (),
    tell: Tell = unheard,
) -> Learned | Abstained | Leaking:
    """A probability made of the rules of the score `name`. `honest`: rules and fields that are no leak, however well
    they tell. Raises ValueError when there is no such score."""
    scorer = Scorer(_by_hand(config))
    compiled = next((model for model in scorer.models if model.name == name), None)
    if compiled is None:
        raise ValueError(f"there is no score {name}; there is: {', '.join(scorer.config.scores)}")
    at = past.instants(now, goal, count)
    examples = _gathered(store, scorer, compiled, goal, at, tell)
    instants = [one for one in at if one.people or one.unknown]
    became = np.concatenate([*examples.became, np.zeros(0, np.bool_)])
    instant = np.concatenate([*examples.instant, np.zeros(0, np.int64)])
    if became.sum() < ENOUGH:
        return Abstained(f"{became.sum()} outcomes teach too little; at least {ENOUGH} are needed", instants)
    later = _held_out(became, instant)
    if later is None:
        return Abstained(
            f"the {became.sum()} outcomes are not spread over enough instants to learn from some and try on others; "
            "a shorter time within which it has to come, or more instants, may do",
            instants,
        )
    points = np.concatenate(examples.points)
    found = _leaks(store, scorer, name, examples, points, became, now, honest)
    if found:
        return Leaking(found, instants)
    learned = fit(points[~later], became[~later])
    confidence = scorer.config.measurement.confidence
    said = learned.probability(points[later])
    told = _figures(said * 100, became[later], confidence, said)
    if told.auc_low <= 0.5:
        return Abstained(
            f"what was learned tells no better than chance who comes later: {told.auc:.1%} of the time, "
            f"{told.auc_low:.1%} to {told.auc_high:.1%}",
            instants,
        )
    model = sealed(
        score=name,
        rules=compiled.hash,
        reaches=goal.reaches or goal.activity,
        within=goal.within,
        trained_at=now.isoformat(),
        looked=[
            Looked(at=one.at.isoformat(), people=int(here.sum()), became=int(became[here].sum()),
                   held_out=bool(later[here].any()))
            for index, one in enumerate(at) if (here := instant == index).any()
        ],
        share=float(became[~later].mean()),
        intercept=learned.intercept,
        weights=_weights(scorer, name, learned, points[~later]),
        confidence=confidence,
        held_out=told,
        by_hand=_figures(np.concatenate(examples.value)[later], became[later], confidence),
    )  # fmt: skip
    return Learned(model, figures.calibration(said, became[later], confidence), instants)


def _by_hand(config: Config) -> Config:
    """The same without what was learned before."""
    scores = {
        name: score.model_copy(
            update={"categories": {label: each.model_copy(update={"model": None})
                                   for label, each in score.categories.items()}}
        )
        for name, score in config.scores.items()
    }  # fmt: skip
    return config.model_copy(update={"scores": scores})


def _gathered(
    store: Store, scorer: Scorer, model: CompiledModel, goal: Goal, at: list[past.Instant], tell: Tell
) -> _Examples:
    found = _Examples()
    fields = facts_asked(scorer.config.scores[model.name])
    place = [one.name for one in scorer.models].index(model.name)
    for look in past.looks(store, scorer, goal, at, tell):
        view, frame = look.view, look.view.frames[place]
        mine = np.flatnonzero(look.open & frame.applies)
        if not len(mine):
            continue
        table = np.zeros((len(model.rules), len(view.ids)), np.int64)
        rule_points(model, People(view.ids, view.facts), view.activities, micros(view.at), table)
        found.points.append(table[:, mine].T / UNIT)
        found.value.append(frame.value[mine].astype(np.float64))
        found.became.append(look.became[mine])
        found.instant.append(np.full(len(mine), look.instant))
        found.person.append(view.ids[mine])
        found.known.append(
            {name: view.facts.by_name[name].known[mine] for name in sorted(fields & view.facts.by_name.keys())}
        )
    return found


def _held_out(became: Mask, instant: NDArray[np.int64]) -> Mask | None:
    """The latest instants that hold enough of the outcomes, and leave enough; None when there are none such."""
    total = int(became.sum())
    for first in sorted(set(instant.tolist()), reverse=True)[:-1]:
        later: Mask = instant >= first
        mine = int(became[later].sum())
        if mine >= max(FEW, HELD_OUT * total) and int((~became[later]).sum()) >= FEW:
            return later if total - mine >= ENOUGH // 2 else None
    return None


def _figures(
    order: NDArray[np.float64], became: Mask, confidence: float, probability: NDArray[np.float64] | None = None
) -> Figures:
    found = ranking(order.tolist(), became.tolist(), confidence)
    if found.auc is None or found.interval is None:
        raise ValueError("too few are held out")
    base = {
        "auc": found.auc,
        "auc_low": found.interval[0],
        "auc_high": found.interval[1],
        "average_precision": figures.average_precision(order, became),
    }
    if probability is None:
        return Figures(**base)
    told = figures.calibration(probability, became, confidence)
    low, high = told.interval or (None, None)
    return Figures(
        **base,
        brier=figures.brier(probability, became),
        expected=told.expected,
        slope=told.slope,
        slope_low=low,
        slope_high=high,
    )


def _weights(scorer: Scorer, name: str, learned: Fit, points: NDArray[np.float64]) -> list[Weight]:
    given = points != 0
    counts = given.sum(axis=0)
    typical = points.sum(axis=0) / np.maximum(counts, 1)
    return [
        Weight(rule=rule.name, text=rule.text, weight=float(learned.weights[index]),
               error=float(learned.errors[index]), low=float(learned.low[index]), high=float(learned.high[index]),
               typical=float(typical[index]), given=int(counts[index]))
        for index, rule in enumerate(scorer.config.scores[name].rules)
    ]  # fmt: skip


# --- what tells too well -------------------------------------------------------------------------------------------


def _leaks(
    store: Store,
    scorer: Scorer,
    name: str,
    examples: _Examples,
    points: NDArray[np.float64],
    became: Mask,
    now: datetime,
    honest: Collection[str],
) -> list[leaks.Leak]:
    """Each person counts once, as they were when last looked at: whoever came late had the same value long before."""
    people = np.concatenate(examples.person)
    ids, first_from_behind = np.unique(people[::-1], return_index=True)
    last = len(people) - 1 - first_from_behind
    points, became = points[last], became[last]
    rules = scorer.config.scores[name].rules
    given: dict[str, NDArray[np.float64]] = {
        f"rule {rule.name}": points[:, index] for index, rule in enumerate(rules) if rule.name not in honest
    }
    known = {
        name: np.concatenate([each[name] for each in examples.known])[last]
        for name in examples.known[0]
        if name not in honest
    }
    given |= {f"field {name}": mask.astype(np.float64) for name, mask in known.items()}
    own = {name: mask for name, mask in known.items() if name in scorer.types}
    since = _known_now(store, scorer, ids, [*own], now)
    return [*leaks.too_good(given, became), *leaks.only_afterwards(own, since, became)]


def _known_now(
    store: Store, scorer: Scorer, ids: NDArray[np.int64], fields: Sequence[str], now: datetime
) -> Mapping[str, Mask]:
    """Of each of these people, by rising id: is the field known of them now?"""
    known = {name: np.zeros(len(ids), np.bool_) for name in fields}
    for start in range(0, len(ids) if fields else 0, past.BATCH):
        with store.reading() as tx:
            facts = load(tx, scorer, ids[start : start + past.BATCH].tolist(), now).people
        row = np.searchsorted(ids, facts.ids)
        for name in fields:
            known[name][row] = facts.facts.by_name[name].known
    return known
