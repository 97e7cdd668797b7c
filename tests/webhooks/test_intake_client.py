"""Clients nobody here wrote, pointed at the door: `segment-analytics-python`, `rudder-sdk-python` (reliability G1, G3).

With scores, and 5,000 events of each: `acceptance/test_intake_clients.py`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from rudderstack.analytics.client import Client as Rudder
from segment.analytics.client import Client as Segment

from connectors.intake.mapping import Wanted
from leadbridge.store import Store, leads, tables
from sync import events
from tests.webhooks.conftest import Door, OpenDoor

KEY = "canary-write-key-0123456789"
PEOPLE, EACH = 50, 20


@pytest.fixture
def tracked(open_door: OpenDoor) -> Door:
    return open_door(intake={"write_key": KEY})


def client(made: Callable[..., Any], door: Door, **options: Any) -> Any:
    failed: list[Any] = []
    tracker = made(KEY, host=door.server.url, on_error=lambda *what: failed.append(what), **options)
    tracker.failed = failed
    return tracker


@pytest.mark.parametrize(
    ("made", "gzip"), [(Segment, False), (Segment, True), (Rudder, True)], ids=["segment", "segment-gzip", "rudder"]
)
def test_what_a_client_sends_is_stored_once_and_worked(
    tracked: Door, store: Store, made: Callable[..., Any], gzip: bool
) -> None:
    tracker = client(made, tracked, gzip=gzip)
    for number in range(PEOPLE):
        tracker.identify(f"u{number}", {"email": f"lead{number}@acme.example", "jobTitle": "CTO"})
        for page in range(EACH - 1):
            tracker.page(f"u{number}", "site", "Pricing", properties={"url": f"https://acme.example/{page}"})
        tracker.track(f"u{number}", "Order Completed", {"revenue": 39.9})
    tracker.shutdown()
    assert tracker.failed == []
    wanted = Wanted(traits={"job_title": ("jobTitle", "text", ())})
    done = events.work(store, [], owner="w", wanted=wanted)
    assert (done.done, done.failed) == (PEOPLE * (EACH + 1), 0)
    with store.reading() as tx:
        rows = tx.execute(sa.select(tables.activities.c.person_id, tables.activities.c.kind)).all()
        people = leads.people(tx, {row.person_id for row in rows})
    assert Counter(row.kind for row in rows) == {"page_view": PEOPLE * (EACH - 1), "purchase": PEOPLE}
    assert {person.attributes["job_title"] for person in people.values()} == {"CTO"}
    assert {person.email for person in people.values()} == {f"lead{number}@acme.example" for number in range(PEOPLE)}


@pytest.mark.parametrize("made", [Segment, Rudder], ids=["segment", "rudder"])
def test_a_wrong_key_is_told_to_the_client_and_not_tried_for_ever(tracked: Door, made: Callable[..., Any]) -> None:
    tracker = client(made, tracked)
    tracker.write_key = "guessed-guessed-guessed"
    for consumer in tracker.consumers:
        consumer.write_key = "guessed-guessed-guessed"
    tracker.track("u1", "Signed Up")
    tracker.shutdown()
    ((error, _batch),) = tracker.failed
    assert (error.status, error.code) == (401, "bad_write_key")
    assert tracked.count() == 0
