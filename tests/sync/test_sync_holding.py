"""Many workers on one store: each source is read by one of them, and who was replaced stores nothing (pattern 4)."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadbridge.store import Store, leads, leases, watermarks
from sync import holding, pull
from sync.holding import TakenOver, renewed, sole
from sync.sources import Pulled
from tests.helpers.syncing import TAG, Stage, journey, moving, stage
from tests.helpers.waiting import LONG, until

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, journey(TAG)) as found:
        yield found


def pulled(made: Stage, owner: str, **options: Any) -> Pulled:
    return pull.pull(made.store, made.parts.crms, made.parts.platform, owner=owner, **options)


def stored(store: Store) -> int:
    with store.reading() as tx:
        return len(leads.all_person_ids(tx, 0, 1000))


def test_a_source_that_somebody_reads_is_passed_over_by_the_others(made: Stage) -> None:
    made.lead()
    with sole(made.store, "pull:hubspot:leads", "w2") as lease:
        assert lease is not None
        found = pulled(made, "w1")
        assert found.elsewhere == ["hubspot:leads"]
        assert found.leads == 0
        assert not pull.complete(made.store)  # nobody knows yet how that reading ends
    assert pulled(made, "w1").leads == 1
    assert pull.complete(made.store)


def test_a_worker_that_was_replaced_in_the_middle_of_a_pull_stores_no_further_page(
    made: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(150):
        made.lead()
    with moving(made) as time:
        whole = made.parts.crms[0].pull_leads

        def paused(*given: Any, **more: Any) -> Any:
            for number, page in enumerate(whole(*given, **more)):
                if number == 1:
                    until(lambda: stored(made.store) == 100)  # it reads a page ahead of what is stored
                    time.on(seconds=61)  # the process stood still, and its lease ran out
                    with made.store.writing() as tx:
                        assert leases.take(tx, "pull:hubspot:leads", "w2") is not None
                yield page

        monkeypatch.setattr(made.parts.crms[0], "pull_leads", paused)
        found = pulled(made, "w1")
        assert found.leads == 100
        assert found.elsewhere == ["hubspot:leads"]
        monkeypatch.undo()
        time.on(seconds=61)
        assert pulled(made, "w3").changed == 50  # the page that was not stored, and nothing else


def test_a_source_read_a_moment_ago_is_not_read_again_by_the_next_worker(made: Stage) -> None:
    with moving(made, NOW) as time:
        pulled(made, "w1", every=300)
        calls = made.calls()
        pulled(made, "w2", every=300)
        assert made.calls() == calls
        time.on(seconds=301)
        pulled(made, "w2", every=300)
        assert made.calls() > calls


def test_a_lease_is_renewed_for_as_long_as_its_holder_works(store: Store) -> None:
    asked: list[bool] = []
    enough = threading.Event()

    with store.writing() as tx:
        token = leases.take(tx, "x", "w1") or 0

    def renew(tx: Any) -> None:
        asked.append(leases.keep(tx, "x", token))
        if len(asked) == 3:
            enough.set()

    with renewed(store, renew, every=0.01):
        assert enough.wait(LONG)
    assert asked[:3] == [True, True, True]
    assert holding.RENEW * 3 <= leases.SECONDS


def test_a_lease_given_back_may_be_taken_at_once_and_one_lost_is_noticed(store: Store) -> None:
    with sole(store, "x", "w1") as first:
        assert first is not None
        with sole(store, "x", "w2") as second:
            assert second is None
    with sole(store, "x", "w2") as again:
        assert again is not None
        with store.writing() as tx, pytest.raises(TakenOver):
            first.check(tx)
        with store.writing() as tx:
            again.check(tx)


def test_a_renewal_that_fails_does_not_end_the_work(store: Store) -> None:
    failed = threading.Event()

    def breaks(_: Any) -> None:
        failed.set()
        raise ZeroDivisionError

    with renewed(store, breaks, every=0.01):
        assert failed.wait(LONG)
        with store.reading() as tx:
            assert watermarks.listing(tx) == []
    assert timedelta(seconds=holding.RENEW) < timedelta(seconds=leases.SECONDS)
