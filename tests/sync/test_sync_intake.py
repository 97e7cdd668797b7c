"""Who did it, and what becomes of it (docs/intake.md; reliability G3, G8, G20, G25)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.intake.mapping import Wanted
from leadbridge import metrics
from leadbridge.metrics import INTAKE_LEFT_OUT
from leadbridge.store import Store, activities, due, inbox, leads, suppressions, tables
from leadbridge.types import Lead, RecordRef, SuppressionReason, email_key
from sync import deliveries, events, forget, identity

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WANTED = Wanted(traits={"job_title": ("job", "text", ()), "employees": ("company.size", "integer", ())})
ANN = "ann@acme.example"


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    metrics.reset()


class Site:
    """A site that tracks, and the worker behind it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent = 0

    def send(self, *calls: dict[str, Any]) -> events.Worked:
        batch = []
        for call in calls:
            self.sent += 1
            at = NOW + timedelta(seconds=self.sent)
            batch.append({"messageId": f"m{self.sent}", "timestamp": at.isoformat()} | call)
        body = b"batch\n" + json.dumps({"batch": batch}).encode()
        with self.store.writing() as tx:
            came = [inbox.Delivery("intake", None, body, len(batch))]
            inbox.keep_deliveries(tx, self.store.vault, came, NOW + timedelta(days=1))
        return events.work(self.store, [], owner="w", wanted=WANTED)

    def crm(self, record_id: str, email: str | None, vendor: str = "hubspot", **attributes: str) -> int:
        ref = RecordRef(vendor, "contact", record_id)
        with self.store.writing() as tx:
            identity.absorb(tx, [Lead(ref, email, attributes, NOW - timedelta(days=30))], NOW)
        return self.owner(ref.key) or 0

    def owner(self, key: str) -> int | None:
        with self.store.reading() as tx:
            return leads.people_by_key(tx, [key]).get(key)

    def did(self, person: int | None) -> int:
        with self.store.reading() as tx:
            return len(activities.activities_of(tx, [person or 0]))

    def person(self, person: int | None) -> leads.PersonRow:
        with self.store.reading() as tx:
            return leads.people(tx, [person or 0])[person or 0]

    def rows(self, table: sa.Table) -> int:
        with self.store.reading() as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store)


def view(**who: str) -> dict[str, Any]:
    return {"type": "page", "properties": {"url": "/pricing"}, **who}


def identify(**who: Any) -> dict[str, Any]:
    return {"type": "identify", **who}


def test_what_an_anonymous_visitor_did_belongs_to_whom_they_turn_out_to_be(site: Site) -> None:
    ann = site.crm("1", ANN)
    site.send(view(anonymousId="a1"), view(anonymousId="a1"), view(anonymousId="a2"))
    assert site.did(ann) == 0
    done = site.send(identify(userId="u1", anonymousId="a1", traits={"email": "Ann@ACME.example "}))
    assert (site.did(ann), done.done) == (2, 1)
    assert site.owner("intake:user:u1") == ann
    done = site.send(view(userId="u1"), view(anonymousId="a1"))
    assert (site.did(ann), done.due) == (4, 1)
    with site.store.reading() as tx:
        assert due.due_count(tx) == 1


def test_the_order_of_calls_does_not_matter(site: Site) -> None:
    site.send(view(userId="u1"), identify(userId="u1", traits={"email": ANN}))
    ann = site.crm("1", ANN)
    assert site.owner("intake:user:u1") == ann
    assert site.did(ann) == 1


def test_a_browser_used_by_two_belongs_to_the_first(site: Site) -> None:
    site.send(view(anonymousId="a1"), identify(userId="u1", anonymousId="a1"), identify(userId="u2", anonymousId="a1"))
    one, two = site.owner("intake:user:u1"), site.owner("intake:user:u2")
    assert one != two
    assert site.owner("intake:anonymous:a1") == one
    assert (site.did(one), site.did(two)) == (1, 0)


def test_a_user_and_an_address_named_together_become_one_person(site: Site) -> None:
    site.send(identify(userId="u1", traits={"job": "CTO"}), view(userId="u1"))
    alone = site.owner("intake:user:u1")
    ann = site.crm("1", ANN)
    assert alone != ann
    site.send(identify(userId="u1", traits={"email": ANN}))
    assert site.owner("intake:user:u1") == site.owner(email_key(ANN)) == ann
    assert site.did(ann) == 1
    assert site.person(ann).attributes["job_title"] == "CTO"
    assert site.rows(tables.persons) == 1


def test_two_people_of_the_crm_are_never_made_one_by_a_tracker(site: Site) -> None:
    ann, bob = site.crm("1", ANN), site.crm("2", "bob@acme.example")
    site.send(identify(userId="u1", traits={"email": ANN}), identify(userId="u1", traits={"email": "bob@acme.example"}))
    site.send(
        {"type": "alias", "userId": "u1", "previousId": "u2"},
        identify(userId="u2", traits={"email": "bob@acme.example"}),
    )
    assert site.owner(email_key(ANN)) == ann
    assert site.owner(email_key("bob@acme.example")) == bob
    assert site.owner("intake:user:u1") == ann


def test_an_alias_joins_what_somebody_was_called_before(site: Site) -> None:
    site.send(view(anonymousId="a1"), {"type": "alias", "previousId": "a1", "userId": "u1"})
    assert site.did(site.owner("intake:user:u1")) == 1
    site.send(identify(userId="old"), view(userId="old"), {"type": "alias", "previousId": "old", "userId": "u1"})
    assert site.owner("intake:user:old") == site.owner("intake:user:u1")
    assert site.did(site.owner("intake:user:u1")) == 2


def test_traits_fill_what_the_crm_does_not_know_and_override_nothing(site: Site) -> None:
    ann = site.crm("1", ANN, job_title="Engineer")
    site.send(identify(userId="u1", traits={"email": ANN, "job": "CEO"}))
    site.send({"type": "group", "userId": "u1", "groupId": "g", "traits": {"size": "120"}})
    found = site.person(ann)
    assert found.attributes == {"job_title": "Engineer", "employees": 120}
    assert found.email == ANN


def test_of_one_trait_the_newest_counts_and_a_call_without_it_leaves_it(site: Site) -> None:
    new, old = (NOW + timedelta(hours=hours) for hours in (2, 1))
    site.send(identify(userId="u1", timestamp=new.isoformat(), traits={"job": "CTO"}))
    site.send(identify(userId="u1", timestamp=old.isoformat(), traits={"job": "Intern", "email": ANN}))
    site.send(identify(userId="u1", traits={}))
    found = site.person(site.owner("intake:user:u1"))
    assert (found.attributes, found.email) == ({"job_title": "CTO"}, ANN)


def test_nothing_is_stored_of_somebody_who_was_forgotten(site: Site) -> None:
    site.send(identify(userId="u1", anonymousId="a1", traits={"email": ANN}), view(userId="u1"))
    forget.forget(site.store, ANN, "test")
    site.send(
        identify(userId="u1", traits={"email": "new@acme.example"}),
        identify(userId="u2", traits={"email": ANN}),
        view(anonymousId="a1"),
        {"type": "track", "event": "Signed Up", "anonymousId": "a2", "properties": {"email": ANN}},
    )
    assert [site.rows(table) for table in (tables.persons, tables.records, tables.activities)] == [0, 0, 0]
    assert INTAKE_LEFT_OUT.value(reason="forgotten") == 4


def test_who_unsubscribes_elsewhere_must_not_be_mailed_here(site: Site) -> None:
    ann = site.crm("1", ANN)
    site.send(identify(userId="u1", traits={"email": ANN}))
    assert site.send({"type": "track", "userId": "u1", "event": "Unsubscribed"}).left == 1
    with site.store.reading() as tx:
        assert suppressions.suppressed(tx, site.store.vault, [ann]) == {ann: SuppressionReason.UNSUBSCRIBED}
    site.send(identify(userId="u1", traits={"email": ANN, "subscribed": True}))
    with site.store.reading() as tx:
        assert suppressions.is_suppressed(tx, site.store.vault, ANN) is SuppressionReason.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ({"userId": "u1"}, {"userId": "u1"}),
        ({"anonymousId": "a1"}, {"userId": "u1", "anonymousId": "a1"}),
        ({"userId": "old"}, {"type": "alias", "userId": "u1", "previousId": "old"}),
        ({"userId": "u1", "anonymousId": "a1"}, {"userId": "u1"}),
    ],
)
@pytest.mark.parametrize("known", ["before", "after", "without an address"])
def test_who_unsubscribes_under_a_name_nobody_knows_yet_is_not_mailed_once_it_is_known(
    site: Site, left: dict[str, str], named: dict[str, str], known: str
) -> None:
    if known == "before":
        site.crm("1", ANN)
    if known == "without an address":
        site.send(identify(userId="u1"))
    site.send({"type": "track", "event": "Unsubscribed", **left})
    site.send({"type": "identify", **named})
    site.send(identify(userId="u1", traits={"email": ANN}))
    ann = site.crm("1", ANN)
    with site.store.reading() as tx:
        assert suppressions.suppressed(tx, site.store.vault, [ann]) == {ann: SuppressionReason.UNSUBSCRIBED}
    assert site.owner("intake:user:u1") == ann


def test_the_clock_of_the_sender_is_set_right_and_nothing_lies_in_the_future(site: Site) -> None:
    received = NOW + timedelta(days=1)
    wrong = received + timedelta(hours=3)
    who = {"type": "track", "event": "x", "userId": "u"}
    site.send({**who, "timestamp": (wrong - timedelta(minutes=5)).isoformat(), "sentAt": wrong.isoformat()})
    site.send({**who, "timestamp": wrong.isoformat()})
    with site.store.reading() as tx:
        at = list(tx.scalars(sa.select(tables.activities.c.at).order_by(tables.activities.c.at)))
    assert at == [received - timedelta(minutes=5), received]


def test_an_event_worked_twice_is_one_activity(site: Site) -> None:
    call = view(userId="u1") | {"messageId": "same"}
    site.send(call)
    with site.store.writing() as tx:
        tx.execute(sa.delete(tables.inbox))  # as after 25 hours
    site.send(call)
    assert site.rows(tables.activities) == 1


def test_an_event_that_breaks_its_reader_is_set_aside_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.intake import mapping
    from sync import intake

    real = mapping.said

    def breaks(event: Any, key: str, wanted: Wanted) -> Any:
        if event.get("event") == "poison":
            raise RuntimeError("boom")
        return real(event, key, wanted)

    monkeypatch.setattr(intake, "said", breaks)
    calls = [{"type": "track", "event": "poison" if n == 3 else "fine", "userId": "u"} for n in range(8)]
    done = site.send(*calls)
    assert (done.done, done.failed) == (7, 1)
    assert site.rows(tables.activities) == 7
    assert deliveries.cut(site.store) == 0


def test_without_an_intake_section_its_events_are_set_aside_not_lost(site: Site) -> None:
    with site.store.writing() as tx:
        body = b"track\n" + json.dumps({"userId": "u", "event": "x"}).encode()
        inbox.keep_deliveries(tx, site.store.vault, [inbox.Delivery("intake", None, body, 1)], NOW)
    assert events.work(site.store, [], owner="w").failed == 1
