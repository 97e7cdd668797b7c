"""Events that came, until they are worked (reliability G3, G10)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from leadbridge.errors import StoreError
from leadbridge.store import Store, inbox, quarantine, tables
from leadbridge.store.inbox import InboxEvent, Kept
from tests.helpers.store_people import NOW


def claim(tx: Connection, store: Store, limit: int = 10, *, lease_seconds: float = 60) -> list[InboxEvent]:
    return inbox.claim_events(tx, store.vault, limit=limit, owner="w", lease_seconds=lease_seconds)


def keep(tx: Connection, store: Store, *keys: str) -> Kept:
    return inbox.keep(tx, store.vault, "hubspot", [(key, f"body of {key}".encode()) for key in keys], NOW)


def test_an_event_is_kept_once_however_often_it_comes(store: Store) -> None:
    with store.writing() as tx:
        assert keep(tx, store, "a", "b", "a") == Kept(new=2, repeated=1)
        assert keep(tx, store, "b", "c") == Kept(new=1, repeated=1)
        assert keep(tx, store) == Kept(0, 0)
        assert inbox.keep(tx, store.vault, "mailchimp", [("a", b"")], NOW) == Kept(1, 0)
        assert inbox.pending(tx) == 4


def test_twenty_repeats_at_once_are_one_event(store: Store) -> None:
    barrier = threading.Barrier(8)

    def deliver(number: int) -> int:
        barrier.wait()
        with store.writing() as tx:
            return keep(tx, store, *(["x", "y", "z"] if number % 2 else ["z", "y", "x"])).new

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(deliver, range(24))) == 3


def test_of_one_key_twice_in_a_delivery_the_first_is_kept(store: Store) -> None:
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("a", b"first"), ("a", b"second")], NOW)
        assert claim(tx, store)[0].body == b"first"


def test_a_claimed_event_comes_with_its_bytes(store: Store) -> None:
    body = bytes(range(256))
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("a", body)], NOW)
        (event,) = claim(tx, store)
        assert event == InboxEvent(event.id, "hubspot", "a", body, event.token, attempts=1, received_at=NOW)
        assert claim(tx, store) == []


def test_bodies_are_not_readable_in_the_database(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a")
        (kept,) = tx.execute(sa.select(tables.inbox.c.body)).scalars()
        assert b"body of" not in bytes(kept)


def test_a_worked_event_loses_its_body_and_keeps_its_key(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a", "b")
        events = claim(tx, store, 1)
        assert inbox.done(tx, events, NOW) == {events[0].id}
        assert inbox.pending(tx) == 1
        assert keep(tx, store, "a", "b") == Kept(new=0, repeated=2)
        bodies = tx.execute(sa.select(tables.inbox.c.body).order_by(tables.inbox.c.id)).scalars().all()
        assert [body is None for body in bodies] == [True, False]


def test_a_stale_token_changes_nothing(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a")
        stale = claim(tx, store, lease_seconds=-1)
        fresh = claim(tx, store)
        assert fresh[0].attempts == 2
        assert inbox.done(tx, stale, NOW) == set()
        assert not inbox.fail(tx, store.vault, stale[0], "unreadable", NOW)
        assert inbox.renew(tx, stale) == set()
        inbox.release(tx, stale)
        assert claim(tx, store) == []
        assert inbox.pending(tx) == 1
        assert quarantine.count(tx) == 0
        assert inbox.renew(tx, fresh) == {fresh[0].id}
        assert inbox.done(tx, fresh, NOW) == {fresh[0].id}


def test_an_event_that_kills_its_workers_goes_to_the_back(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "poison")
        claim(tx, store, lease_seconds=-1)
        keep(tx, store, "a", "b")
        assert [event.key for event in claim(tx, store)] == ["a", "b", "poison"]


def test_released_events_wait_again_at_once_or_until_later(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a")
        inbox.release(tx, claim(tx, store))
        later = datetime.now(UTC) + timedelta(minutes=1)
        inbox.release(tx, claim(tx, store), later)
        assert claim(tx, store) == []
        assert len(inbox.claim_events(tx, store.vault, limit=1, owner="w", now=later)) == 1


def test_a_failed_event_is_set_aside_with_its_bytes_and_can_be_replayed(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a")
        (event,) = claim(tx, store)
        assert inbox.fail(tx, store.vault, event, "unreadable", NOW)
        assert inbox.pending(tx) == 0
        (item,) = quarantine.listing(tx)
        taken = quarantine.take_back(tx, store.vault, item.id)
        assert taken == (item, b"body of a")
        inbox.replay(tx, store.vault, "hubspot", "a", taken[1], NOW)
        (again,) = claim(tx, store)
        assert (again.id, again.body, again.attempts) == (event.id, b"body of a", 1)
        assert keep(tx, store, "a") == Kept(new=0, repeated=1)


def test_replaying_what_waits_already_does_nothing(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a")
        inbox.replay(tx, store.vault, "hubspot", "a", b"other", NOW)
        assert [event.body for event in claim(tx, store)] == [b"body of a"]


def test_one_event_that_does_not_open_does_not_stop_the_others(store: Store) -> None:
    with store.writing() as tx:
        keep(tx, store, "a", "b")
        tx.execute(sa.update(tables.inbox).where(tables.inbox.c.delivery_key == "a").values(body=b"rubbish"))
        assert [event.key for event in claim(tx, store)] == ["b"]
        (item,) = quarantine.listing(tx)
        assert (item.ref, item.reason) == ("a", "sealed bytes are damaged: not in a known form")
        assert quarantine.body_of(tx, store.vault, item.id) == b"rubbish"


def test_the_longest_waiting_event_tells_how_late_we_are(store: Store) -> None:
    with store.writing() as tx:
        assert inbox.oldest_pending(tx) is None
        keep(tx, store, "a")
        inbox.keep(tx, store.vault, "hubspot", [("b", b"")], NOW + timedelta(minutes=1))
        assert inbox.oldest_pending(tx) == NOW
        inbox.done(tx, claim(tx, store, 1), NOW)
        assert inbox.oldest_pending(tx) == NOW + timedelta(minutes=1)


def test_keys_are_forgotten_after_25_hours_and_never_before(store: Store) -> None:
    now = datetime.now(UTC)
    with store.writing() as tx:
        keep(tx, store, "old", "young", "waiting")
        old, young = claim(tx, store, 2)
        inbox.done(tx, [old], now - timedelta(hours=26))
        inbox.done(tx, [young], now - timedelta(hours=24))
        assert inbox.purge(tx, now + timedelta(days=9)) == 1
        assert keep(tx, store, "old", "young", "waiting") == Kept(new=1, repeated=2)


def test_what_is_sealed_for_one_place_does_not_open_in_another(store: Store) -> None:
    with store.writing() as tx:
        item = quarantine.put(tx, store.vault, "inbox:hubspot", "why", b"raw", NOW, "a")
        tx.execute(sa.update(tables.quarantine).values(ref="b"))
        with pytest.raises(StoreError, match="moved from another place"):
            quarantine.body_of(tx, store.vault, item)
