"""Alive means progressing; ready means able to store (reliability G14); and 503 for a fault of ours (G1)."""

import io
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from leadbridge import clock, logs
from leadbridge.errors import StoreError
from leadbridge.metrics import WEBHOOK_UNAVAILABLE
from leadbridge.store import due, inbox, outbox
from leadbridge.store.engine import Store
from leadbridge.store.tables import persons
from leadbridge.types import RecordRef
from tests.helpers.signers import hubspot_body, hubspot_change
from tests.webhooks.conftest import CANARY, MAILCHIMP_PATH, Door, OpenDoor, Seam, on_sqlite
from webhooks.health import Health
from webhooks.writer import Raw, Writer

BODY = hubspot_body(hubspot_change(1, propertyValue="lead@acme.example"))


@pytest.fixture
def writer(store: Store) -> Iterator[Writer]:
    made = Writer(store, on_new=lambda: None)
    yield made
    made.stop()


def arrived(store: Store, ago: float) -> None:
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("k", b"{}")], clock.now() - timedelta(seconds=ago))


def test_a_server_with_nothing_to_do_is_well(door: Door) -> None:
    health = door.ask("GET", "/healthz")
    assert (health.status, json.loads(health.body)) == (
        200,
        {
            "status": "ok",
            "faults": [],
            "oldest_inbox_seconds": 0.0,
            "oldest_due_seconds": 0.0,
            "oldest_writes_seconds": 0.0,
        },
    )
    ready = door.ask("GET", "/readyz")
    assert (ready.status, json.loads(ready.body)) == (200, {"status": "ok", "faults": []})


@pytest.mark.parametrize(("ago", "status", "faults"), [(100, 200, []), (130, 503, ["inbox_stalled"])])
def test_health_turns_bad_when_an_event_waits_too_long(
    store: Store, door: Door, ago: float, status: int, faults: list[str]
) -> None:
    arrived(store, ago)
    answer = door.ask("GET", "/healthz")
    body = json.loads(answer.body)
    assert (answer.status, body["faults"]) == (status, faults)
    assert ago <= body["oldest_inbox_seconds"] < ago + 20
    assert door.ask("GET", "/readyz").status == 200  # a slow worker is no reason to turn events away
    assert door.hubspot(BODY).status == 204


@pytest.mark.parametrize(("ago", "stalled"), [(100, False), (130, True)])
def test_health_turns_bad_when_a_person_or_a_write_is_due_too_long(
    store: Store, writer: Writer, ago: float, stalled: bool
) -> None:
    with store.writing() as tx:
        now = clock.now()
        (person,) = tx.execute(
            persons.insert().values(created_at=now, changed_at=now).returning(persons.c.id)
        ).scalars()
        due.mark_due(tx, [person], now - timedelta(seconds=ago))
        wish = outbox.Wanted(RecordRef("hubspot", "contact", "1"), person, {"score": "1"}, 1)
        outbox.want(tx, [wish], now - timedelta(seconds=ago))
    faults = Health(store, writer, vendors=["hubspot"]).working().faults
    assert faults == (("due_stalled", "writes_stalled") if stalled else ())


@on_sqlite
def test_what_was_seen_is_said_again_for_a_second_only(store: Store, writer: Writer) -> None:
    health = Health(store, writer)
    assert health.working().faults == ()
    arrived(store, 500)
    assert health.working().faults == ()
    health._seen["working"] = (time.monotonic() - 1.1, health._seen["working"][1])
    assert health.working().faults == ("inbox_stalled",)


def test_a_store_that_does_not_answer_makes_health_and_readiness_bad(open_door: OpenDoor, store: Store) -> None:
    class Gone(Seam):
        def __init__(self, store: Store) -> None:
            super().__init__(store)
            self.reading = self.is_current = self._gone

        def _gone(self) -> Any:
            raise StoreError("the server is gone")

    door = open_door(over=Gone(store))
    for page in ("/healthz", "/readyz"):
        answer = door.ask("GET", page)
        assert (answer.status, json.loads(answer.body)["faults"]) == (503, ["store_unreachable"])


@on_sqlite
def test_a_store_of_another_version_is_not_ready(store: Store, writer: Writer) -> None:
    seam: Any = Seam(store)
    seam.is_current = lambda: False
    assert Health(seam, writer).ready().faults == ("store_outdated",)


@on_sqlite
def test_a_writer_that_hangs_or_is_stopped_is_not_ready(store: Store) -> None:
    seam: Any = Seam(store)
    writer = Writer(seam, on_new=lambda: None, patience=0.05)
    seam.go.clear()
    with pytest.raises(Exception, match="busy"):
        writer.keep("hubspot", Raw(b"[]"))
    assert Health(store, writer).ready().faults == ("writer_stuck",)
    seam.go.set()
    writer.stop()
    assert Health(store, writer).ready().faults == ("writer_stuck",)


# --- a fault of ours -----------------------------------------------------------------------------------------------


def test_a_store_that_fails_is_503_with_retry_after_and_the_next_try_is_kept(open_door: OpenDoor, store: Store) -> None:
    seam = Seam(store)
    door = open_door(over=seam)
    seam.fault = StoreError("the disk is full")
    answer = door.hubspot(BODY)
    assert (answer.status, answer.error, answer.headers["Retry-After"]) == (503, "store_failed", "30")
    assert door.ask("GET", "/healthz").status == 200  # reading goes on
    assert door.count() == 0
    seam.fault = None
    assert door.hubspot(BODY).status == 204
    assert door.count() == 1
    assert WEBHOOK_UNAVAILABLE.values() == {("hubspot", "store_failed"): 1}


def test_a_closed_store_reconnects_and_keeps_again(door: Door) -> None:
    assert door.hubspot(BODY).status == 204
    door.store.close()
    assert door.hubspot(hubspot_body(hubspot_change(2))).status == 204
    assert door.count() == 2


@on_sqlite
def test_an_unforeseen_fault_is_503_and_tells_neither_answer_nor_log_of_the_payload(
    open_door: OpenDoor, store: Store
) -> None:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    out = io.StringIO()
    logs.configure(json=True, stream=out)
    try:
        seam = Seam(store)
        seam.fault = KeyError("lead@acme.example")
        door = open_door(over=seam)
        answer = door.hubspot(BODY)
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    assert (answer.status, answer.error) == (503, "store_failed")
    assert "deliveries not stored" in out.getvalue()
    assert "acme" not in out.getvalue()


@on_sqlite
def test_no_secret_and_no_address_is_in_any_log_or_answer(open_door: OpenDoor, store: Store) -> None:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    out = io.StringIO()
    logs.configure(json=True, stream=out, level=logging.DEBUG)
    try:
        seam = Seam(store)
        door = open_door(over=seam, portal="62515")
        left = {"type": "unsubscribe", "data[email]": "lead@acme.example"}
        answers = [
            door.hubspot(BODY),
            door.hubspot(BODY, secret="guessed"),
            door.hubspot(hubspot_body(hubspot_change(2, portalId=1), "canary", {"canary": "lead@acme.example"})),
            door.hubspot(b"canary lead@acme.example"),
            door.mailchimp(left),
            door.mailchimp(left, path=MAILCHIMP_PATH[:-1] + "x"),
            door.mailchimp(left | {"data[list_id]": "canary"}),
            door.ask("GET", f"/webhooks/mailchimp/{MAILCHIMP_PATH}"),
            door.ask("PUT", f"/webhooks/mailchimp/{MAILCHIMP_PATH}"),
            door.ask("GET", f"/webhooks/mailchimp/{MAILCHIMP_PATH}/more?canary=1"),
            door.ask("GET", "/"),
            door.ask("GET", "/healthz"),
        ]
        for fault in (StoreError("boom"), RuntimeError(f"{CANARY} lead@acme.example {MAILCHIMP_PATH}")):
            seam.fault = fault
            answers += [door.hubspot(BODY), door.mailchimp(left)]
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    assert {answer.status for answer in answers} >= {200, 204, 400, 401, 404, 405, 503}
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sum(line["event"] == "request" for line in lines) == len(answers)
    for text in (out.getvalue(), *(f"{answer.headers}{answer.body!r}" for answer in answers)):
        assert CANARY not in text
        assert "acme.example" not in text
