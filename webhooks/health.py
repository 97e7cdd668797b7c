"""`/healthz`: does the work get done? `/readyz`: may this process be sent deliveries?

Alive means progressing (reliability G14): health turns bad when the oldest work that is due has waited too long,
whatever the process list says. Readiness does not: a slow worker is no reason to turn events away.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from leadbridge import clock, logs
from leadbridge.store import due, inbox, outbox
from leadbridge.store.engine import Store
from webhooks.space import Space
from webhooks.writer import Writer

log = logs.logger(__name__)

OLDEST_DUE = 120.0
"""Seconds that due work may wait before health turns bad (G14)."""

FRESH_FOR = 1.0
"""Seconds an answer is given again without asking the store, so that asking often costs nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """One look at the process. `faults` are stable codes; empty means good."""

    faults: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return 503 if self.faults else 200

    def body(self) -> dict[str, Any]:
        return {"status": "bad" if self.faults else "ok", "faults": list(self.faults), **self.figures}


class Health:
    """Looks at the store and the writer; remembers what it saw for a second."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        space: Space | None = None,
        *,
        vendors: Sequence[str] = (),
    ) -> None:
        """`vendors`: those that are written to."""
        self._store = store
        self._vendors = vendors
        self._writer = writer
        self._space = space
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, Report]] = {}

    def working(self) -> Report:
        """Is the process up, does the store answer, and does work get done in time?"""
        return self._fresh("working", self._look_at_work)

    def ready(self) -> Report:
        """Is the store up to date and the writer able to commit?"""
        return self._fresh("ready", self._look_at_readiness)

    def _fresh(self, name: str, look: Callable[[], Report]) -> Report:
        with self._lock:
            seen = self._seen.get(name)
            if seen is None or time.monotonic() - seen[0] > FRESH_FOR:
                seen = time.monotonic(), look()
                self._seen[name] = seen
            return seen[1]

    def _look_at_work(self) -> Report:
        try:
            with self._store.reading() as tx:
                writes = outbox.oldest_write(tx, self._vendors)
                oldest = {"inbox": inbox.oldest_pending(tx), "due": due.oldest_due(tx), "writes": writes}
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "bad", not a stack
            log.warning("health: the store does not answer", why=str(error))
            return Report(("store_unreachable",))
        now = clock.now()
        ages = {name: max(0.0, (now - at).total_seconds()) if at else 0.0 for name, at in oldest.items()}
        faults = tuple(f"{name}_stalled" for name, age in ages.items() if age > OLDEST_DUE)
        faults += self._no_room()
        return Report(faults, {f"oldest_{name}_seconds": round(age, 1) for name, age in ages.items()})

    def _look_at_readiness(self) -> Report:
        faults = []
        try:
            if not self._store.is_current():
                faults.append("store_outdated")
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("readiness: the store does not answer", why=str(error))
            faults.append("store_unreachable")
        if not self._writer.alive:
            faults.append("writer_stuck")
        return Report((*faults, *self._no_room()))

    def _no_room(self) -> tuple[str, ...]:
        return ("disk_low",) if self._space is not None and self._space.low else ()
