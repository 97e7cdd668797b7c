"""What machines did with the mail, and who would pass for qualified if it counted. Reads the store only."""

from collections import Counter
from dataclasses import dataclass, field

from leadbridge import clock
from leadbridge.store import machine_events
from leadbridge.store.engine import Store
from leadbridge.types import ActivityKind, LifecycleStage
from sync.loading import load
from sync.outlook import Scorer

BATCH = 500


@dataclass(frozen=True, slots=True)
class Unmade:
    """Somebody whom only machines would have qualified."""

    email: str | None
    stage: LifecycleStage | None
    counted: LifecycleStage  # the stage if machines counted


@dataclass(slots=True)
class Machines:
    """Events left out, by kind and reason; whom they were taken for; and who would be qualified by them alone."""

    events: Counter[tuple[ActivityKind, str]] = field(default_factory=Counter)
    people: int = 0
    unmade: list[Unmade] = field(default_factory=list)


def machines(store: Store, scorer: Scorer) -> Machines:
    """Everybody with events of machines is scored twice, by the rules of today: without them, and as if they counted.

    Qualified is who is MQL or further. Batch by batch; nothing is stored.
    """
    at = clock.now()
    with store.reading() as tx:
        told = machine_events.told(tx)
    found = Machines(told.events, len(told.people))
    ids = sorted(told.people)
    for start in range(0, len(ids), BATCH):
        with store.reading() as tx:
            loaded = load(tx, scorer, ids[start : start + BATCH], at)
        without = scorer.view(loaded.people, loaded.activities, loaded.stages, at)
        counted = scorer.view(loaded.people, loaded.activities.counting_machines(), loaded.stages, at)
        for person, stage, if_counted in zip(without.ids.tolist(), without.stages, counted.stages, strict=True):
            if _qualified(if_counted) and not _qualified(stage) and if_counted is not None:
                found.unmade.append(Unmade(loaded.rows[person].email, stage, if_counted))
    return found


def _qualified(stage: LifecycleStage | None) -> bool:
    return stage is not None and stage.rank >= LifecycleStage.MQL.rank
