"""The counters of every process, added up in the store: one number however many doors and workers there are.

A process counts in memory (`leadbridge.metrics`) and adds what came since now and then. Killed, it loses the counts of
some seconds and nothing else.
"""

import json
import threading

from sqlalchemy import Connection, select

from leadbridge import logs, metrics
from leadbridge.store.engine import Store
from leadbridge.store.rows import upsert
from leadbridge.store.tables import counts

log = logs.logger(__name__)

EVERY = 10.0
"""Seconds between additions of a process that serves."""

_one_at_a_time = threading.Lock()


def flush(store: Store) -> None:
    """Add what this process counted since the last time. Raises StoreError; then it is added next time."""
    with _one_at_a_time:
        if not (found := metrics.unstored()):
            return
        rows = [
            {"name": name, "labels": json.dumps(labels), "value": amount}
            for (name, labels), amount in sorted(found.items())
        ]
        with store.writing() as tx:
            upsert(
                tx, counts, rows, key=["name", "labels"], change=lambda new: {"value": counts.c.value + new.value}
            )  # fmt: skip
        metrics.note_stored(found)


def try_flush(store: Store) -> None:
    """The same where counting must not stand in the way of work."""
    try:
        flush(store)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
        log.warning("counters not stored yet", why=str(error), kind=type(error).__name__)


def totals(tx: Connection) -> metrics.Amounts:
    """Every number of every counter, over all processes and all time."""
    return {(row.name, tuple(json.loads(row.labels))): row.value for row in tx.execute(select(counts))}


class Keeper:
    """A thread that adds up while a process serves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Add the last of it, and end."""
        self._stopping.set()
        self._thread.join(EVERY)

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            try_flush(self._store)
        try_flush(self._store)
