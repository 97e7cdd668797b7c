"""Group commit: one transaction for what waits, each answer after its commit (reliability G1; DESIGN 11, "Door")."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import sqlalchemy as sa

from leadbridge.errors import StoreError
from leadbridge.store.engine import Store
from leadbridge.store.tables import deliveries
from tests.helpers.waiting import LONG, quickest, until
from tests.webhooks.conftest import Seam, on_sqlite
from webhooks.writer import FULL, MOST_BYTES, Doorbell, Raw, Unavailable, Writer

MakeWriter = Callable[..., Writer]
POISON = Raw(cast("bytes", "text"))  # no vault can seal it


def raw(name: object) -> Raw:
    return Raw(f"key-{name}".encode())


def kept(store: Store) -> list[str]:
    with store.reading() as tx:
        rows = tx.execute(sa.select(deliveries.c.vendor, deliveries.c.body)).all()
    return sorted(store.vault.open(row.body, f"delivery:{row.vendor}").decode()[:40] for row in rows)


@pytest.fixture
def seam(store: Store) -> Iterator[Seam]:
    made = Seam(store)
    yield made
    made.go.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as made:
        yield made


@pytest.fixture
def make_writer(seam: Seam) -> Iterator[MakeWriter]:
    made: list[Writer] = []

    def make(**changes: Any) -> Writer:
        made.append(Writer(seam, on_new=changes.pop("on_new", lambda: None), **changes))  # type: ignore[arg-type]
        return made[-1]

    yield make
    seam.go.set()
    for writer in made:
        writer.stop()


def test_what_waits_while_the_store_is_busy_shares_one_commit(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    seam.go.clear()
    first = pool.submit(writer.keep, "hubspot", raw("first"))
    until(lambda: seam.begun == 1)
    rest = [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(30)]
    until(lambda: len(writer._waiting) == 30)
    assert not first.done()
    assert kept(store) == []
    seam.go.set()
    for done in (first, *rest):
        done.result(LONG)
    assert seam.begun == 2
    assert len(kept(store)) == 31


@on_sqlite
def test_a_group_is_bounded_so_that_no_transaction_holds_the_store_for_long(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    seam.go.clear()
    waiting = [pool.submit(writer.keep, "hubspot", raw("first"))]
    until(lambda: seam.begun == 1)
    for number in range(5):
        big = Raw(f"{number}".encode() * (MOST_BYTES * 2 // 5))
        waiting.append(pool.submit(writer.keep, "hubspot", big))
        until(lambda many=number + 1: len(writer._waiting) == many)  # type: ignore[misc]
    seam.go.set()
    for done in waiting:
        done.result(LONG)
    assert seam.begun == 4  # the first alone, then two, two and one
    assert len(kept(store)) == 6


def test_nothing_is_answered_before_it_is_stored(
    store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()

    def send(number: int) -> bool:
        writer.keep("hubspot", raw(number))
        return f"key-{number}" in kept(store)

    assert all(pool.map(send, range(60)))


def test_a_store_that_fails_fails_exactly_the_deliveries_at_hand_and_later_ones_are_kept(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    writer.keep("hubspot", raw("before"))
    seam.fault = StoreError("the disk is full")
    lost = [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(10)]
    for done in lost:
        with pytest.raises(Unavailable, match="store_failed"):
            done.result(LONG)
    seam.fault = None
    writer.keep("hubspot", raw("after"))
    assert kept(store) == ["key-after", "key-before"]


@on_sqlite
def test_a_store_that_fails_is_asked_once_per_group_not_once_per_delivery(
    seam: Seam, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    seam.go.clear()
    waiting = [pool.submit(writer.keep, "hubspot", raw("first"))]
    until(lambda: seam.begun == 1)
    waiting += [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(20)]
    until(lambda: len(writer._waiting) == 20)
    seam.fault = StoreError("locked")
    seam.go.set()
    for done in waiting:
        with pytest.raises(Unavailable):
            done.result(LONG)
    assert seam.begun == 2


def test_one_poisonous_delivery_does_not_take_its_group_with_it(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    seam.go.clear()
    waiting = [pool.submit(writer.keep, "hubspot", raw("first"))]
    until(lambda: seam.begun == 1)
    waiting += [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(5)]
    poisoned = pool.submit(writer.keep, "hubspot", POISON)
    until(lambda: len(writer._waiting) == 6)
    seam.go.set()
    for done in waiting:
        done.result(LONG)
    with pytest.raises(Unavailable, match="store_failed"):
        poisoned.result(LONG)
    assert kept(store) == sorted(["key-first", *(f"key-{number}" for number in range(5))])
    writer.keep("hubspot", raw("later"))


@on_sqlite
def test_a_full_queue_turns_the_next_away_at_once(
    seam: Seam, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer(most_waiting=3)
    seam.go.clear()
    waiting = [pool.submit(writer.keep, "hubspot", raw("first"))]
    until(lambda: seam.begun == 1)
    waiting += [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(3)]
    until(lambda: len(writer._waiting) == 3)

    def one_more() -> None:
        with pytest.raises(Unavailable, match="busy"):
            writer.keep("hubspot", raw("too many"))

    assert quickest(one_more, within=1) < 1
    seam.go.set()
    for done in waiting:
        done.result(LONG)


def test_a_commit_that_hangs_fails_those_who_wait_and_then_everyone_at_once(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer(patience=0.2)
    seam.go.clear()
    hanging = [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(3)]
    for done in hanging:
        with pytest.raises(Unavailable, match="busy"):
            done.result(LONG)
    until(lambda: not writer.alive)

    def later() -> None:
        with pytest.raises(Unavailable, match="busy"):
            writer.keep("hubspot", raw("later"))

    assert quickest(later, within=0.2) < 0.2
    seam.go.set()
    until(lambda: writer.alive)
    writer.keep("hubspot", raw("after"))
    assert "key-after" in kept(store)
    assert "key-later" not in kept(store)


@on_sqlite
def test_those_who_wait_in_no_thread_are_told_once_when_the_patience_ends_or_the_commit_does(
    seam: Seam, store: Store, make_writer: MakeWriter
) -> None:
    writer = make_writer(patience=0.2)
    seam.go.clear()
    told: list[str] = []
    waiting = []
    for name in ("first", "second"):
        waiting.append(writer.put("hubspot", raw(name)))
        waiting[-1].when_known(lambda name=name: told.append(name))  # type: ignore[misc]
        until(lambda: seam.begun == 1)
    writer.expire()
    assert told == []

    def both_told() -> bool:
        writer.expire()
        return len(told) == 2

    until(both_told)
    for one in waiting:
        with pytest.raises(Unavailable, match="busy"):
            one.result()
    seam.go.set()
    until(lambda: "key-first" in kept(store))  # its commit was under way; the vendor's next try is then a repeat
    until(lambda: writer.alive)
    third = writer.put("hubspot", raw("third"))
    until(lambda: third.known)
    third.result()
    third.when_known(lambda: told.append("late to ask"))
    assert told == ["first", "second", "late to ask"]
    assert kept(store) == ["key-first", "key-third"]  # the second was not begun


@on_sqlite
def test_a_commit_waits_a_moment_for_deliveries_on_their_way_and_not_at_all_where_none_is(
    seam: Seam, make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.writer.FILL", 10 * LONG)
    writer = make_writer()
    writer.keep("hubspot", raw("alone"))  # all of this test is over before a commit would have waited so long
    for request in ("a", "b", "a page"):
        writer.expect(request)
    waiting = []
    for request in ("a", "b"):
        waiting.append(writer.put("hubspot", raw(request)))
        writer.came(request)
    time.sleep(0.05)
    assert not any(one.known for one in waiting)
    writer.came("a page")
    until(lambda: all(one.known for one in waiting))
    assert seam.begun == 2

    writer.expect("never comes")
    many = [writer.put("hubspot", raw(number)) for number in range(FULL)]
    until(lambda: all(one.known for one in many))  # enough for a commit
    monkeypatch.setattr("webhooks.writer.FILL", 0.05)
    few = writer.put("hubspot", raw("few"))
    until(lambda: few.known)


def test_another_writer_on_the_real_store_is_waited_for(
    store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    with store.writing() as tx:
        if store.dialect == "postgresql":
            tx.exec_driver_sql("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        waiting = [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(5)]
        time.sleep(0.2)
        assert not any(done.done() for done in waiting)
    for done in waiting:
        done.result(LONG)
    assert len(kept(store)) == 5


def test_stopping_commits_what_waits_and_refuses_what_comes_later(
    seam: Seam, store: Store, make_writer: MakeWriter, pool: ThreadPoolExecutor
) -> None:
    writer = make_writer()
    seam.go.clear()
    waiting = [pool.submit(writer.keep, "hubspot", raw("first"))]
    until(lambda: seam.begun == 1)
    waiting += [pool.submit(writer.keep, "hubspot", raw(number)) for number in range(4)]
    until(lambda: len(writer._waiting) == 4)
    stopping = pool.submit(writer.stop)
    until(lambda: writer._stopping)
    with pytest.raises(Unavailable, match="stopping"):
        writer.keep("hubspot", raw("late"))
    seam.go.set()
    stopping.result(LONG)
    for done in waiting:
        done.result(LONG)
    assert len(kept(store)) == 5
    assert not writer.alive


def test_the_bell_is_rung_after_the_commit(store: Store, make_writer: MakeWriter) -> None:
    seen: list[list[str]] = []
    writer = make_writer(on_new=lambda: seen.append(kept(store)))
    writer.keep("hubspot", raw(1))
    until(lambda: len(seen) == 1)
    writer.keep("hubspot", raw(2))
    until(lambda: len(seen) == 2)
    assert seen == [["key-1"], ["key-1", "key-2"]]


def test_a_worker_that_is_slow_or_cannot_be_woken_holds_up_nobody() -> None:
    release, called = threading.Event(), threading.Semaphore(0)

    def wake() -> None:
        called.release()
        assert release.wait(LONG)
        raise ConnectionError("the queue is gone")

    bell = Doorbell(wake)

    def ring() -> None:
        for _ in range(1000):
            bell.ring()

    assert quickest(ring, within=1) < 1
    assert called.acquire(timeout=LONG)
    bell.ring()  # while the first call still hangs: it is rung once more after it
    release.set()
    assert called.acquire(timeout=LONG)
    bell.stop()
