"""A rise of refused deliveries that may be genuine is told and marked as a gap (reliability G7, G13)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge import metrics
from leadbridge.errors import StoreError
from leadbridge.metrics import WEBHOOK_GAPS
from leadbridge.store import Store, gaps
from tests.helpers.signers import hubspot_body, hubspot_change
from tests.helpers.waiting import until
from tests.webhooks.conftest import Door, OpenDoor, on_sqlite
from webhooks.refusals import AGAIN, RISE, WINDOW, Refusals

BODY = hubspot_body(hubspot_change(1))


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    metrics.reset()


def marked(store: Store, vendor: str = "hubspot") -> bool:
    with store.reading() as tx:
        return gaps.marked_at(tx, vendor) is not None


class Ticks:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def test_deliveries_signed_with_another_secret_mark_a_gap(door: Door) -> None:
    for _ in range(RISE):
        assert not marked(door.store)
        assert door.hubspot(BODY, secret="changed on one side only").status == 401
    until(lambda: marked(door.store))
    assert WEBHOOK_GAPS.values() == {("hubspot", "bad_signature"): 1}


@on_sqlite
def test_junk_and_what_no_vendor_would_send_mark_nothing(door: Door) -> None:
    for body in (b"", b"{}", b"[]", b"[1,", b"hello", b"[" * 5000):
        for _ in range(RISE):
            assert door.hubspot(body, secret="guessed").status == 401
    for _ in range(RISE):
        assert door.hubspot(b"[{", secret="guessed").status == 401
        assert door.hubspot(b"{}").status == 400  # genuine, and not readable: the vendor's own fault
    assert WEBHOOK_GAPS.values() == {}


@on_sqlite
def test_a_few_now_and_then_are_no_rise(store: Store, ticks: Ticks) -> None:
    watch = Refusals(store, time=ticks)
    for _ in range(3 * RISE):
        watch.note("hubspot", "bad_signature", lambda: True)
        ticks.now += WINDOW / (RISE - 1) + 1
    assert WEBHOOK_GAPS.values() == {}


@on_sqlite
def test_a_rise_that_goes_on_is_told_once_a_minute_and_reads_nothing_in_between(store: Store, ticks: Ticks) -> None:
    watch = Refusals(store, time=ticks)
    asked: list[int] = []

    def looks_right() -> bool:
        asked.append(1)
        return True

    for _ in range(3):
        for _ in range(10 * RISE):
            watch.note("hubspot", "too_old", looks_right)
        ticks.now += AGAIN
    assert WEBHOOK_GAPS.values() == {("hubspot", "too_old"): 3}
    assert len(asked) == 3 * RISE


@on_sqlite
def test_vendors_are_watched_apart(store: Store, ticks: Ticks) -> None:
    watch = Refusals(store, time=ticks)
    for vendor in ("hubspot", "salesforce") * (RISE - 1):
        watch.note(vendor, "bad_signature", lambda: True)
    assert WEBHOOK_GAPS.values() == {}


@on_sqlite
def test_what_could_not_be_stored_is_a_gap_too_noted_once_the_store_answers(
    store: Store, open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webhooks import refusals

    monkeypatch.setattr(refusals, "RETRY", 0.01)
    broken = threading.Event()
    broken.set()
    tried = threading.Semaphore(0)

    class Failing:
        vault, reading, is_current = store.vault, store.reading, store.is_current

        @contextmanager
        def writing(self) -> Iterator[sa.Connection]:
            tried.release()
            if broken.is_set():
                raise StoreError("the disk is full")
            with store.writing() as tx:
                yield tx

    failing: Any = Failing()
    door = open_door(over=failing)
    assert door.hubspot(BODY).status == 503
    for _ in range(3):
        assert tried.acquire(timeout=10)
    assert not marked(store)
    broken.clear()
    until(lambda: marked(store))
