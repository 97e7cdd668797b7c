"""The table of due work is the queue."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from leadbridge import clock
from leadbridge.store import Store, due
from leadbridge.store.due import Lane
from leadbridge.store.engine import database_now
from tests.helpers.store_people import NOW, people


def _due(store: Store, count: int) -> list[int]:
    with store.writing() as tx:
        ids = people(tx, count)
        due.mark_due(tx, ids, NOW)
    return ids


def _claim(store: Store, limit: int = 10, *, owner: str = "worker", lease_seconds: float = 60) -> list[due.Claim]:
    with store.writing() as tx:
        return due.claim_due(tx, limit=limit, owner=owner, lease_seconds=lease_seconds)


def test_the_hot_lane_goes_first_then_who_has_waited_longest(store: Store) -> None:
    with store.writing() as tx:
        a, b, c, d, e = people(tx, 5)
        due.mark_due(tx, [a], NOW, Lane.BACKGROUND)
        due.mark_due(tx, [b], NOW + timedelta(seconds=2), Lane.NORMAL)
        due.mark_due(tx, [c], NOW + timedelta(seconds=1), Lane.NORMAL)
        due.mark_due(tx, [d], NOW + timedelta(hours=1), Lane.HOT)
        due.mark_due(tx, [e], datetime.now(UTC) + timedelta(days=1), Lane.HOT)
        claims = due.claim_due(tx, limit=3, owner="worker")
        assert [claim.person_id for claim in claims] == [d, c, b]
        assert [claim.person_id for claim in due.claim_due(tx, limit=3, owner="worker")] == [a]


def test_a_person_marked_twice_is_due_once_at_the_earlier_instant_in_the_hotter_lane(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        due.mark_due(tx, [ada, ada], NOW, Lane.BACKGROUND)
        due.mark_due(tx, [ada], NOW + timedelta(hours=1), Lane.HOT)
        due.mark_due(tx, [ada], NOW + timedelta(hours=2), Lane.NORMAL)
        assert due.due_count(tx) == 1
        assert due.oldest_due(tx) == NOW
        (claim,) = due.claim_due(tx, limit=10, owner="worker")
        assert claim.version == 3


def test_many_threads_claiming_at_once_never_share_a_person(store: Store) -> None:
    ids = _due(store, 300)
    barrier = threading.Barrier(4)

    def work(owner: str) -> list[int]:
        barrier.wait()
        mine: list[int] = []
        while claims := _claim(store, 7, owner=owner):
            mine += [claim.person_id for claim in claims]
        return mine

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(work, ["a", "b", "c", "d"]))
    assert sorted(person for part in parts for person in part) == sorted(ids)


def test_processes_claiming_at_once_never_share_a_person(
    store: Store, store_url: str, processes: Callable[..., dict[str, Any]]
) -> None:
    ids = _due(store, 300)
    claimed = processes(url=store_url, claimers=3)["claimed"]
    assert sorted(person for part in claimed for person in part) == sorted(ids)
    assert sum(1 for part in claimed if part) > 1


def test_settled_work_is_no_longer_due(store: Store) -> None:
    _due(store, 3)
    claims = _claim(store)
    with store.writing() as tx:
        due.settle_due(tx, claims)
        assert due.due_count(tx) == 0
        assert due.oldest_due(tx) is None


def test_a_mark_made_while_a_worker_is_at_it_is_not_settled_away(store: Store) -> None:
    ada, _ = _due(store, 2)
    claims = _claim(store)
    with store.writing() as tx:
        due.mark_due(tx, [ada], NOW)
    assert _claim(store) == []
    with store.writing() as tx:
        due.settle_due(tx, claims)
    assert [claim.person_id for claim in _claim(store)] == [ada]


def test_settling_and_then_marking_sets_the_next_look(store: Store) -> None:
    (ada,) = _due(store, 1)
    claims = _claim(store)
    later = datetime.now(UTC) + timedelta(hours=3)
    with store.writing() as tx:
        due.settle_due(tx, claims)
        due.mark_due(tx, [ada], later, Lane.BACKGROUND)
        assert due.due_count(tx) == 0
        assert due.claim_due(tx, limit=5, owner="worker") == []
        assert len(due.claim_due(tx, limit=5, owner="worker", now=later)) == 1


def test_seized_is_whoever_stands_as_before_due_or_not(store: Store) -> None:
    with store.writing() as tx:
        waiting, marked, held, never, new = ids = people(tx, 5)
        due.mark_due(tx, [held], NOW)
    _claim(store)
    with store.writing() as tx:
        due.mark_due(tx, [waiting, marked], NOW, Lane.HOT)
        before = {**dict.fromkeys(ids), **due.standing(tx, ids)}
        due.mark_due(tx, [marked, new], NOW)
        seized = due.seize(tx, before)
        assert {claim.person_id: claim.lane for claim in seized} == {waiting: Lane.HOT, never: Lane.BACKFILL}
        assert due.still_held(tx, seized) == seized
        due.mark_due(tx, [never], NOW)  # from here on
        due.settle_due(tx, seized)
        assert set(due.standing(tx, ids)) == {marked, held, never, new}
    assert {claim.person_id for claim in _claim(store)} == {marked, never, new}


def test_a_dead_lease_is_claimed_again_and_its_holder_changes_nothing_any_more(store: Store) -> None:
    (ada,) = _due(store, 1)
    stale = _claim(store, lease_seconds=-1)
    fresh = _claim(store)
    assert fresh[0].person_id == ada
    assert fresh[0].token > stale[0].token
    with store.writing() as tx:
        assert due.still_held(tx, stale) == []
        assert due.still_held(tx, fresh) == fresh
        due.settle_due(tx, stale)
        due.release_due(tx, stale)
        assert due.renew(tx, stale) == []
        assert due.due_count(tx) == 1
    assert _claim(store) == []
    with store.writing() as tx:
        due.settle_due(tx, fresh)
        assert due.due_count(tx) == 0


def test_a_holder_from_before_the_row_was_made_anew_changes_nothing(store: Store) -> None:
    (ada,) = _due(store, 1)
    stale = _claim(store, lease_seconds=-1)
    with store.writing() as tx:
        due.settle_due(tx, due.claim_due(tx, limit=1, owner="other"))
        due.mark_due(tx, [ada], NOW)
        fresh = due.claim_due(tx, limit=1, owner="third")
        assert fresh[0].version == stale[0].version
        due.settle_due(tx, stale)
        assert due.still_held(tx, fresh) == fresh


def test_released_work_is_due_again_at_once_or_later(store: Store) -> None:
    _due(store, 1)
    with store.writing() as tx:
        claims = due.claim_due(tx, limit=5, owner="worker")
        due.release_due(tx, claims)
        claims = due.claim_due(tx, limit=5, owner="worker")
        assert len(claims) == 1
        due.release_due(tx, claims, datetime.now(UTC) + timedelta(minutes=5))
        assert due.claim_due(tx, limit=5, owner="worker") == []
        assert due.due_count(tx) == 0


def test_a_renewed_lease_lives_on(store: Store) -> None:
    _due(store, 1)
    claims = _claim(store, lease_seconds=-1)
    with store.writing() as tx:
        assert due.renew(tx, claims, 60) == claims
    assert _claim(store) == []


def test_claimed_work_still_counts_as_waiting(store: Store) -> None:
    _due(store, 3)
    _claim(store, 2)
    with store.reading() as tx:
        assert due.due_count(tx) == 3
        assert due.oldest_due(tx) == NOW


def test_leases_run_by_the_databases_clock_unless_time_is_replaced(store: Store) -> None:
    with store.reading() as tx:
        assert abs(database_now(tx) - datetime.now(UTC)) < timedelta(seconds=5)
        clock.set_source(lambda: NOW)
        try:
            assert database_now(tx) == NOW
        finally:
            clock.set_source(None)
