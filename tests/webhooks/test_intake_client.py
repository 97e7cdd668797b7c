"""A client nobody here wrote: `segment-analytics-python`, pointed at us (reliability G1, G3)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from segment.analytics.client import Client

from connectors.intake.mapping import Wanted
from leadbridge.store import Store, leads, tables
from sync import events
from tests.webhooks.conftest import Door, OpenDoor

KEY = "canary-write-key-0123456789"
PEOPLE, EACH = 50, 20

MakeClient = Callable[..., Client]


@pytest.fixture
def tracked(open_door: OpenDoor) -> Door:
    return open_door(intake={"write_key": KEY})


def client(door: Door, **options: Any) -> Client:
    failed: list[Any] = []
    made = Client(KEY, host=door.server.url, sync_mode=False, on_error=lambda *what: failed.append(what), **options)
    made.failed = failed
    return made


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_what_the_client_sends_is_stored_once_and_worked(tracked: Door, store: Store, gzip: bool) -> None:
    tracker = client(tracked, gzip=gzip)
    for number in range(PEOPLE):
        tracker.identify(f"u{number}", {"email": f"lead{number}@acme.example", "jobTitle": "CTO"})
        for page in range(EACH - 1):
            tracker.page(f"u{number}", "site", "Pricing", {"url": f"https://acme.example/{page}"})
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


def test_a_wrong_key_is_told_to_the_client_and_not_tried_for_ever(tracked: Door) -> None:
    tracker = client(tracked)
    tracker.write_key = "guessed-guessed-guessed"
    for consumer in tracker.consumers:
        consumer.write_key = "guessed-guessed-guessed"
    tracker.track("u1", "Signed Up")
    tracker.shutdown()
    ((error, _batch),) = tracker.failed
    assert (error.status, error.code) == (401, "bad_write_key")
    assert tracked.count() == 0
