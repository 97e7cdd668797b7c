"""A person account: an account and a contact that are one person (vendor page, sections 2.1 and 2.3)."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Change, Outcome
from connectors.salesforce.connector import Salesforce
from leadbridge.clock import now
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.types import Lead, RecordRef
from tests.connectors.salesforce.conftest import Rooms

ANN = {"FirstName": "Ann", "LastName": "Lee", "PersonEmail": "ann@home.example", "PersonTitle": "Nurse"}


@pytest.fixture(autouse=True)
def _of_this_kind(org: stand_in.Salesforce) -> None:
    org.enable_person_accounts()


def contact_of(org: stand_in.Salesforce, account: str) -> RecordRef:
    return RecordRef("salesforce", "Contact", org.row(account)["PersonContactId"])


def pulled(room: Salesforce) -> dict[RecordRef, Lead]:
    return {lead.ref: lead for page in room.pull_leads(None) for lead in page.rows}


@pytest.mark.parametrize("bulk_from", [0, 10_000], ids=["in bulk", "by pages"])
def test_it_comes_once_as_the_contact_it_has(a_room: Rooms, org: stand_in.Salesforce, bulk_from: int) -> None:
    room = a_room(bulk_read_above=bulk_from)
    ann = contact_of(org, org.add("Account", ANN))
    company = org.add("Account", {"Name": "Acme"})
    bob = RecordRef("salesforce", "Contact", org.add("Contact", {"LastName": "Bob", "AccountId": company}))
    found = pulled(room)
    assert set(found) == {ann, bob}
    assert (found[ann].email, found[ann].attributes["job_title"]) == ("ann@home.example", "Nurse")


def test_an_edit_of_the_account_is_an_edit_of_the_person(room: Salesforce, org: stand_in.Salesforce) -> None:
    account = org.add("Account", ANN, now() - timedelta(days=2))
    progress = list(room.pull_leads(None))[-1].progress
    org.edit(account, {"PersonTitle": "Head of Care", "PersonHasOptedOutOfEmail": True})
    leads = [lead for page in room.pull_leads(progress) for lead in page.rows]
    assert {(lead.ref, lead.attributes["job_title"], lead.opted_out) for lead in leads} == {
        (contact_of(org, account), "Head of Care", True)
    }


def test_a_score_written_to_the_contact_shows_at_the_account(room: Salesforce, org: stand_in.Salesforce) -> None:
    account = org.add("Account", ANN)
    ann = contact_of(org, account)
    settled = room.write([Change(ann, {"Leadbridge_Score__c": "72"})])
    assert settled[ann].outcome is Outcome.WRITTEN
    assert org.row(account)["Leadbridge_Score__pc"] == 72
    assert room.read_leads([ann]).found[0].written == {"Leadbridge_Score__c": "72"}


@pytest.mark.parametrize("told", [True, False], ids=["the contact names the winner", "only the account does"])
def test_a_merge_of_two_is_followed(room: Salesforce, org: stand_in.Salesforce, told: bool) -> None:
    """Both outcomes: what the contact of a merged person account says of its winner is not documented."""
    org.settings.person_merge_names_contact = told
    winner, loser = org.add("Account", ANN), org.add("Account", ANN | {"PersonEmail": "ann@work.example"})
    kept, gone = contact_of(org, winner), contact_of(org, loser)
    task = org.add("Task", {"WhoId": gone.record_id, "Subject": "Call"})
    org.merge(winner, [loser])
    reading = room.read_leads([kept, gone])
    assert reading.moved == {gone: kept}
    assert [(lead.ref, lead.aliases) for lead in reading.found] == [(kept, (gone,))]
    assert org.row(task)["WhoId"] == kept.record_id


def test_a_lead_without_a_company_becomes_one_and_is_followed(room: Salesforce, org: stand_in.Salesforce) -> None:
    lead = RecordRef("salesforce", "Lead", org.add("Lead", {"LastName": "Lee", "Email": "ann@home.example"}))
    made = org.convert(lead.record_id)
    account = str(made["ConvertedAccountId"])
    assert org.row(account)["IsPersonAccount"] is True
    reading = room.read_leads([lead])
    assert reading.moved == {lead: contact_of(org, account)}
    assert reading.found[0].email == "ann@home.example"


def test_its_deals_need_no_role(room: Salesforce, org: stand_in.Salesforce) -> None:
    account, company = org.add("Account", ANN), org.add("Account", {"Name": "Acme"})
    ann = contact_of(org, account)
    org.add("Contact", {"LastName": "Bob", "AccountId": company})

    def sell(to: str, stage: str, **more: Any) -> str:
        deal = {"Name": "Deal", "StageName": stage, "CloseDate": "2026-12-01", "AccountId": to, **more}
        return org.add("Opportunity", deal)

    sell(company, "Closed Won")
    deal = sell(account, "Prospecting", Amount=300)
    found = pulled(room)
    assert (found[ann].attributes["lifecycle_stage"], found[ann].attributes["budget"]) == ("opportunity", 300.0)
    assert [lead.attributes["lifecycle_stage"] for ref, lead in found.items() if ref != ann] == [None]
    progress = list(room.pull_leads(None))[-1].progress
    org.edit(deal, {"StageName": "Closed Won"})
    again = {lead.ref: lead for page in room.pull_leads(progress) for lead in page.rows}
    assert again[ann].attributes["lifecycle_stage"] == "customer"
    told = [one for page in room.pull_activities("opportunities", None) for one in page.rows]
    assert {one.subject for one in told} == {ann.key}


def test_it_goes_with_its_account(room: Salesforce, org: stand_in.Salesforce) -> None:
    account = org.add("Account", ANN)
    ann = contact_of(org, account)
    org.delete(account)
    assert room.read_leads([ann]).gone == [ann]
