"""Secrets and people driven through every way a call, an event and a write can fail, then looked for in every sink
(reliability G26, G27; fault 41)."""

import io
import json
from typing import Any

import pytest

from leadbridge.errors import VendorError
from leadbridge.store import audit, outbox
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import enrol, pull, tasks, wiring
from tests.helpers import rooms
from tests.helpers.syncing import Stage, journey, moving, stage
from tests.webhooks.conftest import on_sqlite

PERSON = "canary-lead"
ADDRESS = f"{PERSON}@canary.example"
CANARIES = (PERSON, "canary.example", "canary%2Eexample", rooms.HUBSPOT_TOKEN, rooms.MAILCHIMP_KEY)

CALLS = ("contacts.search", "contacts.batch.*", "members.*", "journeys.*")

TROUBLE: list[dict[str, Any]] = [
    *({"kind": "status", "status": status} for status in (400, 401, 403, 404, 409, 429, 500, 503)),
    {"kind": "html", "status": 200},
    {"kind": "empty", "status": 302, "headers": {"Location": f"https://elsewhere.example/{ADDRESS}"}},
    {"kind": "truncate"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
]  # fmt: skip


def attempt(made: Stage) -> str:
    """One round of everything; what it says of its failure."""
    said = []
    try:
        said.append(repr(made.sync()))
    except VendorError as error:
        said.append(f"{error!r} {error} {error.args} {error.__cause__!r} {error.__context__!r}")
    said.append(repr(made.act()))
    assert made.parts.platform is not None
    try:
        enrol.settle_uncertain(made.store, made.parts.platform, made.parts.scorer.matcher)
    except VendorError as error:
        said.append(f"{error!r} {error} {error.args}")
    return "\n".join(said)


@on_sqlite
def test_no_failure_carries_a_secret_or_a_person_into_any_sink(store: Store, log: io.StringIO) -> None:
    with stage(store, journey("guides"), journey("demo", re_enter_after="1d")) as made, moving(made) as time:
        wiring.hide_secrets(made.config)
        record = made.lead(ADDRESS, firstname=PERSON)
        made.sync()
        said = []
        for trouble in TROUBLE:
            for operation in CALLS:
                made.fault(trouble["kind"], operation, times=6, **{k: v for k, v in trouble.items() if k != "kind"})
            said.append(attempt(made))
            made.sandbox.world.faults.clear()
            made.event(
                {"eventId": trouble, "subscriptionType": "contact.propertyChange", "email": ADDRESS},
                {"objectId": int(record), "subscriptionType": "contact.propertyChange", "propertyValue": ADDRESS},
            )
            with store.writing() as tx:  # a value HubSpot refuses, and says so
                ref = RecordRef("hubspot", "contact", record)
                bad = outbox.Wanted(ref, made.person(record), {"leadbridge_score": ADDRESS}, 10**9 + len(said))
                outbox.want(tx, [bad], made.now())
            made.act()
            made.edit(record, jobtitle=f"Director {len(said)}")
            time.on(minutes=20)
        with store.reading() as tx:
            notes = [repr(note) for note in audit.listing(tx, limit=1000)]
        sinks = {
            "log": log.getvalue(),
            "errors": "\n".join(said),
            "quarantine": repr(made.quarantined()),
            "audit": "\n".join(notes),
            "parts": repr(made.parts) + repr(made.config),
            "vault": repr(store.vault) + repr(vars(store)),
        }
    assert len(sinks["log"].splitlines()) > 50, "nothing was tried"
    for name, text in sinks.items():
        found = [canary for canary in CANARIES if canary in text]
        assert not found, (name, found, [line[:300] for line in text.splitlines() if found[0] in line][:3])
    for line in sinks["log"].splitlines():
        json.loads(line)


def test_a_task_of_the_queue_takes_nothing_along() -> None:
    for task in (tasks.work, tasks.pull):
        assert task.run.__code__.co_argcount == 0


@on_sqlite
def test_a_pull_says_what_failed_without_the_person(store: Store) -> None:
    with stage(store, journey()) as made:
        made.lead(ADDRESS)
        made.fault("status", "*", status=400, times=100)
        with pytest.raises(VendorError) as raised:
            pull.pull(store, made.parts.crms, made.parts.platform)
        assert not [canary for canary in CANARIES if canary in f"{raised.value!r} {raised.value}"]
