"""Out of the quarantine, back to work by the same way (reliability pattern 12, G8)."""

import json
from datetime import timedelta
from urllib.parse import urlencode

from connectors.deliveries.reading import Unfit
from leadbridge import clock
from leadbridge.store import audit, due, inbox, outbox, quarantine, watermarks
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import accounts, deliveries, replay, rescore
from tests.helpers.store_people import person
from tests.helpers.syncing import journey, stage
from tests.webhooks.conftest import on_sqlite

EVENT = {"eventId": 1, "objectId": 7, "subscriptionType": "contact.propertyChange", "occurredAt": 1_700_000_000_000}


def aside(store: Store, source: str, body: bytes, ref: str | None = None) -> int:
    with store.writing() as tx:
        return quarantine.put(tx, store.vault, source, "why", body, clock.now(), ref)


def left(store: Store) -> list[int]:
    with store.reading() as tx:
        return [item.id for item in quarantine.listing(tx)]


def test_an_event_that_failed_is_worked_once_more_under_its_key(store: Store) -> None:
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("key", b"{}")], clock.now())
        (event,) = inbox.claim_events(tx, store.vault, limit=1, owner="w", now=clock.now() + timedelta(seconds=1))
        inbox.fail(tx, store.vault, event, "broke", clock.now())
    (item,) = left(store)
    done = replay.replay(store, [item, 999], "olga")
    assert (done.replayed, done.settled, dict(done.unfit)) == (1, 0, {})
    assert left(store) == []
    with store.writing() as tx:
        (again,) = inbox.claim_events(tx, store.vault, limit=9, owner="w", now=clock.now() + timedelta(seconds=1))
        assert (again.key, again.body) == ("key", b"{}")
        (note,) = audit.listing(tx)
        assert (note.who, note.what, note.detail["items"]) == ("olga", "quarantine replayed", [item, 999])


@on_sqlite
def test_what_can_be_read_by_now_is_cut_and_the_rest_stays(store: Store) -> None:
    raw = json.dumps(EVENT).encode()
    one, whole = Unfit("bad", raw), Unfit("bad", b"[" + raw.replace(b"7", b"8") + b"]")
    bad = Unfit("bad", b'{"eventId": 2}')
    ids = [aside(store, "inbox:hubspot", unfit.raw, unfit.ref) for unfit in (one, whole, bad)]
    done = replay.replay(store, ids, "olga")
    assert (done.replayed, dict(done.unfit)) == (2, {"no_type": 1})
    assert len(left(store)) == 1
    with store.reading() as tx:
        assert inbox.pending(tx) == 2


@on_sqlite
def test_a_delivery_of_mailchimps_set_aside_is_worked_once_the_file_names_its_audience(store: Store) -> None:
    told = {"type": "unsubscribe", "data[email]": "ann@acme.example", "data[list_id]": "new"}
    raw = urlencode(told | {"fired_at": "2026-11-22 12:00:00"}).encode()
    with store.writing() as tx:
        inbox.keep_deliveries(tx, store.vault, [inbox.Delivery("mailchimp", "old", raw, 1)], clock.now())
        watermarks.save_progress(tx, "mailchimp", accounts.ACCOUNT, {"id": "the account, which is none"}, clock.now())
    assert deliveries.cut(store) == 1
    with store.reading() as tx:
        assert quarantine.body_of(tx, store.vault, *left(store)) == raw  # as it came (G8)
    assert replay.replay(store, left(store), "olga", audience="another").unfit == {"foreign_audience": 1}
    assert replay.replay(store, left(store), "olga", audience="new").replayed == 1
    with store.reading() as tx:
        assert (inbox.pending(tx), left(store)) == (1, [])


@on_sqlite
def test_a_person_is_scored_again_and_one_who_is_no_more_is_settled(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
    ids = [aside(store, rescore.QUARANTINE, b"", str(one)) for one in (ada, 4711)]
    done = replay.replay(store, ids, "olga")
    assert (done.replayed, done.settled) == (1, 1)
    with store.reading() as tx:
        assert due.due_count(tx) == 1


@on_sqlite
def test_a_refused_write_is_tried_again_and_set_aside_again_while_the_vendor_refuses(store: Store) -> None:
    with stage(store, journey()) as made:
        record = RecordRef("hubspot", "contact", made.lead())
        made.until_scored()
        with store.writing() as tx:  # a value HubSpot takes from nobody
            bad = outbox.Wanted(record, made.person(record.record_id), {"leadbridge_score": "many"}, 10**9)
            outbox.want(tx, [bad], made.now())
        made.act()
        assert replay.preview(store, "write_back:hubspot")["write_back:hubspot"]
        calls = made.calls("contacts.batch.update")
        assert replay.replay(store, left(store), "olga").replayed == 1
        assert left(store) == []
        made.act()
        assert made.calls("contacts.batch.update") == calls + 1
        assert len(left(store)) == 1
