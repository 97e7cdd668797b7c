"""Who is who over two CRMs: HubSpot, which keeps addresses unique, beside Salesforce, which does not."""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from leadbridge.addresses import canonical
from leadbridge.store import activities, leads, suppressions, tables
from leadbridge.store.engine import Store
from leadbridge.types import Activity, ActivityKind, Lead, RecordRef, SuppressionReason, email_key
from sync import identity, rereading
from tests.helpers.databases import Fresh
from tests.sync.test_sync_identity import known
from tests.sync.test_sync_identity_shared import ADDRESSES, NOW, Org, ref


def contact(number: int) -> RecordRef:
    return RecordRef("hubspot", "contact", str(number))


@dataclass
class Both(Org):
    """The contacts of one HubSpot account beside an org: no two of them have one address, and merging makes a third."""

    bore: dict[RecordRef, set[str | None]] = field(default_factory=lambda: defaultdict(set))

    def put(self, one: RecordRef, email: str | None, aliases: tuple[RecordRef, ...] = ()) -> None:
        super().put(one, email, aliases)
        self.live[one] = Lead(
            one,
            email,
            {},
            self.live[one].modified_at,
            NOW,
            self.live[one].opted_out,
            aliases=aliases,
            shares_address=one.vendor == "salesforce",
        )
        self.bore[one].add(canonical(email))

    def contacts(self) -> list[RecordRef]:
        return sorted(one for one in self.live if one.vendor == "hubspot")

    def free(self, email: str | None, but: RecordRef | None = None) -> bool:
        """May a contact of HubSpot get this address?"""
        taken = {canonical(self.live[one].email) for one in self.contacts() if one != but}
        return email is None or canonical(email) not in taken

    def merge_contacts(self, keep: RecordRef, lose: RecordRef, new: RecordRef) -> None:
        email, was = self.live[keep].email, self.bore[keep] | self.bore[lose]
        names = {keep, lose, *self.live[keep].aliases, *self.live[lose].aliases}
        for one in (keep, lose):
            del self.live[one]
            self.went[one] = new
            self.unite(new, one)
            self.changed.add(one)
        self.put(new, email, tuple(sorted(names)))
        self.bore[new] |= was

    def poll(self, store: Store, chosen: random.Random) -> None:
        """As the two rooms give it: each in pages of its own, in any order beside each other."""
        todo = sorted(self.changed)
        chosen.shuffle(todo)
        while todo:
            vendor = todo[-1].vendor
            part = [one for one in todo if one.vendor == vendor][: chosen.randint(1, 3)]
            todo = [one for one in todo if one not in part]
            page = self.read_leads(part)
            before = rereading.read_former_holders(store, self, page.found)  # type: ignore[arg-type]
            with store.writing() as tx:
                identity.take_in(tx, before, NOW)
                identity.absorb(tx, self.with_names(page) if vendor == "salesforce" else page.found, NOW)
                identity.retire(tx, page.gone, NOW)
        self.changed.clear()


class Humans(RuleBasedStateMachine):
    """What people do in both CRMs, in any order; after every pull it is looked at who is who."""

    fresh: Fresh

    @initialize(seed=st.integers(0, 2**32))
    def nobody(self, seed: int) -> None:
        self.both, self.store, self.chosen, self.made = Both(), self.fresh(), random.Random(seed), 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.pull()
            self.store.close()

    def _new(self) -> int:
        self.made += 1
        return self.made

    def _of(self, kind: str) -> list[RecordRef]:
        return [one for one in sorted(self.both.live) if one.object_type == kind]

    @rule(kind=st.sampled_from(["Lead", "Contact"]), address=st.sampled_from(ADDRESSES))
    def somebody_in_salesforce(self, kind: str, address: str | None) -> None:
        self.both.put(ref(self._new(), kind), address)

    @rule(address=st.sampled_from(ADDRESSES))
    def somebody_in_hubspot(self, address: str | None) -> None:
        if self.both.free(address):
            self.both.put(contact(self._new()), address)

    @precondition(lambda self: self.both.live)
    @rule(data=st.data(), address=st.sampled_from(ADDRESSES))
    def another_address(self, data: st.DataObject, address: str | None) -> None:
        one = data.draw(st.sampled_from(sorted(self.both.live)))
        if one.vendor == "salesforce" or self.both.free(address, one):
            self.both.put(one, address, self.both.live[one].aliases)

    @precondition(lambda self: self.both.live)
    @rule(data=st.data())
    def deleted(self, data: st.DataObject) -> None:
        self.both.leave(data.draw(st.sampled_from(sorted(self.both.live))), None)

    @precondition(lambda self: len(self._of("Contact")) > 1)
    @rule(data=st.data())
    def merged_in_salesforce(self, data: st.DataObject) -> None:
        keep, lose = data.draw(st.permutations(self._of("Contact")))[:2]
        self.both.leave(lose, keep)

    @precondition(lambda self: len(self.both.contacts()) > 1)
    @rule(data=st.data())
    def merged_in_hubspot(self, data: st.DataObject) -> None:
        keep, lose = data.draw(st.permutations(self.both.contacts()))[:2]
        self.both.merge_contacts(keep, lose, contact(self._new()))

    @precondition(lambda self: self._of("Lead"))
    @rule(data=st.data())
    def converted(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self._of("Lead")))
        into = data.draw(st.sampled_from([*self._of("Contact"), ref(self._new(), "Contact")]))
        if into not in self.both.live:
            self.both.put(into, self.both.live[one].email)
        self.both.leave(one, into)

    @rule()
    def pull(self) -> None:
        both = self.both
        both.poll(self.store, self.chosen)
        found = known(self.store)
        owners = {one: found.person_of[one.key] for one in both.live}
        for shown in both.live.values():
            assert found.people[owners[shown.ref]].opted_out or not shown.opted_out  # the stricter consent wins

        # Two contacts that HubSpot keeps apart are two, whatever address a record of Salesforce had in between; unless
        # Salesforce merged or converted what each of them was found by, and so says that they are one human.
        told = [one for one in both.went.values() if one is not None and one.vendor == "salesforce"]
        if not told:
            apart = [owners[one] for one in both.contacts()]
            assert len(set(apart)) == len(apart)

        # Who has had one address all along is one person, in both; and the score goes to every record.
        by_address: dict[str, list[RecordRef]] = defaultdict(list)
        for one, shown in both.live.items():
            if (address := canonical(shown.email)) is not None:
                by_address[address].append(one)
        for address, holders in by_address.items():
            ever = [one for one, addresses in both.bore.items() if address in addresses]
            if all(both.bore[one] == {address} and one in both.live for one in ever):
                assert len({owners[one] for one in holders}) == 1, address
        with self.store.reading() as tx:
            written = {
                row.ref: person
                for vendor in ("hubspot", "salesforce")
                for person, rows in leads.refs_of(tx, set(owners.values()), vendor).items()
                for row in rows
            }
        assert written == owners


def test_over_both_crms_one_person_is_one_and_two_stay_two(fresh: Fresh) -> None:
    machine = type("Humans", (Humans,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(machine, settings=settings(max_examples=80, stateful_step_count=14))


def story(fresh: Fresh, *rounds: Mapping[RecordRef, str | None]) -> dict[RecordRef, int]:
    """What each round leaves in the two CRMs, pulled after it; who is who in the end."""
    both, store = Both(), fresh()
    for told in rounds:
        for one, email in told.items():
            both.put(one, email)
        both.poll(store, random.Random(1))
    found = known(store).person_of
    return {one: found[one.key] for one in both.live}


ADA, BOB = "ada@acme.example", "bob@acme.example"


def test_a_lead_that_gets_the_address_of_another_contact_makes_no_one_of_two_contacts(fresh: Fresh) -> None:
    """HubSpot keeps the two apart: neither sees what the other has, and the lead goes with the address it shows."""
    who = story(fresh, {contact(1): ADA, contact(2): BOB, ref(3): ADA}, {ref(3): BOB})
    assert who[contact(1)] != who[contact(2)]
    assert who[ref(3)] == who[contact(2)]


def test_two_leads_that_get_one_address_on_one_page_make_no_one_of_two_contacts(fresh: Fresh) -> None:
    first = {contact(1): ADA, contact(2): BOB, ref(3): ADA, ref(4): BOB}
    who = story(fresh, first, {ref(3): "eve@acme.example", ref(4): "eve@acme.example"})
    assert who[contact(1)] != who[contact(2)]
    assert who[ref(3)] == who[ref(4)]


def test_a_contact_that_gets_the_address_of_a_lead_joins_it(fresh: Fresh) -> None:
    who = story(fresh, {contact(1): ADA, ref(2): BOB}, {contact(1): BOB})
    assert who[contact(1)] == who[ref(2)]


def test_what_was_told_of_a_record_goes_over_with_it_and_what_was_told_of_an_address_stays(fresh: Fresh) -> None:
    both, store = Both(), fresh()
    for one, email in ((contact(1), ADA), (contact(2), BOB), (ref(3), ADA)):
        both.put(one, email)
    both.poll(store, random.Random(1))
    subjects = {"of the contact": contact(1).key, "of the address": email_key(ADA), "of the lead": ref(3).key}
    with store.writing() as tx:
        activities.add_activities(
            tx, [Activity(key, ActivityKind.FORM_SUBMITTED, NOW, "test", name) for name, key in subjects.items()], NOW
        )
    both.put(ref(3), BOB)
    both.poll(store, random.Random(1))
    person_of = known(store).person_of
    ada, bob = person_of[contact(1).key], person_of[contact(2).key]
    with store.reading() as tx:
        rows = tx.execute(select(tables.activities.c.source_id, tables.activities.c.person_id)).all()
        changed = activities.noted_changes(tx, [ada, bob])
    assert dict(rows) == {"of the contact": ada, "of the address": ada, "of the lead": bob}
    assert changed.keys() == {ada, bob}  # what is packed of either is out of date
    assert changed[ada] > 1


def test_whoever_a_record_of_somebody_who_left_goes_over_to_is_not_mailed_either(fresh: Fresh) -> None:
    both, store = Both(), fresh()
    for one, email in ((contact(1), ADA), (contact(2), BOB), (ref(3), ADA)):
        both.put(one, email)
    both.poll(store, random.Random(1))
    with store.writing() as tx:
        suppressions.suppress(tx, store.vault, [(ADA, SuppressionReason.COMPLAINED, "test", NOW)], NOW)
    both.put(ref(3), BOB)
    both.poll(store, random.Random(1))
    person = known(store).person_of[ref(3).key]
    assert person == known(store).person_of[contact(2).key]
    with store.reading() as tx:
        assert suppressions.suppressed(tx, store.vault, [person]) == {person: SuppressionReason.COMPLAINED}
