"""Listening to a CRM's changes, on both databases: nothing lost, nothing twice (G3, G12, G13, fault 21)."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.salesforce.connector import Salesforce
from leadbridge.run import Embedded
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import gaps, inbox, leads, leases, quarantine
from leadbridge.store import tables as stored
from leadbridge.store.engine import Store
from leadbridge.testing.stages import Skipping
from sync import cycle, deliveries, events, pull, setup, stream, wiring
from sync.holding import TakenOver
from sync.outlook import Scorer
from sync.stream import Listener
from tests.helpers import rooms
from tests.helpers.waiting import LONG, until

SCORE = "Leadbridge_Score__c"
ROUNDS = 8


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.salesforce.settings.query_page = 2000
        sandbox.salesforce.settings.change_keepalive_seconds = 0.05
        sandbox.salesforce.serve_events()
        for kind in ("Lead", "Contact"):
            sandbox.salesforce.grant_field(kind, "HasOptedOutOfEmail")
        yield sandbox


def room_of(sandbox: Sandbox, **connection: Any) -> Salesforce:
    about = {"change_events": True, "pubsub": sandbox.salesforce.serve_events(), "activities": []}
    return rooms.salesforce(rooms.configuration(sandbox.url, salesforce=about | connection), Skipping().pace())


def parts_of(sandbox: Sandbox, store: Store) -> wiring.Parts:
    config = rooms.configuration(sandbox.url, salesforce={"activities": []})
    made = wiring.Parts(config, store, Scorer(config), [room_of(sandbox)], None, owner="w1")
    setup.apply(made)
    return made


def lead(sandbox: Sandbox, n: int = 1, **values: object) -> str:
    about = {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example"}
    return sandbox.salesforce.add("Lead", about | values)


@contextmanager
def listening(store: Store, crm: Salesforce, ring: Callable[[], object] = lambda: None) -> Iterator[Listener]:
    stop = threading.Event()
    listener = Listener(store, crm, owner="w1", stop=stop, ring=ring, stand_by=0.05)
    listener.start()
    try:
        until(lambda: place(store, crm) is not None)
        yield listener
    finally:
        stop.set()
        assert listener.join(LONG)


def place(store: Store, crm: Salesforce) -> Any:
    with store.reading() as tx:
        return tx.execute(
            sa.select(stored.watermarks.c.progress).where(stored.watermarks.c.stream == f"events:{crm.topic}")
        ).scalar()


def waiting(store: Store) -> int:
    with store.reading() as tx:
        return inbox.pending(tx)


def kept(store: Store) -> list[bytes]:
    """Bodies of the events in the inbox, each cut from its delivery."""
    deliveries.cut(store)
    with store.writing() as tx:
        claimed = inbox.claim_events(tx, store.vault, limit=10_000, owner="test")
        inbox.release(tx, claimed)
    return [one.body for one in claimed]


def test_what_is_told_waits_in_the_inbox_and_rings(sandbox: Sandbox, store: Store) -> None:
    one, rung = lead(sandbox), threading.Event()
    with listening(store, room_of(sandbox), rung.set):
        sandbox.salesforce.edit(one, {"Title": "Head"})
        assert rung.wait(LONG)
        assert waiting(store) == 1
        sandbox.salesforce.edit(one, {"Title": "Boss"})
        until(lambda: waiting(store) == 2)
    assert all(one.encode() in body for body in kept(store))


def test_what_is_told_twice_is_one_event(sandbox: Sandbox, store: Store) -> None:
    sandbox.salesforce.settings.change_duplicate_every = 1
    one = lead(sandbox)
    with listening(store, room_of(sandbox)):
        for n in range(5):
            sandbox.salesforce.edit(one, {"Title": f"t{n}"})
        until(lambda: waiting(store) == 10)
    assert len(kept(store)) == 5


def test_a_broken_stream_is_listened_to_again_from_where_it_stood(
    sandbox: Sandbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_REST", 0.05)
    one = lead(sandbox)
    with listening(store, room_of(sandbox)):
        for n in range(4):
            sandbox.salesforce.cut_streams()
            sandbox.salesforce.edit(one, {"Title": f"t{n}"})
            until(lambda n=n: waiting(store) == n + 1)  # type: ignore[misc]
    assert len(kept(store)) == 4


def test_a_gap_is_closed_by_reading(sandbox: Sandbox, store: Store) -> None:
    parts = parts_of(sandbox, store)
    one = lead(sandbox, Title="Head")
    cycle.sync(parts)
    assert not pull.gap(store, ["salesforce"])
    crm, rung = room_of(sandbox), threading.Event()
    with listening(store, crm, rung.set):
        sandbox.salesforce.settings.change_objects = frozenset()  # what follows is not told
        sandbox.salesforce.edit(one, {"Title": None})
        sandbox.salesforce.tell_gap("Lead", "GAP_OVERFLOW", ["000000000000000AAA"])
        assert rung.wait(LONG)
    assert pull.gap(store, ["salesforce"])
    pull.pull(store, parts.crms, None, owner="w1", every=3600)
    cycle.act(parts)
    assert not pull.gap(store, ["salesforce"])
    assert sandbox.salesforce.row(one)[SCORE] == 0.0


def test_an_expired_place_is_a_gap(sandbox: Sandbox, store: Store) -> None:
    crm = room_of(sandbox)
    with listening(store, crm):
        pass
    sandbox.salesforce.expire_positions()
    old = place(store, crm)
    with listening(store, crm):
        until(lambda: place(store, crm) != old)
    with store.reading() as tx:
        assert gaps.marked_at(tx, "salesforce") is not None


def test_an_event_that_cannot_be_read_goes_to_quarantine_alone(sandbox: Sandbox, store: Store) -> None:
    one = lead(sandbox)
    with listening(store, room_of(sandbox)):
        sandbox.salesforce.tell_garbage("Lead")
        sandbox.salesforce.edit(one, {"Title": "Head"})
        until(lambda: waiting(store) == 2)
    assert len(kept(store)) == 1
    with store.reading() as tx:
        assert [row.source for row in quarantine.listing(tx)] == ["inbox:salesforce"]
        assert gaps.marked_at(tx, "salesforce") is not None


def test_of_two_workers_one_listens_and_the_other_takes_over(sandbox: Sandbox, store: Store) -> None:
    crm, other = room_of(sandbox), room_of(sandbox)
    with listening(store, crm):
        assert not stream.listen(store, other, owner="w2", stop=threading.Event())
    with listening(store, other):
        pass


def test_who_was_replaced_stores_nothing_more(sandbox: Sandbox, store: Store) -> None:
    one, crm = lead(sandbox), room_of(sandbox)

    def replace_it() -> None:
        with store.writing() as tx:
            leases.end_all(tx)
            assert leases.take(tx, f"stream:salesforce:events:{crm.topic}", "w2")

    with listening(store, crm):
        pass
    sandbox.salesforce.edit(one, {"Title": "a"})
    sandbox.salesforce.settings.change_duplicate_every = 0
    with pytest.raises(TakenOver):
        stream.listen(store, crm, owner="w1", stop=threading.Event(), ring=replace_it)
    assert waiting(store) == 1


def test_our_own_writes_cause_no_work(sandbox: Sandbox, store: Store) -> None:
    parts = parts_of(sandbox, store)
    one = lead(sandbox, Title="Head")
    with listening(store, room_of(sandbox)):
        cycle.sync(parts)
        assert sandbox.salesforce.row(one)[SCORE] == 5.0
        sandbox.salesforce.edit(one, {"Website": "https://acme.example"})
        until(lambda: waiting(store) == 1)
    assert events.work(store, parts.crms, owner="w1").done == 1


def test_a_changed_account_changes_its_contacts_at_once(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    account = org.add("Account", {"Name": "Acme", "NumberOfEmployees": 10})
    org.add("Contact", {"LastName": "C1", "Email": "c1@acme.example", "AccountId": account})
    cycle.sync(parts)
    with listening(store, room_of(sandbox)):
        org.edit(account, {"NumberOfEmployees": 500})
        until(lambda: waiting(store) == 1)
    assert events.work(store, parts.crms, owner="w1").due == 1
    with store.reading() as tx:
        (person,) = leads.people(tx, leads.all_person_ids(tx, 0, 10)).values()
    assert person.attributes["employees"] == 500


def test_an_edit_in_the_org_becomes_a_score_in_the_org(sandbox: Sandbox, store: Store, store_url: str) -> None:
    parts = parts_of(sandbox, store)
    web = parts.config.web.model_copy(update={"port": 0})
    parts.config = parts.config.model_copy(update={"web": web})
    one = lead(sandbox)
    cycle.sync(parts)
    with Embedded(parts, pull_every=3600.0, sweep=3600.0):
        until(lambda: place(store, room_of(sandbox)) is not None)
        sandbox.salesforce.edit(one, {"Title": "Head"})
        until(lambda: sandbox.salesforce.row(one).get(SCORE) == 5.0)


@pytest.mark.slow
def test_killed_at_any_moment_a_listener_loses_nothing_and_tells_nothing_twice(
    sandbox: Sandbox, store: Store, store_url: str
) -> None:
    seed, known = random.Random(20261128), [lead(sandbox, n) for n in range(5)]
    told: Counter[str] = Counter()
    with listening(store, room_of(sandbox)):
        pass  # the first place
    order = {"store": store_url, "sandbox": sandbox.url, "pubsub": sandbox.salesforce.serve_events()}
    program = [sys.executable, "-m", "tests.helpers.listening"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for _ in range(ROUNDS):
            with store.writing() as tx:
                leases.end_all(tx)
            least = waiting(store) + seed.randrange(3)
            print(json.dumps(order), file=killer.stdin, flush=True)
            for _ in range(20):
                one = seed.choice(known)
                sandbox.salesforce.edit(one, {"Title": f"t{sum(told.values())}"})
                told[one] += 1
            until(lambda least=least: waiting(store) >= least)  # type: ignore[misc]
            for _ in range(seed.randrange(20)):  # while it stores more
                one = seed.choice(known)
                sandbox.salesforce.edit(one, {"Title": f"t{sum(told.values())}"})
                told[one] += 1
            print("kill", file=killer.stdin, flush=True)
            assert killer.stdout.readline() == "dead\n"
        killer.stdin.close()
    sandbox.salesforce.edit(known[0], {"Title": "while nobody listens"})
    told[known[0]] += 1
    with store.writing() as tx:
        leases.end_all(tx)
    with listening(store, room_of(sandbox)):
        until(lambda: len(kept(store)) >= sum(told.values()))
    found = Counter(one for one in known for body in kept(store) if one.encode() in body)
    assert found == told
