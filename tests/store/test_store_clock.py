"""The clock is put back by an hour under a running system: nothing waits for it to catch up (reliability G10, G32)."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from leadbridge import clock
from leadbridge.store import Store, enrolments, inbox, leases, policies
from leadbridge.types import EnrolmentState
from tests.helpers.store_people import NOW, person

HOUR = timedelta(hours=1)


@pytest.fixture
def set_clock() -> Iterator[Callable[[datetime], None]]:
    yield lambda at: clock.set_source(lambda: at)
    clock.set_source(None)


@pytest.fixture(params=["came", "claimed"])
def claimed(request: pytest.FixtureRequest) -> bool:
    """Was it only there, or held by a worker that died?"""
    return bool(request.param == "claimed")


def test_events_that_came_before_are_worked(
    store: Store, set_clock: Callable[[datetime], None], *, claimed: bool
) -> None:
    set_clock(NOW)
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("key", b"{}")], NOW)
        before = inbox.claim_events(tx, store.vault, limit=1, owner="dead") if claimed else []
    set_clock(NOW - HOUR)
    with store.writing() as tx:
        (event,) = inbox.claim_events(tx, store.vault, limit=9, owner="w")
        assert inbox.claim_events(tx, store.vault, limit=9, owner="other") == []
        assert inbox.done(tx, before, NOW) == set()  # whoever held it is fenced, should it live
        assert inbox.done(tx, [event], NOW) == {event.id}


def test_a_name_held_by_the_dead_is_taken(store: Store, set_clock: Callable[[datetime], None]) -> None:
    set_clock(NOW)
    with store.writing() as tx:
        old = leases.take(tx, "pull", "dead") or 0
    set_clock(NOW - HOUR)
    with store.writing() as tx:
        new = leases.take(tx, "pull", "w")
        assert new is not None
        assert leases.take(tx, "pull", "other") is None
        assert (leases.mine(tx, "pull", old), leases.mine(tx, "pull", new)) == (False, True)


def test_an_enrolment_that_was_wished_for_before_is_claimed_and_one_put_off_waits(
    store: Store, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOW)
    with store.writing() as tx:
        people = [person(tx, "1"), person(tx, "2")]
        day = timedelta(days=1)
        wishes = [
            enrolments.Intent(who, "guides", 1, "mailchimp", f"p{who}@acme.example", "", "", NOW + day)
            for who in people
        ]
        enrolments.intend(tx, wishes, NOW)
        claims = enrolments.claim_enrolments(tx, [EnrolmentState.WANTED], limit=9, owner="w", now=NOW)
        enrolments.release(tx, claims[:1])
        enrolments.release(tx, claims[1:], NOW + HOUR)
    set_clock(NOW - HOUR)
    with store.writing() as tx:
        found = enrolments.claim_enrolments(tx, [EnrolmentState.WANTED], limit=9, owner="w", now=NOW - HOUR)
        assert [row.id for row in found] == [claims[0].id]


def test_the_policy_decided_last_is_in_force_and_a_canary(store: Store) -> None:
    with store.writing() as tx:
        policies.put_in_force(tx, "first", NOW)
        policies.release(tx, "first", "ann", NOW)
        policies.put_in_force(tx, "second", NOW - HOUR)
        found = policies.in_force(tx)
        assert found is not None
        assert (found.digest, found.began_at) == ("second", NOW - HOUR)
        before = policies.before(tx, found)
        assert before is not None
        assert before.digest == "first"
