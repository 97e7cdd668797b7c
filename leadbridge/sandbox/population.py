"""Who lives in the sandbox: plain data, and how it gets into the stand-ins.

`people` invents populations, `leads_file` reads them from a file; neither knows the stand-ins.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from leadbridge.sandbox.mailchimp import Mailchimp

PAGE_VISITED = "e_visited_page"


class Crm(Protocol):
    """What `load` asks of the HubSpot stand-in."""

    def add_property(self, object_type: str, definition: Mapping[str, Any]) -> str: ...
    def add_company(self, properties: Mapping[str, str]) -> str: ...
    def add_contact(
        self,
        properties: Mapping[str, str],
        *,
        company_id: str | None = None,
        created_at: datetime | None = None,
        modified_at: datetime | None = None,
    ) -> str: ...
    def add_event(
        self, contact_id: str, event_type: str, occurred_at: datetime, properties: Mapping[str, str]
    ) -> str: ...
    def add_form(self, name: str) -> str: ...
    def add_form_submission(
        self, form_guid: str, submitted_at: datetime, values: Mapping[str, str], page_url: str = ""
    ) -> str: ...
    def add_email_event(
        self,
        kind: str,
        recipient: str,
        created_at: datetime,
        *,
        campaign_id: int = 1,
        url: str | None = None,
        filtered: bool = False,
    ) -> str: ...
    def add_engagement(self, object_type: str, contact_id: str, properties: Mapping[str, str]) -> str: ...
    def add_owner(self, email: str, first: str, last: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Company:
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class Touch:
    """One dated thing a person did, or that was done to them.

    ``kind``: "page_view" (url, title), "form" (form, url), "email" (event, campaign, url), "engagement" (object and
    its properties).
    """

    kind: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscription:
    """The person as a contact of the Mailchimp audience."""

    status: str
    since: datetime
    by_person: bool = False  # unsubscribed by themselves: nobody may undo it
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    properties: dict[str, str]  # HubSpot contact
    created: datetime
    modified: datetime
    company: int | None = None  # index into the companies
    owner: int | None = None  # index into the owners
    subscription: Subscription | None = None
    touches: tuple[Touch, ...] = ()

    @property
    def email(self) -> str:
        return self.properties["email"]


@dataclass(frozen=True, slots=True)
class Mailing:
    """A campaign sent from Mailchimp in the past: per address, what came after "sent"."""

    title: str
    sent: datetime
    reactions: Mapping[str, tuple[tuple[str, datetime, str], ...]]  # address: (action, when, link)


@dataclass(frozen=True, slots=True)
class JourneyPlan:
    """A Mailchimp journey: started by a tag, or by its Customer Journeys API step."""

    id: int
    name: str
    tag: str | None = None
    step_id: int | None = None


DEMO_JOURNEYS = (
    JourneyPlan(101, "how-to guides", tag="lb-how-to-guides"),
    JourneyPlan(102, "case studies", tag="lb-case-studies"),
    JourneyPlan(103, "offer", tag="lb-offer"),
    JourneyPlan(104, "product tour", step_id=1041),
)


@dataclass(slots=True)
class Population:
    """Everything to be put into the stand-ins, and what must stay out of them."""

    now: datetime
    properties: list[dict[str, Any]] = field(default_factory=list)  # definitions of custom contact properties
    companies: list[Company] = field(default_factory=list)
    contacts: list[Person] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    owners: list[tuple[str, str, str]] = field(default_factory=list)  # address, first name, last name
    mailings: list[Mailing] = field(default_factory=list)
    journeys: Sequence[JourneyPlan] = DEMO_JOURNEYS
    outcomes: dict[str, str] = field(default_factory=dict)  # by address; never loaded
    remarks: list[str] = field(default_factory=list)  # what was odd about the source, counted


def custom_property(name: str, label: str, kind: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """The definition of a custom contact property; ``kind`` is string, number, bool or enumeration."""
    shown_as = {"string": "text", "number": "number", "enumeration": "select", "bool": "booleancheckbox"}
    values = ("true", "false") if kind == "bool" else options
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": shown_as[kind],
        "groupName": "contactinformation",
        "options": [
            {"label": value, "value": value, "displayOrder": order, "hidden": False}
            for order, value in enumerate(values)
        ],
    }


_EMAIL_COUNTERS = {
    "DELIVERED": "hs_email_delivered",
    "OPEN": "hs_email_open",
    "CLICK": "hs_email_click",
    "BOUNCE": "hs_email_bounce",
}


def counters(touches: Sequence[Touch]) -> dict[str, str]:
    """The totals HubSpot keeps on the contact itself, in agreement with its activity."""
    counts = Counter(_EMAIL_COUNTERS.get(touch.detail["event"], "") for touch in touches if touch.kind == "email")
    found = {name: str(count) for name, count in counts.items() if name}
    views = [touch for touch in touches if touch.kind == "page_view"]
    if views:
        last = max(views, key=lambda touch: touch.at)
        found["hs_analytics_num_page_views"] = str(len(views))
        found["hs_analytics_last_timestamp"] = last.at.isoformat()
        found["hs_analytics_last_url"] = last.detail["url"]
    forms = [touch for touch in touches if touch.kind == "form"]
    if forms:
        last = max(forms, key=lambda touch: touch.at)
        found["num_conversion_events"] = str(len(forms))
        found["recent_conversion_event_name"] = last.detail["form"]
        found["recent_conversion_date"] = last.at.isoformat()
    return found


def load(population: Population, hubspot: Crm, mailchimp: Mailchimp) -> dict[str, str]:
    """Put everybody into both stand-ins; HubSpot's contact ids by address. Leaves no journal entry."""
    for definition in population.properties:
        hubspot.add_property("contacts", definition)
    companies = [hubspot.add_company(company.properties) for company in population.companies]
    owners = [hubspot.add_owner(*owner) for owner in population.owners]
    forms = {name: hubspot.add_form(name) for name in population.forms}
    ids: dict[str, str] = {}
    for person in population.contacts:
        properties = dict(person.properties)
        if person.owner is not None:
            properties["hubspot_owner_id"] = owners[person.owner]
        contact_id = hubspot.add_contact(
            properties,
            company_id=None if person.company is None else companies[person.company],
            created_at=person.created,
            modified_at=person.modified,
        )
        ids[person.email] = contact_id
        for touch in person.touches:
            _TOUCH[touch.kind](hubspot, contact_id, person, touch, forms)
    load_mailchimp(population, mailchimp)
    return ids


def load_mailchimp(population: Population, mailchimp: Mailchimp) -> None:
    """Put the audience, its journeys and what was mailed into the stand-in. Leaves no journal entry."""
    for plan in population.journeys:
        mailchimp.add_journey(plan.id, plan.name, step_id=plan.step_id, tag=plan.tag)
    for person in population.contacts:
        if (held := person.subscription) is not None:
            names = {"FNAME": person.properties.get("firstname", ""), "LNAME": person.properties.get("lastname", "")}
            mailchimp.add_member(
                person.email,
                held.status,
                merge_fields={tag: name for tag, name in names.items() if name},
                tags=held.tags,
                opted_out_by_person=held.by_person,
                timestamp=held.since,
            )
    for mailing in population.mailings:
        campaign = mailchimp.add_campaign(mailing.title, mailing.sent)
        for email, reactions in mailing.reactions.items():
            mailchimp.add_campaign_activity(campaign, email, "sent", mailing.sent)
            for action, at, url in reactions:
                bounce = "hard" if action == "bounce" else None
                mailchimp.add_campaign_activity(campaign, email, action, at, url or None, bounce)


def _page_view(hubspot: Crm, contact_id: str, _person: Person, touch: Touch, _forms: Mapping[str, str]) -> None:
    properties = {"hs_url": touch.detail["url"], "hs_page_title": touch.detail["title"]}
    hubspot.add_event(contact_id, PAGE_VISITED, touch.at, properties)


def _form(hubspot: Crm, _contact_id: str, person: Person, touch: Touch, forms: Mapping[str, str]) -> None:
    wanted = ("email", "firstname", "lastname", "company")
    values = {name: person.properties[name] for name in wanted if person.properties.get(name)}
    hubspot.add_form_submission(forms[touch.detail["form"]], touch.at, values, page_url=touch.detail["url"])


def _email(hubspot: Crm, _contact_id: str, person: Person, touch: Touch, _forms: Mapping[str, str]) -> None:
    detail = touch.detail
    hubspot.add_email_event(
        detail["event"], person.email, touch.at, campaign_id=detail["campaign"], url=detail.get("url")
    )


def _engagement(hubspot: Crm, contact_id: str, _person: Person, touch: Touch, _forms: Mapping[str, str]) -> None:
    properties = {"hs_timestamp": touch.at.isoformat(), **touch.detail["properties"]}
    hubspot.add_engagement(touch.detail["object"], contact_id, properties)


_TOUCH: dict[str, Callable[[Crm, str, Person, Touch, Mapping[str, str]], None]] = {
    "page_view": _page_view,
    "form": _form,
    "email": _email,
    "engagement": _engagement,
}
