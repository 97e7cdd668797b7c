"""The same people as the Salesforce stand-in keeps them: leads, and contacts once there is a deal.

Of what they did comes in what an org would hold: calls as tasks, meetings as events, forms as responses to a campaign.
Page views and marketing mail have no place there.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from leadbridge.sandbox.population import Person, Population, Touch
from leadbridge.sandbox.salesforce import Salesforce

NO_COMPANY = "[not provided]"
"""What forms write where a lead's company, which Salesforce wants, is not known."""

PAGE = 2_000
"""Rows in one page of a query, as Salesforce gives them."""

INDUSTRIES = {  # HubSpot's word: Salesforce's
    "COMPUTER_SOFTWARE": "Technology",
    "INFORMATION_TECHNOLOGY_AND_SERVICES": "Technology",
    "MARKETING_AND_ADVERTISING": "Media",
    "FINANCIAL_SERVICES": "Finance",
    "RETAIL": "Retail",
    "MACHINERY": "Machinery",
    "HOSPITAL_HEALTH_CARE": "Healthcare",
    "LOGISTICS_AND_SUPPLY_CHAIN": "Shipping",
    "MANAGEMENT_CONSULTING": "Consulting",
    "CONSTRUCTION": "Construction",
    "HIGHER_EDUCATION": "Education",
    "NON_PROFIT_ORGANIZATION_MANAGEMENT": "Not For Profit",
}
DEALS = {"opportunity": "Negotiation/Review", "customer": "Closed Won"}
"""HubSpot's lifecycle stage: the stage of the deal behind it. Whoever has one is a contact, everybody else a lead."""

_STATUSES = {"marketingqualifiedlead": "Working - Contacted"}


def load_org(population: Population, org: Salesforce) -> None:
    """Put everybody into the org, where `leadbridge`'s user may see who opted out. Leaves no journal entry."""
    org.settings.query_page = PAGE
    for kind in ("Lead", "Contact"):
        org.grant_field(kind, "HasOptedOutOfEmail")
    owners = [
        org.add("User", {"FirstName": first, "LastName": last, "Username": email, "Email": email, "IsActive": True})
        for email, first, last in population.owners
    ]
    first_day = min((person.created for person in population.contacts), default=population.now)
    campaigns = {
        form: org.add("Campaign", {"Name": form, "Type": "Other", "IsActive": True}, first_day)
        for form in population.forms
    }
    accounts: dict[int, str] = {}
    for person in population.contacts:
        owner = {} if person.owner is None else {"OwnerId": owners[person.owner]}
        kind, record = _record(population, org, accounts, person, owner)
        answered: set[str] = set()
        for touch in person.touches:
            if touch.kind == "engagement":
                _engaged(org, record, touch)
            elif touch.kind == "form" and (form := touch.detail["form"]) not in answered:
                answered.add(form)  # a record is a member of a campaign once
                member = {"CampaignId": campaigns[form], f"{kind}Id": record, "Status": "Responded"}
                org.add("CampaignMember", {**member, "FirstRespondedDate": f"{touch.at:%Y-%m-%d}"}, touch.at)


def _record(
    population: Population, org: Salesforce, accounts: dict[int, str], person: Person, owner: Mapping[str, str]
) -> tuple[str, str]:
    """The person as a lead, or as a contact with account and deal: the object, and the id."""
    told = person.properties
    company = {} if person.company is None else population.companies[person.company].properties
    about: dict[str, Any] = {
        "FirstName": told.get("firstname"),
        "LastName": told["lastname"] if told.get("lastname") else person.email,
        "Email": person.email,
        "Title": told.get("jobtitle"),
        "LeadSource": "Web",
        "HasOptedOutOfEmail": told.get("hs_email_optout") == "true",
        **owner,
    }
    stage = told.get("lifecyclestage", "")
    if stage not in DEALS or person.company is None:
        lead = {
            "Company": company.get("name") or told.get("company") or NO_COMPANY,
            "Country": told.get("country"),
            "City": told.get("city"),
            "Status": _STATUSES.get(stage, "Open - Not Contacted"),
            **_firm(company),
        }
        return "Lead", org.add("Lead", _known(about | lead), person.created)
    if person.company not in accounts:
        place = {"BillingCountry": company.get("country"), "BillingCity": company.get("city")}
        account = {"Name": company["name"], **place, **_firm(company)}
        accounts[person.company] = org.add("Account", _known(account), person.created)
    place = {"MailingCountry": told.get("country"), "MailingCity": told.get("city")}
    contact = org.add("Contact", _known({**about, "AccountId": accounts[person.company], **place}), person.created)
    _deal(org, person, contact, accounts[person.company], company["name"], population.now)
    return "Contact", contact


def _deal(org: Salesforce, person: Person, contact: str, account: str, name: str, now: datetime) -> None:
    stage = DEALS[person.properties["lifecyclestage"]]
    at = person.modified
    closes = at if stage == "Closed Won" else now + timedelta(days=30)
    amount = person.properties.get("budget_amount")
    deal = {
        "Name": f"{name}: {person.email}",
        "AccountId": account,
        "StageName": stage,
        "CloseDate": f"{closes:%Y-%m-%d}",
        "Amount": None if amount is None else float(amount),
    }
    opportunity = org.add("Opportunity", _known(deal), at)
    org.add("OpportunityContactRole", {"OpportunityId": opportunity, "ContactId": contact, "IsPrimary": True}, at)


def _firm(company: Mapping[str, str]) -> dict[str, Any]:
    staff = company.get("numberofemployees")
    return {
        "Industry": INDUSTRIES.get(company.get("industry", "")),
        "NumberOfEmployees": None if staff is None else int(staff),
        "Website": company.get("domain"),
    }


def _engaged(org: Salesforce, record: str, touch: Touch) -> None:
    """A call or a meeting; whatever else was logged is left out."""
    told = touch.detail["properties"]
    if touch.detail["object"] == "meetings":
        event = {"WhoId": record, "Subject": told["hs_meeting_title"], "StartDateTime": touch.at.isoformat()}
        org.add("Event", {**event, "DurationInMinutes": 30}, touch.at)
    elif touch.detail["object"] == "calls":
        call = {
            "WhoId": record,
            "Subject": told["hs_call_title"],
            "TaskSubtype": "Call",
            "CallType": "Outbound",
            "Status": "Completed" if told["hs_call_status"] == "COMPLETED" else "Not Started",
            "CallDurationInSeconds": int(told["hs_call_duration"]) // 1000,
        }
        org.add("Task", call, touch.at)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}
