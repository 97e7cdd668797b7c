"""What people do: converting, merging, editing; snapshots and the control interface."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
LEAD = {"LastName": "Lee", "FirstName": "Ann", "Company": "Acme", "Email": "ann@acme.example", "City": "Bern"}
SCORE = {"label": "Score", "type": "Number", "precision": 5, "scale": 2}


def test_a_conversion_makes_contact_account_and_deal(sf: Salesforce, api: Api) -> None:
    sf.add_field("Lead", "Score__c", SCORE)
    sf.add_field("Contact", "Score__c", SCORE)
    lead = sf.add("Lead", {**LEAD, "Score__c": 50})
    task = sf.add("Task", {"WhoId": lead, "Subject": "Call"})
    campaign = sf.add("Campaign", {"Name": "Fair"})
    member = sf.add("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "Status": "Responded"})
    made = sf.convert(lead, opportunity="Acme deal", field_map={"Score__c": "Score__c"})
    contact, account = str(made["ConvertedContactId"]), str(made["ConvertedAccountId"])
    row = sf.row(lead)
    assert (row["IsConverted"], row["ConvertedContactId"], row["Status"]) == (True, contact, "Closed - Converted")
    assert (sf.row(contact)["MailingCity"], sf.row(contact)["AccountId"], sf.row(contact)["Score__c"]) == (
        "Bern", account, 50,
    )  # fmt: skip
    assert sf.row(account)["Name"] == "Acme"
    assert sf.row(task)["WhoId"] == contact
    assert sf.row(member)["ContactId"] == contact
    assert (sf.row(member)["HasResponded"], sf.row(member)["LeadId"]) == (True, lead)
    answer = api("PATCH", f"/sobjects/Lead/{lead}", json={"Title": "CTO"})
    assert answer.json() == [
        {"message": "cannot reference converted lead", "errorCode": "CANNOT_UPDATE_CONVERTED_LEAD"}
    ]
    assert api("PATCH", f"/sobjects/Contact/{contact}", json={"Score__c": 51}).status_code == 204


def test_an_unmapped_field_stays_behind_and_an_existing_contact_keeps_its_own(sf: Salesforce) -> None:
    sf.add_field("Lead", "Score__c", SCORE)
    sf.add_field("Contact", "Score__c", SCORE)
    contact = sf.add("Contact", {"LastName": "Lee", "Email": "old@acme.example"})
    lead = sf.add("Lead", {**LEAD, "Score__c": 50})
    assert sf.convert(lead, contact_id=contact)["ConvertedContactId"] == contact
    row = sf.row(contact)
    assert (row["Email"], row["FirstName"], row.get("Score__c")) == ("old@acme.example", "Ann", None)


def test_a_failed_conversion_leaves_nothing_behind(sf: Salesforce) -> None:
    lead = sf.add("Lead", LEAD)
    before = sf.dump()
    with pytest.raises(ValueError, match="INVALID_FIELD"):
        sf.convert(lead, field_map={"City": "Nothing__c"})
    assert sf.dump() == before


def test_a_merge_sends_losers_to_the_bin_with_their_master(sf: Salesforce, api: Api) -> None:
    winner, loser = sf.add("Contact", {"LastName": "Lee"}), sf.add("Contact", {"LastName": "Li"})
    task = sf.add("Task", {"WhoId": loser, "Subject": "Call"})
    sf.merge(winner, [loser])
    query = {"q": "SELECT Id, MasterRecordId FROM Contact WHERE IsDeleted = true"}
    assert api("GET", "/query", params=query).json()["totalSize"] == 0
    [row] = api("GET", "/queryAll", params=query).json()["records"]
    assert (row["Id"], row["MasterRecordId"]) == (loser, winner)
    assert sf.row(task)["WhoId"] == winner
    with pytest.raises(ValueError, match="ENTITY_IS_DELETED"):
        sf.merge(winner, [loser])


def test_a_deal_follows_its_stage(sf: Salesforce) -> None:
    deal = sf.add("Opportunity", {"Name": "D", "StageName": "Qualification", "CloseDate": "2026-12-31", "Amount": 200})
    assert (sf.row(deal)["Probability"], sf.row(deal)["ExpectedRevenue"]) == (10.0, 20.0)
    sf.edit(deal, {"StageName": "Closed Won"})
    row = sf.row(deal)
    assert (row["IsWon"], row["IsClosed"], row["Probability"]) == (True, True, 100.0)


def test_a_snapshot_brings_everything_back(sf: Salesforce, api: Api) -> None:
    lead = sf.add("Lead", LEAD)
    before, kept = sf.dump(), sf.snapshot()
    for _ in range(2):
        sf.add_field("Lead", "Score__c", SCORE)
        api("PATCH", f"/sobjects/Lead/{lead}", json={"Score__c": 1, "Title": "CTO"})
        sf.convert(lead)
        assert sf.dump() != before
        sf.restore(kept)
        assert sf.dump() == before


def test_the_control_interface_seeds_switches_and_troubles(sandbox: Sandbox, api: Api) -> None:
    def control(path: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{sandbox.url}/_sandbox{path}", json=body, timeout=20)
        return answer.status_code, answer.json()

    status, made = control("/salesforce/do/add", {"kind": "Lead", "values": LEAD})
    assert status == 200
    path = f"/sobjects/Lead/{made['result']}"
    assert api("GET", path).json()["Name"] == "Ann Lee"
    status, refused = control("/salesforce/do/add", {"kind": "Lead", "values": {"Foo": 1}})
    assert (status, refused["error"]) == (400, "INVALID_FIELD: No such column 'Foo' on sobject of type Lead")
    assert control("/salesforce/settings", {"daily_limit": 50})[0] == 200
    control("/faults", {"kind": "status", "status": 503, "vendor": "salesforce", "operation": "Lead.*"})
    assert api("PATCH", path, json={}).json() == [{"message": "Server too busy", "errorCode": "SERVER_UNAVAILABLE"}]
    control("/faults", {"kind": "html", "status": 420, "operation": "query"})
    assert api("GET", "/query", params={"q": "SELECT Id FROM Lead"}).headers["Content-Type"].startswith("text/html")
    assert api("GET", path).headers["Sforce-Limit-Info"].endswith("/50")
    names = [call.operation for call in sandbox.world.journal]
    assert names == ["Lead.read", "Lead.update", "query", "Lead.read"]
    assert api("GET", "/sobjects/Lead", headers={"X-PrettyPrint": "1"}).text.startswith('{\n  "objectDescribe" : {')
