"""Deliveries to events: each cut once, whatever happens between the two (reliability G3, G8, G10)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge import metrics
from leadbridge.metrics import WEBHOOK_EVENTS
from leadbridge.store import Store, inbox, quarantine, tables
from sync import deliveries
from tests.helpers.signers import hubspot_body, hubspot_change
from tests.helpers.tally import Tally

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    metrics.reset()


def deliver(store: Store, *bodies: bytes, vendor: str = "hubspot", at: datetime = NOW) -> None:
    """What the door leaves behind."""
    came = [inbox.Delivery(vendor, None, body, 1) for body in bodies]
    with store.writing() as tx:
        inbox.keep_deliveries(tx, store.vault, came, at)


def ids(store: Store) -> list[int]:
    with store.reading() as tx:
        rows = tx.execute(sa.select(tables.inbox).order_by(tables.inbox.c.id)).all()
    return [json.loads(store.vault.open(row.body, f"inbox:hubspot:{row.delivery_key}"))["eventId"] for row in rows]


def uncut(store: Store) -> int:
    with store.reading() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(tables.deliveries)) or 0


def many(numbers: range) -> bytes:
    return hubspot_body(*(hubspot_change(number) for number in numbers))


def test_a_delivery_becomes_its_events_and_goes(store: Store) -> None:
    deliver(store, many(range(3)), many(range(3, 5)))
    with store.reading() as tx:
        assert inbox.pending(tx) == 2  # as the door counted them
        assert inbox.oldest_pending(tx) == NOW
    assert deliveries.cut(store) == 0
    assert ids(store) == [0, 1, 2, 3, 4]
    assert uncut(store) == 0
    with store.reading() as tx:
        assert inbox.pending(tx) == 5
        assert inbox.oldest_pending(tx) == NOW


def test_an_event_that_comes_again_in_another_delivery_is_counted_and_nothing_more(store: Store) -> None:
    deliver(store, many(range(3)))
    deliveries.cut(store)
    deliver(store, many(range(2, 5)), many(range(1)))
    deliveries.cut(store)
    assert ids(store) == [0, 1, 2, 3, 4]
    assert WEBHOOK_EVENTS.values() == {("hubspot", "new"): 5, ("hubspot", "repeated"): 2}


def test_a_thousand_deliveries_are_cut_in_short_transactions(store: Store) -> None:
    held: list[int] = []

    class Watched:
        vault = store.vault
        reading = staticmethod(store.reading)

        @contextmanager
        def writing(self) -> Iterator[sa.Connection]:
            before = uncut(store)
            with store.writing() as tx:
                yield tx
            held.append(before - uncut(store))

    deliver(store, *(many(range(number, number + 1)) for number in range(150)))
    watched: Any = Watched()
    deliveries.cut(watched)
    assert held == [64, 64, 22]
    assert len(ids(store)) == 150


def test_killed_before_the_commit_nothing_is_lost_and_nothing_doubled(store: Store) -> None:
    deliver(store, many(range(4)))

    class Dies:
        vault = store.vault
        reading = staticmethod(store.reading)

        @contextmanager
        def writing(self) -> Iterator[sa.Connection]:
            with store.writing() as tx:
                yield tx
                raise KeyboardInterrupt

    dying: Any = Dies()
    with pytest.raises(KeyboardInterrupt):
        deliveries.cut(dying)
    assert (uncut(store), ids(store)) == (1, [])
    deliveries.cut(store)
    assert (uncut(store), ids(store)) == (0, [0, 1, 2, 3])
    assert WEBHOOK_EVENTS.values() == {("hubspot", "new"): 4}


def test_eight_workers_at_once_cut_each_delivery_once(store: Store, tally: Tally) -> None:
    for start in range(0, 400, 4):
        deliver(store, many(range(start, start + 4)))
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        deliveries.cut(store)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = ids(store)
    tally(24, trials=8, lost=len(set(range(400)) - set(there)), duplicate=len(there) - len(set(there)))
    assert WEBHOOK_EVENTS.values() == {("hubspot", "new"): 400}


def test_what_cannot_be_cut_is_set_aside_with_its_bytes_and_the_rest_go_on(store: Store) -> None:
    deliver(store, b'{"no": "array"}', many(range(2)))
    deliver(store, b"anything", vendor="nobody")
    with store.writing() as tx:
        tx.execute(sa.insert(tables.deliveries).values(
            vendor="hubspot", events=1, body=b"damaged", received_at=NOW + timedelta(seconds=1)
        ))  # fmt: skip
    assert deliveries.cut(store) == 3
    assert (uncut(store), ids(store)) == (0, [0, 1])
    with store.reading() as tx:
        aside = {item.reason: quarantine.body_of(tx, store.vault, item.id) for item in quarantine.listing(tx)}
    assert aside == {
        "not_an_array": b'{"no": "array"}', "ValueError": b"anything", "sealed bytes do not open": b"damaged",
    }  # fmt: skip
