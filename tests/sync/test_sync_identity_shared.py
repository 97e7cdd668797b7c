"""Records of a CRM that keeps several of one person under one address (Salesforce's leads and contacts)."""

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Reading
from leadbridge.store import leads
from leadbridge.store.engine import Store
from leadbridge.types import Lead, LifecycleStage, RecordRef
from sync import identity, rereading
from tests.helpers.databases import Fresh
from tests.sync.test_sync_identity import known

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ADDRESSES = ["ada@acme.example", "Ada@Acme.example", "bob@acme.example", "info@acme.example", None]


def ref(number: int, kind: str = "Lead") -> RecordRef:
    return RecordRef("salesforce", kind, str(number))


@dataclass
class Org:
    """An org as its people leave it, and who is who by all that was ever seen of it."""

    at: int = 0
    live: dict[RecordRef, Lead] = field(default_factory=dict)
    went: dict[RecordRef, RecordRef | None] = field(default_factory=dict)  # deleted, or merged or converted into
    changed: set[RecordRef] = field(default_factory=set)  # since the last poll
    one_human: dict[RecordRef, RecordRef] = field(default_factory=dict)

    def human(self, one: RecordRef) -> RecordRef:
        while self.one_human.get(one, one) != one:
            one = self.one_human[one]
        return one

    def unite(self, one: RecordRef, other: RecordRef) -> None:
        self.one_human[self.human(other)] = self.human(one)

    def put(self, one: RecordRef, email: str | None, aliases: tuple[RecordRef, ...] = ()) -> None:
        self.at += 1
        opted_out = self.at % 7 == 0
        at = NOW + timedelta(minutes=self.at)
        self.live[one] = Lead(one, email, {}, at, NOW, opted_out, aliases=aliases, shares_address=True)
        self.changed.add(one)

    def leave(self, one: RecordRef, into: RecordRef | None) -> None:
        del self.live[one]
        self.went[one] = into
        self.changed.add(one)
        if into is not None:
            self.unite(into, one)
            self.put(into, self.live[into].email if into in self.live else None)

    def poll(self, store: Store, chosen: random.Random) -> None:
        """A pull of what changed, in pages of any order, as the room gives them."""
        todo = sorted(self.changed)
        chosen.shuffle(todo)
        while todo:
            part = [todo.pop() for _ in range(min(len(todo), chosen.randint(1, 3)))]
            page = self.read_leads(part)
            before = rereading.read_former_holders(store, self, page.found)  # type: ignore[arg-type]  # only this of a Crm
            with store.writing() as tx:
                identity.take_in(tx, before, NOW)
                identity.absorb(tx, self.with_names(page), NOW)
                identity.retire(tx, page.gone, NOW)
        self.changed.clear()
        by_address: dict[str, list[RecordRef]] = defaultdict(list)
        for lead in self.live.values():
            if lead.email:
                by_address[lead.email.lower()].append(lead.ref)
        for first, *others in by_address.values():
            for other in others:
                self.unite(first, other)

    def read_leads(self, refs: list[RecordRef]) -> Reading:
        found, gone, moved = {}, [], {}
        for one in refs:
            end: RecordRef | None = one
            while end is not None and end in self.went:
                end = self.went[end]
            if end is None or end not in self.live:
                gone.append(one)
                continue
            found[end] = self.live[end]
            if end != one:
                moved[one] = end
        return Reading(list(found.values()), gone, moved)

    @staticmethod
    def with_names(page: Reading) -> list[Lead]:
        """A page's leads name what became part of them."""
        former: dict[RecordRef, list[RecordRef]] = defaultdict(list)
        for old, new in page.moved.items():
            former[new].append(old)
        return [replace(lead, aliases=tuple(sorted(former[lead.ref]))) for lead in page.found]


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_who_is_who_is_what_the_org_says_whatever_happened(fresh: Fresh, data: st.DataObject, seed: int) -> None:
    """Random sequences of create, rename, merge, convert, delete and poll: one person for each human, no more."""
    org, store, chosen = Org(), fresh(), random.Random(seed)
    for step in range(data.draw(st.integers(2, 14))):
        what = data.draw(st.sampled_from(["create", "create", "rename", "merge", "convert", "delete", "poll"]))
        known_leads = sorted(one for one in org.live if one.object_type == "Lead")
        contacts = sorted(one for one in org.live if one.object_type == "Contact")
        everyone = sorted(org.live)
        address = data.draw(st.sampled_from(ADDRESSES))
        if what == "create":
            org.put(ref(step, data.draw(st.sampled_from(["Lead", "Contact"]))), address)
        elif what == "rename" and everyone:
            org.put(data.draw(st.sampled_from(everyone)), address)
        elif what == "delete" and everyone:
            org.leave(data.draw(st.sampled_from(everyone)), None)
        elif what == "merge" and len(contacts) > 1:
            keep, lose = data.draw(st.permutations(contacts))[:2]
            org.leave(lose, keep)
        elif what == "convert" and known_leads:
            one = data.draw(st.sampled_from(known_leads))
            contact = data.draw(st.sampled_from([*contacts, ref(step, "Contact")]))
            if contact not in org.live:
                org.put(contact, org.live[one].email)
            org.leave(one, contact)
        elif what == "poll":
            org.poll(store, chosen)
    org.poll(store, chosen)

    groups: dict[RecordRef, set[str]] = defaultdict(set)
    for one in org.live:
        groups[org.human(one)].add(one.key)
    persons: dict[int, set[str]] = defaultdict(set)
    owners = known(store).person_of
    for one in org.live:
        persons[owners[one.key]].add(one.key)
    assert sorted(map(sorted, persons.values())) == sorted(map(sorted, groups.values()))
    people = known(store).people
    for shown in org.live.values():
        assert people[owners[shown.ref.key]].opted_out or not shown.opted_out  # the stricter consent wins


def lead(number: int, email: str | None, kind: str = "Lead", **more: object) -> Lead:
    found = Lead(ref(number, kind), email, {}, NOW, shares_address=True)
    return replace(found, **more)  # type: ignore[arg-type]


def absorb(store: Store, *found: Lead) -> None:
    with store.writing() as tx:
        identity.absorb(tx, found, NOW)


def test_a_lead_and_a_contact_of_one_address_are_one_person_with_one_score_on_both(fresh: Fresh) -> None:
    store = fresh()
    absorb(store, lead(1, "ada@acme.example"), lead(2, "ADA@acme.example", "Contact"), lead(3, "bob@acme.example"))
    absorb(store, lead(4, " Ada@Acme.Example "))
    owners = known(store).person_of
    same = {owners[one.key] for one in (ref(1), ref(2, "Contact"), ref(4))}
    assert len(same) == 1
    assert owners[ref(3).key] not in same
    with store.reading() as tx:
        (rows,) = leads.refs_of(tx, same, "salesforce").values()
    assert {row.ref for row in rows} == {ref(1), ref(2, "Contact"), ref(4)}


def test_a_customer_stays_one_although_a_lead_is_made_anew(fresh: Fresh) -> None:
    store = fresh()
    customer = {"lifecycle_stage": LifecycleStage.CUSTOMER.value}
    absorb(store, lead(1, "ada@acme.example", "Contact", attributes=customer))
    again = {"lifecycle_stage": LifecycleStage.LEAD.value}
    absorb(store, lead(2, "ada@acme.example", attributes=again, modified_at=NOW + timedelta(days=1)))
    (person,) = set(known(store).person_of.values())
    assert known(store).people[person].lifecycle_stage == "customer"


def test_an_old_version_unites_nobody(fresh: Fresh) -> None:
    """A page read long ago says that two shared an address; what is stored is newer and knows better (G11)."""
    store = fresh()
    absorb(store, lead(1, "ada@acme.example", modified_at=NOW + timedelta(days=1)), lead(2, "bob@acme.example"))
    absorb(store, lead(1, "bob@acme.example"))
    owners = known(store).person_of
    assert owners[ref(1).key] != owners[ref(2).key]


def test_records_of_other_systems_join_as_before(fresh: Fresh) -> None:
    store = fresh()
    absorb(store, lead(1, "ada@acme.example"), lead(2, "ada@acme.example", "Contact"))
    hubspot = Lead(RecordRef("hubspot", "contact", "7"), "ada@acme.example", {}, NOW)
    absorb(store, hubspot)
    assert len({known(store).person_of[one.key] for one in (ref(1), ref(2, "Contact"), hubspot.ref)}) == 1


def test_an_address_that_was_handed_on_does_not_make_one_of_two(fresh: Fresh) -> None:
    """The new holder's page may come before the page that says the old one has another address by now."""
    org, store = Org(), fresh()
    for number, address in ((1, "info@acme.example"), (2, "ada@acme.example")):
        org.put(ref(number), address)
    org.poll(store, random.Random(1))
    org.put(ref(2), "eve@acme.example")
    org.put(ref(1), "ada@acme.example")
    org.put(ref(3), "info@acme.example")
    org.changed = {ref(3)}  # the only one of the first page
    org.poll(store, random.Random(1))
    owners = known(store).person_of
    assert len({owners[ref(number).key] for number in (1, 2, 3)}) == 3
