"""Salesforce's dated things to activities (vendors/salesforce.md, sections 2.2 and 2.4). Word tables, pure translation.

An activity's id never holds whom it is about: on conversion what a lead did becomes what a contact did, and is the same
thing once. What came of it is part of the id: activities are append-only, and a task that was open and then done is two
facts. Dates that lie in the future (`ActivityDate` is when something is due) are not taken for when it happened.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.salesforce.mapping import CONTACT, LEAD, Row, ref_of
from connectors.salesforce.walk import STAMP as MODIFIED
from connectors.salesforce.wire import VENDOR
from connectors.values import clean, moment
from leadbridge import addresses, metrics
from leadbridge.types import Activity, ActivityKind, email_key

Told = Mapping[str, str | int | float | bool | None]

TASKS, EVENTS, EMAILS, CAMPAIGNS, DEALS = "tasks", "events", "emails", "campaigns", "opportunities"
LEAD_HISTORY, CONTACT_HISTORY = "lead_history", "contact_history"
HISTORIES = {LEAD_HISTORY: LEAD, CONTACT_HISTORY: CONTACT}
"""Sources that tell of changed fields, and of whom."""

TASK_KINDS = {
    "Task": ActivityKind.TASK,
    "Cadence": ActivityKind.TASK,
    "Call": ActivityKind.CALL,
    "Email": ActivityKind.EMAIL_SENT,
    "ListEmail": ActivityKind.EMAIL_SENT,
}
"""`TaskSubtype` to kind. A task of before there were subtypes has none, and is a task."""

TOLD_BY_EMAILS = {"Email", "ListEmail"}
"""Tasks that stand for an e-mail, left to the source of e-mails where that is read."""

STAMP = re.compile(r"leadbridge:([A-Za-z0-9_-]+)")
"""The key that a task of our own bears in its description."""

MOST_RECIPIENTS = 20
"""Addresses of one e-mail that are looked at; more is a list, and nobody's own mail."""


DEFAULT_STATUSES = {"Sent", "Responded"}
"""Statuses of members that every campaign has, told as joined and responded. Those of the org's own, such as Registered
and No Show, are facts of their own, each once."""


@dataclass(frozen=True, slots=True)
class Source:
    """An object whose rows are activities, the columns read of it, and how a row is told."""

    kind: str
    columns: tuple[str, ...]
    tell: Callable[[Row, Sequence[str]], list[Activity] | str]
    of_people: str | None = None  # the column that must not be empty
    stamp: str = MODIFIED  # what it is walked by


def from_task(row: Row, sources: Sequence[str]) -> list[Activity] | str:
    if STAMP.search(row.get("Description", "")):
        return "task that leadbridge made"
    subtype = row.get("TaskSubtype", "Task")
    if subtype in TOLD_BY_EMAILS and EMAILS in sources:
        return "task told as an e-mail"
    done = row.get("IsClosed") == "true"
    told: Told = {
        "outcome": "completed" if done else "open",
        "status": row.get("Status"),
        "type": subtype.lower(),
        "direction": row.get("CallType", "").lower(),
        "disposition": row.get("CallDisposition"),
        "seconds": _whole(row.get("CallDurationInSeconds")),
    }
    if subtype not in TASK_KINDS:
        metrics.VENDOR_WORDS.add(vendor=VENDOR, source=TASKS)
    kind = TASK_KINDS.get(subtype, ActivityKind.OTHER)
    if kind is ActivityKind.EMAIL_SENT:
        told = {**told, "sales": True}  # not marketing
    at = (row.get("CompletedDateTime") or row.get("LastModifiedDate")) if done else None
    return _one(TASKS, row, row.get("WhoId"), kind, at or row.get("CreatedDate"), "done" if done else "open", told)


def from_event(row: Row, _: Sequence[str]) -> list[Activity] | str:
    told: Told = {
        "type": row.get("EventSubtype", "").lower(),
        "minutes": _whole(row.get("DurationInMinutes")),
    }
    at = row.get("StartDateTime") or row.get("ActivityDateTime")
    return _one(EVENTS, row, row.get("WhoId"), ActivityKind.MEETING, at, at or "", told)


def from_member(row: Row, _: Sequence[str]) -> list[Activity] | str:
    """A response, or the mere being on the list. After a conversion the member names both, and it is the contact's."""
    told: Told = {"campaign": row.get("Campaign.Name"), "type": row.get("Campaign.Type"), "status": row.get("Status")}
    who, joined = row.get("ContactId") or row.get("LeadId"), row.get("CreatedDate")
    found = _one(CAMPAIGNS, row, who, ActivityKind.LIST_JOINED, joined, "joined", told)
    if isinstance(found, str):
        return found
    if (status := row.get("Status", "")) and status not in DEFAULT_STATUSES:
        about = {**told, "event": "campaign status"}
        stands = _one(CAMPAIGNS, row, who, ActivityKind.OTHER, row.get(MODIFIED) or joined, f"status {status}", about)
        found = found if isinstance(stands, str) else [*found, *stands]
    if row.get("HasResponded") != "true":
        return found
    responded = _one(
        CAMPAIGNS, row, who, ActivityKind.CAMPAIGN_RESPONSE, row.get("FirstRespondedDate") or joined, "responded", told
    )
    return found if isinstance(responded, str) else [*found, *responded]


def from_email(row: Row, known: Mapping[str, str]) -> list[Activity] | str:
    """An e-mail by its addresses: sent to, opened and bounced, or come from; `known`: canonical address to the record
    Salesforce says it belongs to.

    An open may be a machine's, a scanner's or a privacy proxy's: it is marked as seen by a pixel only.
    """
    if row.get("Status") == "5" or row.get("Status", "").lower() == "draft":
        return "e-mail not sent"
    incoming = row.get("Incoming") == "true"
    given = row.get("FromAddress", "") if incoming else row.get("ToAddress", "")
    people = [one for raw in given.replace(",", ";").split(";")[:MOST_RECIPIENTS] if (one := addresses.canonical(raw))]
    if not people:
        return "e-mail without an address"
    told: Told = {"direction": "incoming" if incoming else "outgoing", "sales": True}
    steps: list[tuple[str, ActivityKind, str | None, Told]] = []
    if incoming:
        steps.append(("received", ActivityKind.OTHER, row.get("MessageDate"), {**told, "event": "email_received"}))
    else:
        steps.append(("sent", ActivityKind.EMAIL_SENT, row.get("MessageDate"), told))
        if "FirstOpenedDate" in row and len(people) == 1:  # of several nobody knows who
            seen = {**told, "by": "pixel"}
            steps.append(("opened", ActivityKind.EMAIL_OPENED, row["FirstOpenedDate"], seen))
        if row.get("IsBounced") == "true" and len(people) == 1:
            steps.append(("bounced", ActivityKind.EMAIL_BOUNCED, row.get("MessageDate"), told))
    found = [
        Activity(_subject(one, known), kind, at, f"{VENDOR}.{EMAILS}", f"{row['Id']}:{step}:{n}", _kept(about))
        for step, kind, text, about in steps
        if (at := moment(text or row.get("CreatedDate"))) is not None
        for n, one in enumerate(people)
    ]
    return found or "e-mail without a time"


def _subject(address: str, known: Mapping[str, str]) -> str:
    ref = ref_of(known.get(address, ""))
    return email_key(address) if ref is None else ref.key


def addressees(relations: Sequence[Row]) -> dict[str, dict[str, str]]:
    """E-mail to address to the Lead or Contact behind it, by the relations of e-mails."""
    found: dict[str, dict[str, str]] = {}
    for one in relations:
        address = addresses.canonical(one.get("RelationAddress", ""))
        if address is not None and ref_of(one.get("RelationId", "")) is not None:
            found.setdefault(one.get("EmailMessageId", ""), {})[address] = one["RelationId"]
    return found


def from_stage(row: Row, contacts: Sequence[str]) -> list[Activity] | str:
    """A stage of a deal as one activity of each contact with a role in it, and a purchase where it was won.

    One contact's purchase of one deal counts once, at the instant the deal was won.
    """
    at, deal = moment(row.get("CreatedDate")), row.get("OpportunityId", "")
    people = [ref for one in contacts if (ref := ref_of(one)) is not None]
    if at is None or not people:
        return "deal stage without a contact" if at else "deal stage without a time"
    won = row.get("Opportunity.IsWon") == "true" and row.get("StageName") == row.get("Opportunity.StageName")
    about: Told = {
        "deal": deal,
        "amount": _number(row.get("Amount")),
        "currency": row.get("CurrencyIsoCode"),
        "type": row.get("Opportunity.Type"),
        "contacts": len(people),
    }
    told = {**about, "stage": row.get("StageName"), "probability": _number(row.get("Probability")), "won": won}
    source = f"{VENDOR}.{DEALS}"
    found: list[Activity] = []
    for ref in people:
        place = f"{row['Id']}:{ref.record_id}"
        found.append(Activity(ref.key, ActivityKind.DEAL_STAGE_CHANGED, at, source, place, _kept(told)))
        if won:
            place = f"{deal}:{ref.record_id}:won"
            found.append(Activity(ref.key, ActivityKind.PURCHASE, at, source, place, _kept(about)))
    return found


def from_change(row: Row, fields: Sequence[str]) -> list[Activity] | str:
    """A change of one of these fields, which are those leadbridge reads anyway: nothing else of a person comes in."""
    field = row.get("Field", "")
    if field.lower() not in fields:
        return "change of a field that is not read"
    stream = LEAD_HISTORY if "LeadId" in row else CONTACT_HISTORY
    told: Told = {"event": "field_changed", "field": field, "old": row.get("OldValue"), "new": row.get("NewValue")}
    who = row.get("LeadId") or row.get("ContactId")
    return _one(stream, row, who, ActivityKind.OTHER, row.get("CreatedDate"), "changed", told)


SOURCES: Mapping[str, Source] = {
    TASKS: Source(
        "Task",
        ("WhoId", "TaskSubtype", "Status", "IsClosed", "CallType", "CallDisposition", "CallDurationInSeconds",
         "CompletedDateTime", "LastModifiedDate", "Description"),
        from_task,
        "WhoId",
    ),
    EVENTS: Source(
        "Event",
        ("WhoId", "EventSubtype", "StartDateTime", "ActivityDateTime", "DurationInMinutes", "IsChild"),
        from_event,
        "WhoId",
    ),
    EMAILS: Source(
        "EmailMessage",
        ("Status", "Incoming", "FromAddress", "ToAddress", "MessageDate", "FirstOpenedDate", "IsBounced"),
        lambda row, _: from_email(row, {}),
    ),
    CAMPAIGNS: Source(
        "CampaignMember",
        ("LeadId", "ContactId", "Status", "HasResponded", "FirstRespondedDate", "Campaign.Name", "Campaign.Type"),
        from_member,
    ),
    DEALS: Source(
        "OpportunityHistory",
        ("OpportunityId", "StageName", "Amount", "Probability", "CurrencyIsoCode", "Opportunity.StageName",
         "Opportunity.IsWon", "Opportunity.Type"),
        from_stage,
    ),
    LEAD_HISTORY: Source(
        "LeadHistory", ("LeadId", "Field", "OldValue", "NewValue"), from_change, "LeadId", "CreatedDate"
    ),
    CONTACT_HISTORY: Source(
        "ContactHistory", ("ContactId", "Field", "OldValue", "NewValue"), from_change, "ContactId", "CreatedDate"
    ),
}  # fmt: skip


def _one(
    stream: str, row: Row, who: str | None, kind: ActivityKind, at: str | None, step: str, told: Told
) -> list[Activity] | str:
    ref, instant = ref_of(who or ""), moment(at)
    if ref is None:
        return f"{stream} of nobody we know"
    if instant is None:
        return f"{stream} without a time"
    return [Activity(ref.key, kind, instant, f"{VENDOR}.{stream}", f"{row['Id']}:{step}", _kept(told))]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    found = _number(text)
    return None if found is None else int(found)


def _kept(told: Told) -> dict[str, str | int | float | bool]:
    """Attributes that have a value, as any store can hold them."""
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value not in (None, "")
    }
