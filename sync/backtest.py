"""The scores of the file on the past: would they have told who reached the goal? Reads the store only.

`accuracy` asks the same of the scores that were shown; here everybody is scored anew, by the rules of the file, from
what was known at each instant. So rules that nobody has used yet can be tried.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from leadbridge.config.measurement import Goal
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
    tell: past.Tell = lambda _what, _count: None,
) -> Backtest:
    """Everybody scored as of `count` past instants, against what became of them within the goal's time."""
    at = past.instants(now, goal, count)
    values: dict[str, list[int]] = defaultdict(list)
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for look in past.looks(store, scorer, goal, at, tell):
        for frame in look.view.frames:
            mine = look.open & frame.applies
            values[frame.model.name] += frame.value[mine].tolist()
            outcomes[frame.model.name] += look.became[mine].tolist()
    confidence, told = scorer.config.measurement.confidence, []
    for model in scorer.models:
        found = ranking(values[model.name], outcomes[model.name], confidence)
        precision = None if found.auc is None else figures.average_precision(values[model.name], outcomes[model.name])
        told.append(Told(model.name, model.hash, found, precision))
    return Backtest(goal, [one for one in at if one.people or one.unknown], told)
