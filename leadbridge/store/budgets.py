"""Limits that all workers of one store share (reliability pattern 13): one row a limit, by the database's clock.

A rate is kept by spacing: each call takes the next free instant (the generic cell rate algorithm of ITU-T I.371), so
one short transaction per call serves any number of workers and no log of calls is kept. Places in flight are named
leases: those of a worker that died are free again when the lease is over. While the store cannot be asked, a worker
goes on with a small share of its own, and so several of them together stay within the limit.
"""

import threading
import time
from abc import ABC, abstractmethod
from datetime import timedelta

from sqlalchemy import select, update

from leadbridge import logs
from leadbridge.budgets import LOOK_AGAIN, Budget, OwnBudgets, Rate
from leadbridge.errors import StoreError
from leadbridge.store import leases
from leadbridge.store.engine import Store, database_now, running_now
from leadbridge.store.rows import upsert
from leadbridge.store.tables import FREE, budgets
from leadbridge.store.tables import leases as lease_rows

log = logs.logger(__name__)

ALONE = 0.1
"""Share of a limit that a worker allows itself while it cannot meet the others."""

MARGIN = 1.01
"""Calls are counted when they leave, the vendor counts them when they arrive: the span is kept a hundredth longer."""


class SharedBudgets:
    """Limits of one account, kept in the store. `owner` names this worker."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner
        self._alone = OwnBudgets(time.monotonic)

    def rate(self, name: str, calls: float, seconds: float) -> Rate:
        return SharedRate(self._store, name, calls, seconds, self._alone.rate(name, calls * ALONE, seconds))

    def places(self, name: str, count: int) -> Budget:
        return SharedPlaces(self._store, name, count, self._owner, self._alone.places(name, max(1, int(count * ALONE))))


class _Row(ABC):
    """What both kinds of limit have: a row of this name, and a way on without the store."""

    def __init__(self, store: Store, name: str, alone: Budget) -> None:
        self._store, self._name, self._alone = store, name, alone
        self._lock = threading.Lock()
        self._left_alone = 0  # calls under way that only this worker's own limit knows of

    def take(self, patience: float) -> float:
        """See `Budget.take`; while the store cannot be used, this worker keeps to a small share by itself."""
        try:
            return self._take()
        except StoreError as error:
            log.warning("limit not shared for now", limit=self._name, why=str(error))
        if (wait := self._alone.take(patience)) == 0.0:
            with self._lock:
                self._left_alone += 1
        return wait

    @abstractmethod
    def _take(self) -> float:
        """The same over all workers."""

    def give_back(self) -> None:
        """What left while the store could not be used is back; of the rest nothing has to be said."""
        with self._lock:
            if not self._left_alone:
                return
            self._left_alone -= 1
        self._alone.give_back()

    def hold(self, seconds: float) -> None:
        """The vendor wants quiet: no worker calls for this long."""
        self._alone.hold(seconds)
        try:
            with self._store.writing() as tx:
                until = running_now(tx) + timedelta(seconds=seconds)
                upsert(
                    tx,
                    budgets,
                    [{"name": self._name, "next_at": FREE, "quiet_until": until}],
                    key=["name"],
                    change=lambda new: {"quiet_until": new.quiet_until},
                    only_if=lambda new: budgets.c.quiet_until < new.quiet_until,
                )
        except StoreError as error:
            log.warning("other workers are not told to wait", limit=self._name, why=str(error))


class SharedRate(_Row):
    """At most `calls` in any `seconds`, over all workers. See `leadbridge.budgets.Budget`."""

    def __init__(self, store: Store, name: str, calls: float, seconds: float, alone: Rate) -> None:
        super().__init__(store, name, alone)
        self._own, self._own_alone = _spacing(calls, seconds), alone
        self._step, self._slack = self._own

    def at_most(self, calls: int, seconds: float) -> None:
        self._step, self._slack = max(self._own, _spacing(calls, seconds))
        self._own_alone.at_most(max(1, int(calls * ALONE)), seconds)

    def _take(self) -> float:
        with self._store.writing() as tx:
            upsert(tx, budgets, [{"name": self._name, "next_at": FREE, "quiet_until": FREE}], key=["name"])
            row = tx.execute(
                select(budgets.c.next_at, budgets.c.quiet_until)
                .where(budgets.c.name == self._name)
                .with_for_update()
            ).one()  # fmt: skip
            now = running_now(tx)
            quiet: float = (row.quiet_until - now).total_seconds()
            if quiet > 0:
                return quiet
            goes_at = max(row.next_at, now - self._slack)
            wait: float = (goes_at - now).total_seconds()
            if wait > 0:
                return min(wait, self._step.total_seconds() * 100)  # a clock set back must not stop the calls for long
            tx.execute(update(budgets).where(budgets.c.name == self._name).values(next_at=goes_at + self._step))
            return 0.0


def _spacing(calls: float, seconds: float) -> tuple[timedelta, timedelta]:
    """What lies between two calls, and how far behind that they may be: a few leave together after a pause."""
    at_once = max(1, int(calls) // 25)
    step = timedelta(seconds=seconds * MARGIN / (calls - at_once + 1))
    return step, step * (at_once - 1)


class SharedPlaces(_Row):
    """At most `count` calls in flight, over all workers. See `leadbridge.budgets.Budget`."""

    def __init__(self, store: Store, name: str, count: int, owner: str, alone: Budget) -> None:
        super().__init__(store, name, alone)
        self._places = [f"place {name} {number}" for number in range(count)]
        self._owner = owner
        self._held: list[tuple[str, int]] = []

    def _take(self) -> float:
        with self._store.writing() as tx:
            now = running_now(tx)
            quiet_until = tx.execute(select(budgets.c.quiet_until).where(budgets.c.name == self._name)).scalar() or FREE
            if (quiet := (quiet_until - now).total_seconds()) > 0:
                return quiet
            taken = tx.execute(
                select(lease_rows.c.name).where(
                    lease_rows.c.name.in_(self._places), lease_rows.c.lease_until > database_now(tx)
                )
            ).scalars()  # fmt: skip
            for place in sorted(set(self._places).difference(taken), key=self._places.index):
                if (token := leases.take(tx, place, self._owner)) is not None:
                    with self._lock:
                        self._held.append((place, token))
                    return 0.0
        return LOOK_AGAIN

    def give_back(self) -> None:
        with self._lock:
            held = self._held.pop(0) if self._held else None
        if held is None:
            super().give_back()
            return
        place, token = held
        try:
            with self._store.writing() as tx:
                leases.drop(tx, place, token)
        except StoreError as error:  # it is free again when its lease is over
            log.warning("place not given back", limit=self._name, why=str(error))
