"""People, their keys and their records."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from leadbridge.store import Store, leads, outbox
from leadbridge.types import email_key
from tests.helpers.store_people import NOW, lead, people, person, ref

EARLIER, LATER = NOW - timedelta(days=1), NOW + timedelta(days=1)


def test_a_key_leads_to_its_person_and_an_unknown_one_nowhere(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
        found = leads.people_by_key(tx, ["hubspot:contact:1", email_key("ada@acme.example"), "hubspot:contact:2"])
        assert found == {"hubspot:contact:1": ada, email_key("ada@acme.example"): ada}
        assert leads.people_by_key(tx, []) == {}


def test_a_key_given_to_somebody_else_is_theirs(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        leads.link_keys(tx, {"email:shared@acme.example": ada})
        leads.link_keys(tx, {"email:shared@acme.example": bob})
        assert leads.people_by_key(tx, ["email:shared@acme.example"]) == {"email:shared@acme.example": bob}


def test_of_several_workers_that_meet_a_stranger_at_once_one_makes_the_person(store: Store) -> None:
    barrier = threading.Barrier(4)

    def meet(_: int) -> int:
        barrier.wait()
        with store.writing() as tx:
            key = email_key("ada@acme.example")
            if not (known := leads.people_by_key(tx, [key])):
                known = dict.fromkeys([key], leads.new_people(tx, 1, NOW)[0])
                leads.link_keys(tx, known)
            return known[key]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(meet, range(4)))) == 1


def test_new_people_are_as_many_as_asked_for_and_none_twice(store: Store) -> None:
    with store.writing() as tx:
        ids = leads.new_people(tx, 3, NOW) + leads.new_people(tx, 0, NOW) + leads.new_people(tx, 2, NOW)
        assert len(set(ids)) == 5
        assert leads.all_person_ids(tx, 0, 10) == sorted(ids)


def test_everybody_is_in_exactly_one_partition(store: Store) -> None:
    with store.writing() as tx:
        ids = people(tx, 7)
        after, seen = 0, []
        while part := leads.all_person_ids(tx, after, 3):
            seen += part
            after = part[-1]
        assert seen == sorted(ids)


def test_an_address_leads_to_its_person_by_key_or_by_the_person_itself(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
        (bob,) = people(tx, 1)
        leads.save_people(tx, [leads.PersonRow(bob, "Bob@ACME.example", {})], NOW)
        assert leads.person_by_email(tx, "ada@acme.example") == ada
        assert leads.person_by_email(tx, "bob@acme.example") == bob
        assert leads.person_by_email(tx, "eve@acme.example") is None


@pytest.mark.parametrize(("at", "kept"), [(EARLIER, "first"), (NOW, "second"), (LATER, "second")])
def test_an_older_version_of_a_record_never_overwrites_a_newer_one(store: Store, at: datetime, kept: str) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        assert leads.save_records(tx, [(ada, lead("1", job="first"))], NOW) == {ada}
        touched = leads.save_records(tx, [(ada, replace(lead("1", job="second"), modified_at=at))], NOW)
        assert touched == ({ada} if kept == "second" else set())
        (record,) = leads.records_of(tx, [ada])[ada]
        assert record.attributes == {"job": kept}


def since(tx: Connection, person_id: int) -> datetime:
    """Since when the person's record shows what it does."""
    (record,) = leads.records_of(tx, [person_id])[person_id]
    return record.values_at or record.modified_at


def test_a_version_that_only_we_made_leaves_the_instant_of_its_values(store: Store) -> None:
    odd: dict[str, Any] = {"job": "Head\0", "ratio": 0.1, "born": date(1990, 1, 2), "big": 2**70, "none": None}
    first = replace(lead("1", "ada\0@acme.example", **odd), written={"score": "7"})
    echo = replace(first, modified_at=LATER, written={"score": "8"}, counters={"opens": "3"})
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        leads.save_records(tx, [(ada, first)], NOW)
        for hours in range(3):
            leads.save_records(tx, [(ada, replace(echo, modified_at=LATER + timedelta(hours=hours)))], NOW)
            assert since(tx, ada) == NOW
        staged = replace(echo, attributes=odd | {"lifecycle_stage": "mql"}, modified_at=LATER + timedelta(hours=3))
        leads.save_records(tx, [(ada, staged)], NOW)
        assert since(tx, ada) == NOW  # the stage is ours to write
        (record,) = leads.records_of(tx, [ada])[ada]
        assert (record.modified_at, record.attributes["lifecycle_stage"]) == (staged.modified_at, "mql")
        wider = replace(staged, attributes={**staged.attributes, "industry": "Steel"})
        leads.save_records(tx, [(ada, wider)], NOW)
        assert since(tx, ada) == NOW  # the same version, of which the configuration asks for more
        leads.save_records(tx, [(ada, replace(first, attributes={"job": "old"}, modified_at=EARLIER))], NOW)
        assert since(tx, ada) == NOW  # an older version says nothing


@pytest.mark.parametrize(
    "edit",
    [{"attributes": {"job": "Head"}}, {"attributes": {}}, {"email": "ada@new.example"}, {"email": None},
     {"opted_out": True}],
    ids=["attribute", "attribute emptied", "address", "address emptied", "opt-out"],
)  # fmt: skip
def test_an_edit_moves_the_instant_of_its_values(store: Store, edit: dict[str, Any]) -> None:
    first = lead("1", "ada@acme.example", job="Engineer")
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        leads.save_records(tx, [(ada, first)], NOW)
        leads.save_records(tx, [(ada, replace(first, modified_at=NOW + timedelta(hours=1)))], NOW)
        leads.save_records(tx, [(ada, replace(first, modified_at=LATER, **edit))], NOW)
        assert since(tx, ada) == LATER
        echo = replace(first, modified_at=LATER + timedelta(hours=1), **edit)
        leads.save_records(tx, [(ada, echo)], NOW)
        assert since(tx, ada) == LATER


def test_of_one_record_twice_in_a_page_the_newest_counts(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        page = [(ada, lead("1", job="new", at=LATER)), (ada, lead("1", job="old"))]
        assert leads.save_records(tx, page, NOW) == {ada}
        assert leads.records_of(tx, [ada])[ada][0].attributes == {"job": "new"}


def test_a_record_comes_back_whole(store: Store) -> None:
    kept = replace(
        lead("1", "Ada@acme.example", opted_out=True, employees=50), created_at=EARLIER, written={"score": "7"}
    )
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        leads.save_records(tx, [(ada, kept)], NOW)
        assert leads.records_of(tx, [ada])[ada] == [
            leads.StoredRecord(ref("1"), ada, "Ada@acme.example", {"employees": 50}, True, NOW, EARLIER, {"score": "7"})
        ]


def test_a_record_that_is_gone_no_longer_counts_and_nothing_waits_for_it(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
        outbox.want(tx, [outbox.Wanted(ref("1"), ada, {"score": "5"}, 1)], NOW)
        assert leads.retire_records(tx, [ref("1"), ref("77")], NOW) == {ada}
        assert leads.retire_records(tx, [ref("1")], NOW) == set()
        assert leads.records_of(tx, [ada]) == {}
        assert leads.refs_of(tx, [ada], "hubspot") == {}
        (gone,) = leads.records_of(tx, [ada], gone=True)[ada]
        assert gone.gone_at == NOW
        assert outbox.pending_writes(tx, "hubspot") == 0


def test_a_lagging_search_does_not_bring_a_gone_record_back_but_reading_it_does(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
        leads.retire_records(tx, [ref("1")], NOW)
        assert leads.save_records(tx, [(ada, lead("1"))], NOW) == set()
        assert leads.records_of(tx, [ada]) == {}
        assert leads.save_records(tx, [(ada, lead("1"))], NOW, read_now=True) == {ada}
        leads.retire_records(tx, [ref("1")], NOW)
        assert leads.save_records(tx, [(ada, lead("1", at=LATER))], NOW) == {ada}
        assert leads.records_of(tx, [ada])[ada][0].gone_at is None


def test_only_the_records_at_the_vendor_asked_for_are_answered(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example")
        leads.save_records(tx, [(ada, replace(lead("9"), ref=ref("9", "salesforce")))], NOW)
        assert [record.ref for record in leads.refs_of(tx, [ada], "salesforce")[ada]] == [ref("9", "salesforce")]
        assert [record.ref.vendor for record in leads.records_of(tx, [ada])[ada]] == ["hubspot", "salesforce"]


def test_saving_people_answers_with_those_who_really_changed(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = people(tx, 2)
        rows = [leads.PersonRow(ada, "ada@acme.example", {"a": 1, "b": None}), leads.PersonRow(bob, None, {})]
        assert leads.save_people(tx, rows, NOW) == {ada, bob}
        assert leads.save_people(tx, rows, LATER) == set()
        same = replace(rows[0], attributes={"b": None, "a": 1})
        assert leads.save_people(tx, [same], LATER) == set()
        for changed in (
            replace(same, attributes={"a": 2}),
            replace(same, email="ada@new.example"),
            replace(same, opted_out=True),
            replace(same, lifecycle_stage="customer"),
            replace(same, created_at=EARLIER),
        ):
            assert leads.save_people(tx, [changed], LATER) == {ada}
            assert leads.save_people(tx, [changed, rows[1]], LATER) == set()
        assert leads.people(tx, [ada, bob])[ada].changed_at == LATER
        assert leads.people(tx, [bob])[bob].changed_at == NOW


def test_a_person_comes_back_whole_and_a_missing_one_not_at_all(store: Store) -> None:
    with store.writing() as tx:
        (ada,) = people(tx, 1)
        row = leads.PersonRow(ada, "ada@acme.example", {"a": 1}, True, "customer", EARLIER)
        assert leads.save_people(tx, [row, leads.PersonRow(ada + 99, None, {})], NOW) == {ada}
        assert leads.people(tx, [ada, ada + 99]) == {ada: replace(row, changed_at=NOW, valid_from=NOW)}


def test_whoever_opted_out_stays_so_when_the_record_is_gone(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", "ada@acme.example", opted_out=True)
        leads.save_records(tx, [(ada, lead("2", "ada@acme.example"))], NOW)
        leads.retire_records(tx, [ref("1")], NOW)
        leads.save_people(tx, [leads.PersonRow(ada, "ada@acme.example", {}, opted_out=False)], NOW)
        assert leads.people(tx, [ada])[ada].opted_out


def test_every_address_ever_known_is_answered(store: Store) -> None:
    with store.writing() as tx:
        ada, bob = person(tx, "1", "ada@acme.example"), person(tx, "2", "bob@acme.example")
        leads.link_keys(tx, {email_key("ada@old.example"): ada})
        assert leads.addresses_of(tx, [ada]) == {"ada@acme.example", "ada@old.example"}
        assert leads.addresses_of(tx, [ada, bob]) == {"ada@acme.example", "ada@old.example", "bob@acme.example"}
