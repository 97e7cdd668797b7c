"""The invented people in the Salesforce stand-in: everybody once, as an org would hold them, and readable."""

from datetime import UTC, datetime

import pytest

from leadbridge.sandbox.org import DEALS, load_org
from leadbridge.sandbox.people import Population, invent
from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.world import World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def crowd() -> Population:
    return invent(200, 7, NOW)


@pytest.fixture(scope="module")
def org(crowd: Population) -> Salesforce:
    org = Salesforce(World(NOW))
    load_org(crowd, org)
    return org


def test_everybody_is_a_lead_or_with_a_deal_a_contact_and_once(crowd: Population, org: Salesforce) -> None:
    records = org.dump()["records"]
    leads = {row["Email"] for row in records["Lead"].values()}
    contacts = {row["Email"] for row in records["Contact"].values()}
    bought = {
        person.email
        for person in crowd.contacts
        if person.properties.get("lifecyclestage") in DEALS and person.company is not None
    }
    assert contacts == bought
    assert leads == {person.email for person in crowd.contacts} - bought
    assert len(records["Lead"]) + len(records["Contact"]) == len(crowd.contacts)
    assert len(records["Opportunity"]) == len(records["OpportunityContactRole"]) == len(bought) > 0


def test_what_they_did_lies_where_salesforce_keeps_it_and_in_the_past(crowd: Population, org: Salesforce) -> None:
    records = org.dump()["records"]
    touches = [touch for person in crowd.contacts for touch in person.touches]
    logged = [touch.detail["object"] for touch in touches if touch.kind == "engagement"]
    assert len(records["Task"]) == logged.count("calls") > 0
    assert len(records["Event"]) == logged.count("meetings") > 0
    forms = {(person.email, touch.detail["form"]) for person in crowd.contacts for touch in person.touches
             if touch.kind == "form"}  # fmt: skip
    assert len(records["CampaignMember"]) == len(forms) > 0
    assert all(row["StartDateTime"] <= "2026-11-20T12" for row in records["Event"].values())


def test_the_opt_out_is_visible_and_nothing_is_in_the_journal(crowd: Population, org: Salesforce) -> None:
    people = [*org.dump()["records"]["Lead"].values(), *org.dump()["records"]["Contact"].values()]
    opted = {person.email for person in crowd.contacts if person.properties.get("hs_email_optout") == "true"}
    assert {row["Email"] for row in people if row["HasOptedOutOfEmail"]} == opted != set()
    granted = {row["Field"] for row in org.dump()["records"]["FieldPermissions"].values()}
    assert granted == {"Lead.HasOptedOutOfEmail", "Contact.HasOptedOutOfEmail"}
    assert not org.world.journal.since()
