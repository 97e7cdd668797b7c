"""Limits that all workers of a store share (reliability pattern 13)."""

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from leadbridge.errors import StoreError
from leadbridge.store import Store, tables
from leadbridge.store.budgets import SharedBudgets
from leadbridge.store.engine import running_now
from tests.helpers.databases import KEY
from tests.helpers.waiting import LONG

RATE, SPAN, STEP = 40, 0.5, timedelta(seconds=0.5 * 1.01 / 40)


def _drain(store: Store, owner: str, count: int) -> None:
    """Let `count` calls go, waiting as a caller does."""
    rate = SharedBudgets(store, owner).rate("vendor calls", RATE, SPAN)
    while count:
        if wait := rate.take(1.0):
            time.sleep(wait)
        else:
            count -= 1


def _next_at(store: Store) -> datetime:
    with store.reading() as tx:
        found: datetime = tx.execute(select(tables.budgets.c.next_at)).scalar_one()
        return found


def _now(store: Store) -> datetime:
    with store.reading() as tx:
        return running_now(tx)


def test_every_call_of_every_worker_takes_an_instant_of_its_own(store: Store) -> None:
    began = _now(store)
    workers = [threading.Thread(target=_drain, args=(store, f"worker {one}", 15)) for one in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert _next_at(store) >= began + 60 * STEP  # sixty calls, none let out in the place of another
    assert _next_at(store) <= _now(store) + STEP  # and none before its instant


def test_no_window_holds_more_calls_than_allowed_and_a_backlog_uses_nearly_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("leadbridge.store.budgets.running_now", lambda _tx: now)
    rate = SharedBudgets(store, "w").rate("vendor calls", 100, 10.0)
    went: list[datetime] = []
    while len(went) < 400:
        if wait := rate.take(0):
            now += timedelta(seconds=wait)
        else:
            went.append(now)
    span = timedelta(seconds=10)
    assert max(sum(start <= one < start + span for one in went) for start in went) <= 100
    assert 400 / (went[-1] - went[0]).total_seconds() >= 0.95 * 10


@pytest.mark.parametrize(("told", "most"), [((20, 10.0), 20), ((400, 10.0), 100)])
def test_what_the_vendor_says_lowers_a_limit_and_never_raises_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, told: tuple[int, float], most: int
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("leadbridge.store.budgets.running_now", lambda _tx: now)
    rate = SharedBudgets(store, "w").rate("vendor calls", 100, 10.0)
    rate.at_most(*told)
    begin, went = now, 0
    while now < begin + timedelta(seconds=20):
        if wait := rate.take(0):
            now += timedelta(seconds=wait)
        else:
            went += 1
    assert 0.9 * most <= went / 2 <= 1.03 * most


def test_a_fraction_of_a_call_a_second_is_one_call_in_several_seconds(store: Store) -> None:
    rate = SharedBudgets(store, "w").rate("vendor searches", 0.1, 1.0)
    assert rate.take(0) == 0.0
    assert 9.0 < rate.take(0) <= 10.2


def test_a_vendor_that_wants_quiet_gets_it_from_every_worker(store: Store) -> None:
    one, other = SharedBudgets(store, "one"), SharedBudgets(store, "other")
    for kind in ("rate", "places"):
        first = one.rate("vendor a", 1000, 1.0) if kind == "rate" else one.places("vendor b", 3)
        second = other.rate("vendor a", 1000, 1.0) if kind == "rate" else other.places("vendor b", 3)
        first.hold(60)
        first.hold(5)  # a shorter wish does not take back the longer one
        assert 50 < second.take(0) <= 60


def test_a_clock_set_back_does_not_silence_the_workers(store: Store) -> None:
    rate = SharedBudgets(store, "w").rate("vendor calls", 100, 1.0)
    assert rate.take(0) == 0.0
    with store.writing() as tx:
        tx.execute(update(tables.budgets).values(next_at=running_now(tx) + timedelta(days=1)))
    assert rate.take(0) <= 1.1


def test_no_more_calls_are_in_flight_than_places_however_many_workers(store: Store) -> None:
    first, second = (SharedBudgets(store, owner).places("vendor calls", 2) for owner in ("first", "second"))
    assert first.take(0) == 0.0
    assert second.take(0) == 0.0
    assert first.take(0) > 0
    assert second.take(0) > 0
    first.give_back()
    assert second.take(0) == 0.0
    assert first.take(0) > 0


def test_places_of_a_worker_that_died_are_free_again_when_its_lease_is_over(store: Store) -> None:
    dead, living = (SharedBudgets(store, owner).places("vendor calls", 1) for owner in ("dead", "living"))
    assert dead.take(0) == 0.0
    assert living.take(0) > 0
    with store.writing() as tx:
        tx.execute(update(tables.leases).values(lease_until=tables.FREE))
    assert living.take(0) == 0.0
    dead.give_back()  # it comes back to life; the place is another's now, and stays so
    assert dead.take(0) > 0


def test_without_the_store_a_worker_goes_on_with_a_small_share(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = SharedBudgets(store, "w")
    rate, places = budgets.rate("vendor calls", 100, 10.0), budgets.places("vendor places", 4)

    def gone(self: Store) -> None:
        raise StoreError("the database is gone")

    monkeypatch.setattr(Store, "writing", gone)
    allowed = 0
    while rate.take(0) == 0.0:
        allowed += 1
    assert allowed == 10
    for _ in range(allowed):
        rate.give_back()
    assert 9.0 < rate.take(0) <= 10.0  # a span after their answers, and no longer
    assert places.take(0) == 0.0
    assert places.take(0) > 0
    places.give_back()
    assert places.take(0) == 0.0
    rate.hold(1)


PROCESS = """
import sys
from leadbridge.store import open_store
from tests.store.test_store_budgets import _drain
_drain(open_store(sys.argv[1], key=bytes.fromhex(sys.argv[2])), "process", 20)
"""


def test_several_processes_keep_one_limit(store: Store, store_url: str) -> None:
    began = _now(store)
    command = [sys.executable, "-c", PROCESS, store_url, KEY.hex()]
    running = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [one.wait(timeout=LONG) for one in running] == [0, 0, 0]
    assert _next_at(store) >= began + 60 * STEP
