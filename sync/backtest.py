"""The scores of the file on the past: would they have told who reached the goal? Reads the store only.

`accuracy` asks the same of the scores that were shown; here everybody is scored anew, by the rules of the file, from
what was known at each instant. So rules that nobody has used yet can be tried. A score with a trained model is tried at
instants only that come after what the model was learned from.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from leadbridge.config.measurement import Goal
from leadbridge.config.trained import Trained
from leadbridge.progress import Tell, unheard
from leadbridge.store.engine import Store
from nurture.accuracy import Ranking, ranking
from scoring.predict import figures
from sync import past
from sync.outlook import Scorer


@dataclass(frozen=True, slots=True)
class Told:
    """How well one score told it, over all instants together; people whom it does not apply to are left out."""

    score: str
    model: str  # hash of the rules
    found: Ranking
    average_precision: float | None  # None: too few to tell
    learned_until: datetime | None = None  # of a trained model: only later instants count
    brier: float | None = None  # of its probability
    calibration: figures.Calibration | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """How well each score of the file told what came."""

    goal: Goal
    instants: list[past.Instant]  # oldest first; those at which anybody was there
    scores: list[Told]


def backtest(
    store: Store,
    scorer: Scorer,
    goal: Goal,
    now: datetime,
    count: int = past.INSTANTS,
    *,
    tell: Tell = unheard,
) -> Backtest:
    """Everybody scored as of `count` past instants, against what became of them within the goal's time."""
    at = past.instants(now, goal, count)
    values: dict[str, list[int]] = defaultdict(list)
    outcomes: dict[str, list[bool]] = defaultdict(list)
    chances: dict[str, list[float]] = defaultdict(list)
    learned = {name: _learned_until(score.trained) for name, score in scorer.config.scores.items()}
    for look in past.looks(store, scorer, goal, at, tell):
        for frame in look.view.frames:
            until = learned[frame.model.name]
            if until is not None and look.view.at < until:
                continue
            mine = look.open & frame.applies
            values[frame.model.name] += frame.value[mine].tolist()
            outcomes[frame.model.name] += look.became[mine].tolist()
            if frame.probability is not None:
                chances[frame.model.name] += frame.probability[mine].tolist()
    confidence, told = scorer.config.measurement.confidence, []
    for model in scorer.models:
        found = ranking(values[model.name], outcomes[model.name], confidence)
        if found.auc is None:
            told.append(Told(model.name, model.hash, found, None, learned[model.name]))
            continue
        won = np.array(outcomes[model.name], np.bool_)
        precision = figures.average_precision(values[model.name], won)
        chance = np.array(chances[model.name]) if model.name in chances else None
        told.append(
            Told(
                model.name,
                model.hash,
                found,
                precision,
                learned[model.name],
                None if chance is None else figures.brier(chance, won),
                None if chance is None else figures.calibration(chance, won, confidence),
            )
        )
    return Backtest(goal, [one for one in at if one.people or one.unknown], told)


def _learned_until(model: Trained | None) -> datetime | None:
    """When all was known that a model was learned from."""
    if model is None:
        return None
    last = max(datetime.fromisoformat(one.at) for one in model.looked if not one.held_out)
    return last + timedelta(seconds=model.within)
