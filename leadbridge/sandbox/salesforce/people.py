"""What people do in Salesforce's screens: converting leads and merging records (vendor page, section 2.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from leadbridge.sandbox.salesforce import person_accounts
from leadbridge.sandbox.salesforce.answers import RowError, stamp
from leadbridge.sandbox.salesforce.saving import CONVERTED, Saver
from leadbridge.sandbox.salesforce.store import Act, Row, Store

# Standard fields the conversion carries over; custom ones only where an admin mapped them.
_TO_CONTACT = {
    "FirstName": "FirstName", "LastName": "LastName", "Email": "Email", "Title": "Title", "Phone": "Phone",
    "MobilePhone": "MobilePhone", "LeadSource": "LeadSource", "Street": "MailingStreet", "City": "MailingCity",
    "State": "MailingState", "PostalCode": "MailingPostalCode", "Country": "MailingCountry",
    "HasOptedOutOfEmail": "HasOptedOutOfEmail", "DoNotCall": "DoNotCall", "OwnerId": "OwnerId",
}  # fmt: skip
_TO_ACCOUNT = {
    "Company": "Name", "Website": "Website", "Industry": "Industry", "Rating": "Rating", "OwnerId": "OwnerId",
    "AnnualRevenue": "AnnualRevenue", "NumberOfEmployees": "NumberOfEmployees", "Phone": "Phone", "City": "BillingCity",
    "State": "BillingState", "PostalCode": "BillingPostalCode", "Country": "BillingCountry",
}  # fmt: skip
# Fields that point to a person or account, and move to the winner of a merge.
_POINTERS = {
    "Lead": (("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "LeadId")),
    "Contact": (
        ("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "ContactId"), ("OpportunityContactRole", "ContactId"),
    ),
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Task", "WhatId"), ("Event", "WhatId")),
}  # fmt: skip


def convert(
    store: Store,
    saver: Saver,
    lead: Row,
    act: Act,
    *,
    contact_id: str | None,
    account_id: str | None,
    opportunity: str | None,
    field_map: Mapping[str, str],
) -> Mapping[str, str | None]:
    """The ids of contact, account and opportunity. An existing contact keeps the fields it has filled."""
    if lead.get("IsConverted"):
        raise RowError(*CONVERTED)
    if contact_id is not None:
        contact = store.need("Contact", contact_id)
        account_id = contact.get("AccountId") or account_id
    if account_id is None and contact_id is None and lead.get("Company") is None:  # a person account, with its contact
        person = person_accounts.as_account(_carried(lead, {**_TO_CONTACT, **field_map}))
        account_id = saver.create("Account", person, act).id
        contact_id = store.need("Account", account_id).get("PersonContactId")
    if account_id is None:
        account_id = saver.create("Account", _carried(lead, _TO_ACCOUNT), act).id
    carried = _carried(lead, {**_TO_CONTACT, **field_map})
    if contact_id is None:
        contact_id = saver.create("Contact", {**carried, "AccountId": account_id}, act).id
    else:
        empty = {n: v for n, v in carried.items() if store.need("Contact", contact_id).get(n) is None}
        saver.update("Contact", contact_id, empty, act)
    deal_id = None
    if opportunity is not None:
        close = stamp(act.at)[:10]
        deal = {"Name": opportunity, "StageName": "Prospecting", "CloseDate": close, "AccountId": account_id}
        deal_id = saver.create("Opportunity", deal, act).id
        role = {"OpportunityId": deal_id, "ContactId": contact_id, "IsPrimary": True}
        saver.create("OpportunityContactRole", role, act)
    for kind in ("Task", "Event"):
        _repoint(store, saver, kind, "WhoId", lead.id, contact_id, act)
    for member in [row for row in store.state.live("CampaignMember") if row.get("LeadId") == lead.id]:
        saver.change(member, {"ContactId": contact_id}, act)
    result = {
        "ConvertedContactId": contact_id,
        "ConvertedAccountId": account_id,
        "ConvertedOpportunityId": deal_id,
    }
    changes = {**result, "IsConverted": True, "Status": "Closed - Converted", "ConvertedDate": stamp(act.at)[:10]}
    saver.change(lead, changes, act)
    act.saved.append(("Lead", lead.id))
    act.note("lead_converted", id=lead.id, contact=contact_id, account=account_id, opportunity=deal_id)
    return result


def merge(store: Store, saver: Saver, kind: str, winner_id: str, loser_ids: Sequence[str], act: Act) -> None:
    """Losers go to the bin with ``MasterRecordId``; what pointed to them points to the winner."""
    if kind not in _POINTERS:
        raise RowError("INVALID_TYPE", f"{kind} cannot be merged")
    winner = store.need(kind, winner_id)
    losers = [store.need(kind, one) for one in loser_ids]
    if not 1 <= len(losers) <= 2 or winner.id in {one.id for one in losers}:
        raise RowError("INVALID_INPUT", "merge one or two other records into the master")
    if len({bool(one.get("IsPersonAccount")) for one in (winner, *losers)}) > 1:
        raise RowError("INVALID_INPUT", "a person account merges with person accounts only")
    for loser in losers:
        _merge_contact(store, saver, winner, loser, act)
        for child, field in _POINTERS[kind]:
            _repoint(store, saver, child, field, loser.id, winner.id, act)
        saver.bin(loser, act, MasterRecordId=winner.id)
        act.note("record_merged", type=kind, id=loser.id, into=winner.id)
    store.state.touch(winner, {}, act.at, act.user_id)
    act.saved.append((kind, winner.id))


def _merge_contact(store: Store, saver: Saver, winner: Row, loser: Row, act: Act) -> None:
    """The contact of a person account that is merged goes to the bin with it; whether it says into whom is a switch."""
    if winner.type != "Account" or not loser.get("IsPersonAccount"):
        return
    old, new = str(loser.get("PersonContactId")), str(winner.get("PersonContactId"))
    for child, field in _POINTERS["Contact"]:
        _repoint(store, saver, child, field, old, new, act)
    told = {"MasterRecordId": new} if saver.settings.person_merge_names_contact else {}
    saver.bin(store.need("Contact", old), act, **told)


def _carried(row: Row, table: Mapping[str, str]) -> dict[str, Any]:
    return {there: row.get(here) for here, there in table.items() if row.get(here) is not None}


def _repoint(store: Store, saver: Saver, kind: str, field: str, old: str, new: str, act: Act) -> None:
    for row in [row for row in store.state.live(kind) if row.get(field) == old]:
        saver.change(row, {field: new}, act)
