"""Clients nobody here wrote, pointed at a real `leadbridge run`: 5,000 events, all stored once, scores moved (G1, G3).

`segment-analytics-python` and `rudder-sdk-python` speak the same API with messages that differ: the one packs its
batches only when told to and puts traits beside the event, the other always packs and puts them into the context.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rudderstack.analytics.client import Client as Rudder
from segment.analytics.client import Client as Segment

from benchmarks.lossless import wrong_scores
from leadbridge.store import tables
from tests.helpers.scaled import RUN, Site, site
from tests.helpers.waiting import until

KEY = "canary-write-key-0123456789"
PEOPLE, EVENTS = 50, 5_000
EACH = EVENTS // PEOPLE - 1  # beside one that says who it is


@pytest.mark.slow
@pytest.mark.parametrize("client", [Segment, Rudder], ids=["segment", "rudder"])
def test_five_thousand_events_of_a_client_are_stored_once_and_move_scores(
    tmp_path: Path, client: Callable[..., Any]
) -> None:
    with site(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", None, count=PEOPLE) as made:
        text = made.file.read_text(encoding="utf-8")
        made.file.write_text(f'{text}\nintake:\n  write_key: "${{INTAKE_KEY}}"\n', encoding="utf-8")
        made.environ |= {"INTAKE_KEY": KEY}
        server = made.start(*RUN)
        url = server.heard(r"listens on (http\S+)")[1]
        until(lambda: len(made.written()) == PEOPLE)
        before, seen = made.scores(), people_of(made)
        failed = tell(client, url, sorted(seen))
        assert failed == []
        until(lambda: len(done(made)) == EVENTS and all(done(made)))
        assert viewed(made) == dict.fromkeys(seen.values(), EACH)
        until(lambda: wrong_scores(made) == 0)
        risen = [record for record, score in made.scores().items() if int(score or 0) > int(before[record] or 0)]
        assert len(risen) > PEOPLE // 2  # of the others the score has reached a bound
        assert server.end() == 0, server.words


def tell(client: Callable[..., Any], url: str, addresses: list[str]) -> list[Any]:
    """Say who each of these people is, and then what they looked at; what the client could not deliver."""
    failed: list[Any] = []
    tracker = client(KEY, host=url, on_error=lambda *what: failed.append(what))
    for number, address in enumerate(addresses):
        tracker.identify(f"u{number}", {"email": address})
        for page in range(EACH):
            seen = {"url": f"https://acme.example/pricing/{page}"}
            tracker.page(f"u{number}", "site", "Pricing", properties=seen)
    tracker.shutdown()
    return failed


def people_of(made: Site) -> dict[str, int]:
    """Our id of each person of the CRM, by address."""
    with made.store() as store, store.reading() as tx:
        return dict(tx.execute(sa.select(tables.persons.c.email, tables.persons.c.id)).all())


def done(made: Site) -> list[bool]:
    """Of each event of the intake, whether it is worked."""
    with made.store() as store, store.reading() as tx:
        rows = tx.execute(sa.select(tables.inbox.c.done_at).where(tables.inbox.c.vendor == "intake")).scalars()
        return [at is not None for at in rows]


def viewed(made: Site) -> dict[int, int]:
    """How many pages the intake told of for each person."""
    with made.store() as store, store.reading() as tx:
        rows = tx.execute(sa.select(tables.activities.c.person_id).where(tables.activities.c.source == "intake.page"))
        return Counter(rows.scalars())
