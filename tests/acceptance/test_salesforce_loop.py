"""The main job with Salesforce as the CRM, from outside: commands on one side, the stand-ins' journal on the other."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from leadbridge.demo import Sandbox, calls_of, effects_of
from tests.helpers.loop import Loop, loop

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "salesforce-mailchimp.yaml"
PEOPLE = 30


def act(sandbox: Sandbox, what: str, **named: Any) -> Any:
    return sandbox.post(f"/salesforce/do/{what}", named)["result"]


def members(sandbox: Sandbox) -> list[str]:
    """Addresses of subscribed members, in a fixed order."""
    (audience,) = sandbox.get("/dump")["mailchimp"]["audiences"].values()
    return sorted(email for email, member in audience["members"].items() if member["status"] == "subscribed")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loop, dict[str, Any], list[dict[str, Any]]]]:
    """Twenty leads and ten contacts who are members too; everybody answered a campaign. Then one whole round."""
    folder = tmp_path_factory.mktemp("salesforce")
    with loop(folder, "--people", "100", "--seed", "11", base=EXAMPLE) as made:
        org = made.sandbox
        for kind in ("Lead", "Contact"):
            act(org, "grant_field", kind=kind, name="HasOptedOutOfEmail")
        org.post("/salesforce/settings", {"query_page": 2000})
        account = act(org, "add", kind="Account", values={"Name": "Acme", "NumberOfEmployees": 120})
        campaign = act(org, "add", kind="Campaign", values={"Name": "Webinar", "Type": "Webinar"})
        at = (datetime.now(UTC) - timedelta(days=2)).isoformat()
        for n, address in enumerate(members(org)[:PEOPLE]):
            kind = "Lead" if n < 20 else "Contact"
            values = {"LastName": f"P{n}", "Email": address, "Title": "Director"}
            more = {"Company": "Acme", "NumberOfEmployees": 120} if kind == "Lead" else {"AccountId": account}
            one = act(org, "add", kind=kind, values=values | more, modified_at=at)
            member = {"CampaignId": campaign, f"{kind}Id": one, "Status": "Responded"}
            act(org, "add", kind="CampaignMember", values=member, modified_at=at)
            if n == 0:  # somebody who gets as far as a stage, whatever chance made of the mails
                for name in ("Fair", "Survey"):
                    another = act(org, "add", kind="Campaign", values={"Name": name, "Type": "Other"})
                    values = member | {"CampaignId": another}
                    act(org, "add", kind="CampaignMember", values=values, modified_at=at)
        made.run("apply")
        before = len(org.journal())
        said = made.figures("sync")
        yield made, said, org.journal(before)


def test_every_person_is_read_scored_written_and_some_are_enrolled(first: Any) -> None:
    made, said, journal = first
    assert said["pulled"] == said["scored"] == said["written"] == PEOPLE
    assert said["write_refused"] == said["uncertain"] == 0
    records = made.sandbox.get("/dump")["salesforce"]["records"]
    people = [*records["Lead"].values(), *records["Contact"].values()]
    assert {person["Leadbridge_Score__c"] > 0 for person in people} == {True}
    assert {person["Leadbridge_Grade__c"] for person in people} <= {"A", "B", "C", "D"}
    entered = effects_of(journal, "journey_entered")
    assert len(entered) == said["enrolled"] > 0
    assert {entry["status"] for entry in entered} == {"subscribed"}
    assert set(Counter(entry["email_hash"] for entry in entered).values()) == {1}


def test_nobodys_owner_moved_and_nothing_but_our_fields_was_written(first: Any) -> None:
    _, _, journal = first
    assert effects_of(journal, "owner_assigned") == []
    written = {effect["field"] for effect in effects_of(journal, "field_changed")}
    assert written == {"Leadbridge_Score__c", "Leadbridge_Grade__c", "Leadbridge_Stage__c", "Leadbridge_Reasons__c"}


def test_calls_are_the_arithmetic_minimum(first: Any) -> None:
    _, _, journal = first
    salesforce = calls_of(journal)["salesforce"]
    assert salesforce["collections.update"] == math.ceil(PEOPLE / 200)
    assert "oauth.token" not in salesforce  # `apply` signed in, and its session is kept
    # One page each of leads, contacts and five sources of activity; one look at the deals of contacts.
    assert salesforce["query"] == 7
    assert salesforce["queryAll"] == 1


def test_a_second_round_writes_nothing_and_contacts_nobody(first: Any) -> None:
    made, _, _ = first
    before = len(made.sandbox.journal())
    said = made.figures("sync")
    assert said["written"] == said["enrolled"] == 0
    calls = calls_of(made.sandbox.journal(before))["salesforce"]
    assert not set(calls) & {"collections.update", "collections.create", "bulk.ingest.create"}


def test_a_lead_that_is_converted_lives_on_as_the_contact_and_is_mailed_once(first: Any) -> None:
    made, _, _ = first
    records = made.sandbox.get("/dump")["salesforce"]["records"]
    lead, values = next((one, row) for one, row in records["Lead"].items() if row.get("Leadbridge_Score__c"))
    contact = act(made.sandbox, "convert", lead_id=lead)["ConvertedContactId"]
    before = len(made.sandbox.journal())
    made.figures("sync")
    journal = made.sandbox.journal(before)
    changed = {effect["id"] for effect in effects_of(journal, "field_changed")}
    assert contact in changed  # shows the score now
    assert lead not in changed  # refuses writes for good
    assert effects_of(journal, "journey_entered") == []
    explained = made.figures("explain", values["Email"])
    assert explained["scores"][0]["value"] > 0


def test_plan_has_nothing_left_to_do(first: Any) -> None:
    made, _, _ = first
    assert made.figures("plan")["missing"] == []


def test_the_accounts_agree_with_the_file_until_a_field_goes(first: Any) -> None:
    made, _, _ = first
    assert made.figures("check", "--live")["faults"] == []
    text = made.config.read_text(encoding="utf-8")
    made.config.write_text(text.replace("salesforce: Title", "salesforce: Titel"), encoding="utf-8")
    try:
        assert "fields.job_title.salesforce: Titel" in made.run("check", "--live", code=2)
    finally:
        made.config.write_text(text, encoding="utf-8")
