"""CRM records of what people did, to activities (vendors/hubspot.md section 9). Word tables and pure translation.

Meetings, calls, sales e-mails, messages, tasks, notes, deals and tickets are records that HubSpot searches and
associates like contacts. Bodies of mails, messages and notes are not read, those of tasks only for our own key
(reliability G27).

Activities are append-only, so what came of a record is part of the activity's id: a meeting that was scheduled and
then held is two facts, and so is each stage a deal went through.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from connectors.hubspot.mapping import contact_ref
from connectors.hubspot.wire import VENDOR, HistoryEntry, Record
from connectors.values import kept, moment
from leadbridge.types import Activity, ActivityKind

Told = dict[str, str | float | int | bool | None]

MEETINGS, CALLS, MAILS, MESSAGES = "meetings", "calls", "emails", "communications"
TASKS, NOTES, DEALS, TICKETS = "tasks", "notes", "deals", "tickets"

OUR_KEY = re.compile(r"leadbridge:([A-Za-z0-9_-]+)")
"""What a task that leadbridge made bears in its text. It says nothing of the person, so it is no activity (G17)."""

CALL_DISPOSITIONS = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no answer",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left voicemail",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left live message",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong number",
}


@dataclass(frozen=True, slots=True)
class Object:
    """One object type whose records are activities: what to ask for, and how to read it."""

    kind: ActivityKind
    told: Callable[[Record], Told]
    properties: tuple[str, ...]
    at: tuple[str, ...] = ("hs_timestamp",)  # the first that has a value; after them, when it was created


def _meeting(record: Record) -> Told:
    return {"type": record.get("hs_activity_type"), "outcome": record.get("hs_meeting_outcome").lower()}


def _call(record: Record) -> Told:
    disposition, duration = record.get("hs_call_disposition"), record.get("hs_call_duration")
    return {
        "type": record.get("hs_activity_type"),
        "outcome": CALL_DISPOSITIONS.get(disposition, disposition),
        "status": record.get("hs_call_status").lower(),
        "direction": record.get("hs_call_direction").lower(),
        "seconds": int(duration) // 1000 if duration.isdecimal() else None,
    }


def _mail(record: Record) -> Told:
    """A mail between a person and a seller. What the person sent is a signal, what was sent to them is not one."""
    direction = record.get("hs_email_direction")
    return {
        "event": "email_received" if direction == "INCOMING_EMAIL" else "email_sent",
        "direction": {"INCOMING_EMAIL": "incoming", "EMAIL": "outgoing"}.get(direction, direction.lower()),
        "outcome": record.get("hs_email_status").lower(),
        "sales": True,  # not marketing
    }


def _message(record: Record) -> Told:
    return {"channel": record.get("hs_communication_channel_type").lower()}


def _task(record: Record) -> Told:
    return {"type": record.get("hs_task_type").lower(), "outcome": record.get("hs_task_status").lower()}


def _note(_: Record) -> Told:
    return {"event": "note"}


def _ticket(record: Record) -> Told:
    return {
        "ticket": record.id,
        "category": record.get("hs_ticket_category").lower(),
        "priority": record.get("hs_ticket_priority").lower(),
        "outcome": "closed" if record.get("closed_date") else "opened",
    }


OBJECTS: dict[str, Object] = {
    MEETINGS: Object(
        ActivityKind.MEETING,
        _meeting,
        ("hs_timestamp", "hs_meeting_start_time", "hs_meeting_outcome", "hs_activity_type"),
        ("hs_timestamp", "hs_meeting_start_time"),
    ),
    CALLS: Object(
        ActivityKind.CALL,
        _call,
        (
            "hs_timestamp",
            "hs_call_direction",
            "hs_call_duration",
            "hs_call_status",
            "hs_call_disposition",
            "hs_activity_type",
        ),
    ),
    MAILS: Object(ActivityKind.EMAIL_SENT, _mail, ("hs_timestamp", "hs_email_direction", "hs_email_status")),
    MESSAGES: Object(ActivityKind.CHAT, _message, ("hs_timestamp", "hs_communication_channel_type")),
    TASKS: Object(ActivityKind.TASK, _task, ("hs_timestamp", "hs_task_status", "hs_task_type", "hs_task_body")),
    NOTES: Object(ActivityKind.OTHER, _note, ("hs_timestamp",)),
    DEALS: Object(
        ActivityKind.DEAL_STAGE_CHANGED, lambda _: {}, ("dealstage", "pipeline", "amount", "deal_currency_code")
    ),
    TICKETS: Object(
        ActivityKind.SUPPORT_TICKET,
        _ticket,
        ("createdate", "closed_date", "hs_ticket_category", "hs_ticket_priority"),
        ("createdate",),
    ),
}
"""Scored by the instant it took place, which may lie long before it was logged or, for a meeting or a task, ahead."""


def properties_of(source: str) -> tuple[str, ...]:
    """What to ask of a source's records, the instant of their last change included."""
    return (*OBJECTS[source].properties, "hs_lastmodifieddate")


def from_engagement(source: str, record: Record, contacts: Sequence[str]) -> list[Activity] | str:
    """One activity for each contact who took part, or why there is none. For every source but deals."""
    one = OBJECTS[source]
    at = moment(next((text for name in one.at if (text := record.get(name))), record.created_at))
    if at is None:
        return f"{source} without a time"
    if not contacts:
        return f"{source} without a contact"
    if source == TASKS and OUR_KEY.search(record.get("hs_task_body")):
        return "tasks made by leadbridge"
    told = one.told(record)
    outcome, kind = str(told.get("outcome") or ""), one.kind
    if source == MAILS and told["event"] == "email_received":
        kind = ActivityKind.OTHER
    elif source == MAILS and outcome == "bounced":
        kind = ActivityKind.EMAIL_BOUNCED
    attributes = kept(told)
    return [
        Activity(
            contact_ref(contact).key, kind, at, f"{VENDOR}.{source}", f"{record.id}:{contact}:{outcome}", attributes
        )
        for contact in contacts
    ]


# --- deals -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline. Its label may be renamed at any time, its id may not."""

    label: str = ""
    closed: bool = False
    won: bool = False


def from_deal(
    deal: Record, history: Sequence[HistoryEntry], contacts: Sequence[str], stages: Mapping[str, Stage]
) -> list[Activity] | str:
    """Each stage the deal went through as one activity a contact, and a purchase where it was won.

    A purchase counts once for each deal and contact, at the newest instant the deal was won, with the amount the deal
    had when it was read. `history` is HubSpot's, newest first and of limited length; without any there is the stage
    held now, at the deal's last change.
    """
    if not contacts:
        return "deals without a contact"
    moves = [(one.value, at) for one in history if one.value and (at := moment(one.timestamp)) is not None]
    if not moves and deal.get("dealstage") and (at := moment(deal.get("hs_lastmodifieddate") or deal.updated_at)):
        moves = [(deal.get("dealstage"), at)]
    if not moves:
        return "deals without a time"
    about: Told = {
        "deal": deal.id,
        "pipeline": deal.get("pipeline"),
        "amount": _amount(deal.get("amount")),
        "currency": deal.get("deal_currency_code"),
        "contacts": len(contacts),
    }
    source = f"{VENDOR}.{DEALS}"
    won = next(((stage, at) for stage, at in moves if stages.get(stage, Stage()).won), None)
    found: list[Activity] = []
    for contact in contacts:
        subject = contact_ref(contact).key
        for stage, at in moves:
            meant = stages.get(stage, Stage())
            told = about | {"stage": stage, "label": meant.label, "closed": meant.closed, "won": meant.won}
            place = f"{deal.id}:{contact}:{stage}:{at.isoformat()}"
            found.append(Activity(subject, ActivityKind.DEAL_STAGE_CHANGED, at, source, place, kept(told)))
        if won is not None and moves[0][0] == won[0]:
            place = f"{deal.id}:{contact}:won"
            found.append(Activity(subject, ActivityKind.PURCHASE, won[1], source, place, kept(about)))
    return found


def _amount(text: str) -> float | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return float(amount) if amount.is_finite() else None
