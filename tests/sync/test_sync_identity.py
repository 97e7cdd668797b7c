"""Records to people: nobody lost, nobody doubled, nobody freed, in whatever order the news comes (G11, G20)."""

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connectors.base import Reading
from leadbridge.store import Store, activities, leads, suppressions, tables
from leadbridge.types import Activity, ActivityKind, Lead, RecordRef, SuppressionReason, email_key
from sync import identity
from tests.helpers.databases import Fresh

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def ref(number: int) -> RecordRef:
    return RecordRef("hubspot", "contact", str(number))


@dataclass
class Account:
    """A CRM account as its people leave it: every version of every record, oldest first."""

    at: int = 0
    live: dict[int, Lead] = field(default_factory=dict)
    seen: list[Lead] = field(default_factory=list)  # every version there ever was
    dead: dict[int, int | None] = field(default_factory=dict)  # deleted, or merged into
    last: dict[int, Lead] = field(default_factory=dict)

    def _put(self, number: int, **changes: object) -> None:
        self.at += 1
        lead = replace(self.live[number], modified_at=NOW + timedelta(minutes=self.at), **changes)  # type: ignore[arg-type]
        self.live[number] = lead
        self.seen.append(lead)

    def create(self, email: str | None, *, opted_out: bool) -> None:
        number = 1 + len(self.live) + len(self.dead)
        self.live[number] = Lead(ref(number), email, {}, NOW, opted_out=opted_out)
        self._put(number, attributes={"made": number})

    def rename(self, number: int, email: str) -> None:
        self._put(number, email=email)

    def leave(self, number: int) -> None:
        self._put(number, opted_out=True)

    def delete(self, number: int) -> None:
        self.last[number] = self.live.pop(number)
        self.dead[number] = None

    def restore(self, number: int) -> None:
        del self.dead[number]
        self.live[number] = self.last.pop(number)

    def merge(self, one: int, other: int) -> None:
        """As HubSpot does since 2025: a new record, both old ids live on as names of it."""
        first, second = self.live.pop(one), self.live.pop(other)
        number = 3 + len(self.live) + len(self.dead)
        self.dead |= {one: number, other: number}
        names = tuple(dict.fromkeys((first.ref, second.ref, *first.aliases, *second.aliases)))
        self.live[number] = replace(
            first, ref=ref(number), aliases=names, opted_out=first.opted_out or second.opted_out
        )
        self._put(number)

    def addresses(self) -> set[str]:
        return {lead.email for lead in self.seen if lead.email}


@st.composite
def histories(draw: st.DrawFn, *, reuse: bool) -> Account:
    """A random life of an account. `reuse`: addresses of deleted and renamed contacts are given to others."""
    account = Account()
    for step in range(draw(st.integers(2, 12))):
        held = {lead.email for lead in account.live.values()}
        free = sorted(account.addresses() - held) if reuse else []
        email = draw(st.sampled_from([*free, f"Lead{step}@acme.example"]))
        what = draw(st.sampled_from(["create", "create", "rename", "leave", "delete", "restore", "merge"]))
        numbers = sorted(account.live)
        if what == "create" or not numbers:
            account.create(draw(st.sampled_from([email, email, None])), opted_out=draw(st.booleans()))
        elif what == "rename":
            account.rename(draw(st.sampled_from(numbers)), email)
        elif what == "leave":
            account.leave(draw(st.sampled_from(numbers)))
        elif what == "delete":
            account.delete(draw(st.sampled_from(numbers)))
        elif what == "restore":
            again = sorted(n for n in account.last if account.last[n].email not in held)
            if again:
                account.restore(draw(st.sampled_from(again)))
        elif len(numbers) > 1:
            one, other = draw(st.permutations(numbers))[:2]
            account.merge(one, other)
    return account


def deliver(store: Store, account: Account, chosen: random.Random) -> None:
    """Every version, shuffled and some of them twice, in pages; then what the CRM says when it is asked at the end."""
    news = account.seen + chosen.sample(account.seen, len(account.seen) // 2)
    chosen.shuffle(news)
    gone = [number for number in account.dead if chosen.random() < 0.5]
    while news:
        page = [news.pop() for _ in range(min(len(news), chosen.randint(1, 4)))]
        with store.writing() as tx:
            doubtful = identity.former_holders(tx, page)
            identity.take_in(tx, answer(account, doubtful), NOW)
            identity.absorb(tx, page, NOW)
            if gone and chosen.random() < 0.3:
                identity.take_in(tx, answer(account, [ref(gone.pop())]), NOW)
    with store.writing() as tx:
        asked = [ref(number) for number in (*account.dead, *account.live)]
        identity.take_in(tx, answer(account, asked), NOW)


def answer(account: Account, asked: list[RecordRef]) -> Reading:
    """What the CRM says now of these ids."""
    found, gone, moved = {}, [], {}
    for one in asked:
        number = int(one.record_id)
        target: int | None = number
        while target is not None and target in account.dead:
            target = account.dead[target]
        if target is None or target not in account.live:
            gone.append(one)
            continue
        found[target] = account.live[target]
        if target != number:
            moved[one] = ref(target)
    return Reading(list(found.values()), gone, moved)


@dataclass(frozen=True)
class Known:
    """What the store made of it."""

    person_of: dict[str, int]
    records: dict[int, list[leads.StoredRecord]]
    people: dict[int, leads.PersonRow]

    def comparable(self) -> list[object]:
        """Who is who, and what is known of each, without our own numbers."""
        groups: dict[int, set[str]] = defaultdict(set)
        for key, person in self.person_of.items():
            if not key.startswith("email:"):
                groups[person].add(key)
        rows: list[object] = []
        for keys, person in sorted((sorted(keys), person) for person, keys in groups.items()):
            row = self.people[person]
            rows.append((keys, row.email, sorted(row.attributes.items()), row.opted_out))
        return rows


def known(store: Store) -> Known:
    with store.reading() as tx:
        ids = leads.all_person_ids(tx, 0, 10_000)
        keys = {row.key: row.person_id for row in tx.execute(select(tables.person_keys))}
        return Known(keys, leads.records_of(tx, ids), leads.people(tx, ids))


SLOWLY = settings(max_examples=20)


@SLOWLY
@given(account=histories(reuse=True), seed=st.integers(0, 2**32))
def test_in_any_order_everybody_is_somebody_once_and_nobody_is_freed(fresh: Fresh, account: Account, seed: int) -> None:
    store = fresh()
    clicks = [
        Activity(email_key(address.lower()), ActivityKind.EMAIL_CLICKED, NOW, "test", address)
        for address in sorted(account.addresses())
    ]
    with store.writing() as tx:
        activities.add_activities(tx, clicks, NOW)
        suppressions.suppress(
            tx, store.vault, [(a.lower(), SuppressionReason.UNSUBSCRIBED, "test", NOW)
                              for a in sorted(account.addresses())[:1]], NOW,
        )  # fmt: skip
    deliver(store, account, random.Random(seed))
    found = known(store)
    live = {record.ref: person for person, kept in found.records.items() for record in kept}
    assert set(live) == {lead.ref for lead in account.live.values()}
    assert len(set(live.values())) == len(live), "two live contacts share a person"
    for lead in account.seen:
        assert lead.ref.key in found.person_of, "a record without a person"
        assert all(found.person_of[a.key] == found.person_of[lead.ref.key] for a in lead.aliases)
    for lead in account.live.values():
        united = found.people[live[lead.ref]]
        assert united.email == lead.email
        assert united.opted_out or not lead.opted_out
    for number, last in account.last.items():
        if last.opted_out:
            assert found.people[found.person_of[ref(number).key]].opted_out, "a deletion freed somebody"
    with store.reading() as tx:
        suppressed = suppressions.suppressed(tx, store.vault, list(found.people))
        rows = activities.activities_of(tx, list(found.people))
    assert sum(1 for a in account.addresses() if email_key(a.lower()) in found.person_of) == len(rows)
    if account.addresses():
        chosen = sorted(account.addresses())[0]
        for person, row in found.people.items():
            if row.email == chosen:
                assert person in suppressed, "whoever has the address of somebody who left has left"
    store.close()


@SLOWLY
@given(account=histories(reuse=False), seeds=st.lists(st.integers(0, 2**32), min_size=2, max_size=3, unique=True))
def test_the_end_does_not_depend_on_the_order(fresh: Fresh, account: Account, seeds: list[int]) -> None:
    ends = []
    for seed in seeds:
        store = fresh()
        deliver(store, account, random.Random(seed))
        ends.append(known(store).comparable())
        store.close()
    for one, other in pairwise(ends):
        assert one == other


def lead(number: int, email: str | None = None, at: int = 0, **more: object) -> Lead:
    found = Lead(ref(number), email, {}, NOW + timedelta(minutes=at))
    return replace(found, **more)  # type: ignore[arg-type]


def take(store: Store, *found: Lead, gone: tuple[int, ...] = ()) -> set[int]:
    with store.writing() as tx:
        return identity.take_in(tx, Reading(found, [ref(one) for one in gone]), NOW)


def person_of(store: Store, number: int) -> int:
    return known(store).person_of[ref(number).key]


def test_a_repeat_and_an_older_version_change_nothing(store: Store) -> None:
    newest = lead(1, "ada@acme.example", 5, attributes={"job_title": "CTO"})
    assert take(store, newest)
    assert take(store, newest) == set()
    with store.writing() as tx:
        assert identity.absorb(tx, [lead(1, "old@acme.example", 2, attributes={"job_title": "Intern"})], NOW) == set()
    (person,) = known(store).people.values()
    assert (person.email, person.attributes["job_title"]) == ("ada@acme.example", "CTO")


def test_two_new_records_of_one_address_on_one_page_are_two_people(store: Store) -> None:
    take(store, lead(1, "ada@acme.example"))
    take(store, gone=(1,))
    take(store, lead(2, "ada@acme.example"), lead(3, "Ada@acme.example"))
    assert len({person_of(store, 2), person_of(store, 3)}) == 2
    assert person_of(store, 1) in (person_of(store, 2), person_of(store, 3))


def test_a_record_restored_without_a_change_is_back(store: Store) -> None:
    one = lead(1, "ada@acme.example", 5)
    take(store, one)
    take(store, gone=(1,))
    assert known(store).people[person_of(store, 1)].email is None
    take(store, one)
    assert known(store).people[person_of(store, 1)].email == "ada@acme.example"


def test_a_page_that_lags_brings_no_deleted_record_back(store: Store) -> None:
    take(store, lead(1, "ada@acme.example", 5))
    take(store, gone=(1,))
    with store.writing() as tx:
        identity.absorb(tx, [lead(1, "ada@acme.example", 5)], NOW)
    assert known(store).people[person_of(store, 1)].email is None


def test_a_record_merged_away_never_comes_back(store: Store) -> None:
    take(store, lead(1, "ada@acme.example", 1), lead(2, "eda@acme.example", 2))
    take(store, lead(3, "ada@acme.example", 9, aliases=(ref(1), ref(2), ref(4))))
    with store.writing() as tx:  # read before the merge, stored after it
        identity.absorb(tx, [lead(1, "ada@acme.example", 7), lead(4, "ida@acme.example", 8)], NOW)
    (kept,) = known(store).records.values()
    assert [record.ref for record in kept] == [ref(3)]


def test_records_on_one_page_with_the_one_they_were_merged_into_are_one_person(store: Store) -> None:
    take(store, lead(7, aliases=(ref(3), ref(4))), lead(1), lead(3, aliases=(ref(1), ref(2))), lead(5))
    assert len({person_of(store, number) for number in (1, 2, 3, 4, 7)}) == 1
    assert person_of(store, 5) != person_of(store, 7)


def test_records_merged_twice_over_belong_to_the_last(store: Store) -> None:
    take(store, lead(1, "ada@acme.example"), lead(2), lead(3), lead(5))
    with store.writing() as tx:
        reading = Reading([lead(5, "ada@acme.example", 9)], (), {ref(4): ref(5)})
        identity.take_in(tx, reading, NOW, {ref(4): [ref(1), ref(2)]})
    assert len({person_of(store, number) for number in (1, 2, 4, 5)}) == 1
    assert person_of(store, 3) != person_of(store, 5)


def test_an_edit_of_our_own_values_is_noticed_and_our_echo_is_not(store: Store) -> None:
    take(store, lead(1, "ada@acme.example", 1, written={"leadbridge_score": "40"}))
    echo = lead(1, "ada@acme.example", 2, written={"leadbridge_score": "40"})
    assert take(store, echo) == set()
    assert take(store, lead(1, "ada@acme.example", 3, written={"leadbridge_score": "99"})) == {person_of(store, 1)}
    assert take(store, lead(1, "ada@acme.example", 4)) == {person_of(store, 1)}  # cleared


@pytest.mark.parametrize("address", ["ada@acme.example", " Ada@ACME.example ", "ADA@acme.EXAMPLE"])
def test_a_suppression_survives_deletion_import_and_other_spellings(store: Store, address: str) -> None:
    take(store, lead(1, "ada@acme.example"))
    with store.writing() as tx:
        suppressions.suppress(tx, store.vault, [("ada@acme.example", SuppressionReason.UNSUBSCRIBED, "test", NOW)], NOW)
    take(store, gone=(1,))
    take(store, lead(2, address, 5))
    take(store, lead(2, "new@acme.example", 6))
    with store.reading() as tx:
        assert suppressions.suppressed(tx, store.vault, [person_of(store, 2)])
