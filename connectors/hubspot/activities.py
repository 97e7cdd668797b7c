"""HubSpot's dated things to activities (vendors/hubspot.md section 9). Word tables and pure translation.

Three lists, three reactions: known words become kinds, words ignored on purpose are left out, and a word never seen
before is kept as OTHER and counted.

Nothing counts twice: what another configured source tells in more detail is left to that source. Form submissions
belong to "forms", marketing e-mail to "email_events", calls and meetings to "calls" and "meetings"; only where such a
source is not configured do the event occurrences stand in for it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from connectors.hubspot.mapping import contact_ref
from connectors.hubspot.wire import VENDOR, Id, Record, Shape, Texts
from connectors.values import clean, moment
from leadbridge import addresses, metrics
from leadbridge.types import Activity, ActivityKind, email_key

Attributes = Mapping[str, str | float | int | bool]

EVENTS, FORMS, EMAIL, MEETINGS, CALLS = "events", "forms", "email_events", "meetings", "calls"

EVENT_KINDS: dict[str, tuple[ActivityKind, str | None]] = {
    "e_visited_page": (ActivityKind.PAGE_VIEW, None),
    "e_form_submission_v2": (ActivityKind.FORM_SUBMITTED, FORMS),
    "e_form_submission": (ActivityKind.FORM_SUBMITTED, FORMS),
    "e_call_ended": (ActivityKind.CALL, CALLS),
    "e_meeting_booked": (ActivityKind.MEETING, MEETINGS),
    "e_deal_closed": (ActivityKind.DEAL_STAGE_CHANGED, None),
}
"""Event type to kind, and the source that owns it where that one is configured."""

EVENTS_IGNORED = {"e_form_view"}  # seeing a form is a page view, which comes by itself

EVENT_PROPERTIES = {
    "hs_url": "url",
    "hs_page_url": "url",
    "hs_page_title": "title",
    "hs_title": "title",
    "hs_visit_source": "source",
    "hs_utm_campaign": "utm_campaign",
    "hs_utm_source": "utm_source",
    "hs_utm_medium": "utm_medium",
    "hs_form_id": "form",
}
"""Event properties kept, by allow-list (reliability G27), under our names."""

EMAIL_KINDS = {
    "SENT": ActivityKind.EMAIL_SENT,
    "OPEN": ActivityKind.EMAIL_OPENED,
    "CLICK": ActivityKind.EMAIL_CLICKED,
    "BOUNCE": ActivityKind.EMAIL_BOUNCED,
    "SPAMREPORT": ActivityKind.UNSUBSCRIBED,
}
EMAIL_IGNORED = {"DELIVERED", "PROCESSED", "DEFERRED", "DROPPED", "SUPPRESSED", "PRINT", "FORWARD"}
"""Steps of one mail's way: SENT tells of the mail, and BOUNCE when it did not arrive."""

CALL_DISPOSITIONS = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "connected",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "no answer",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "busy",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "left voicemail",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "left live message",
    "17b47fee-58de-441e-a44c-c6300d46f273": "wrong number",
}

ENGAGEMENT_PROPERTIES = {
    MEETINGS: (
        "hs_timestamp",
        "hs_lastmodifieddate",
        "hs_meeting_start_time",
        "hs_meeting_outcome",
        "hs_activity_type",
    ),
    CALLS: (
        "hs_timestamp",
        "hs_lastmodifieddate",
        "hs_call_direction",
        "hs_call_duration",
        "hs_call_status",
        "hs_call_disposition",
        "hs_activity_type",
    ),
}
ENGAGEMENT_KINDS = {MEETINGS: ActivityKind.MEETING, CALLS: ActivityKind.CALL}


class Event(Shape):
    """One event occurrence."""

    id: Id
    object_type: str = Field("", alias="objectType")
    object_id: Id = Field("", alias="objectId")
    event_type: str = Field("", alias="eventType")
    occurred_at: str = Field("", alias="occurredAt")
    properties: Texts = Field(default_factory=dict)


class FormValue(Shape):
    name: str
    value: Any = None


class Submission(Shape):
    """One form submission."""

    id: Id = Field("", alias="conversionId")
    submitted_at: Id = Field("", alias="submittedAt")
    values: list[FormValue] = Field(default_factory=list)
    url: str | None = Field(None, alias="pageUrl")


class EmailEvent(Shape):
    """One event of one mail to one address (legacy v1)."""

    id: Id
    created: Id
    type: str = ""
    recipient: str = ""
    campaign: Id | None = Field(None, alias="emailCampaignId")
    subject: str | None = None
    url: str | None = None
    device: str | None = Field(None, alias="deviceType")
    subscription: str | None = Field(None, alias="portalSubscriptionStatus")
    filtered: bool = Field(False, alias="filteredEvent")


def events_left_out(event_type: str, sources: Sequence[str]) -> bool:
    """Is this event type told by another configured source, or of no use?"""
    if event_type in EVENTS_IGNORED:
        return True
    if event_type in EVENT_KINDS:
        return EVENT_KINDS[event_type][1] in sources
    return "email" in event_type and EMAIL in sources


def from_event(event: Event) -> Activity | str:
    """The activity, or why there is none."""
    at = moment(event.occurred_at)
    if event.object_type.upper() != "CONTACT" or not event.object_id:
        return "event of something other than a contact"
    if at is None:
        return "event without a time"
    kind, _ = EVENT_KINDS.get(event.event_type, (ActivityKind.OTHER, None))
    told = {
        ours: event.properties.get(theirs) for theirs, ours in EVENT_PROPERTIES.items() if event.properties.get(theirs)
    }
    if event.event_type not in EVENT_KINDS:
        metrics.VENDOR_WORDS.add(vendor=VENDOR, source=EVENTS)
    if kind is not ActivityKind.PAGE_VIEW:
        told["event"] = event.event_type
    return Activity(contact_ref(event.object_id).key, kind, at, _source(EVENTS), event.id, _kept(told))


def from_submission(submission: Submission, form: str, form_name: str) -> Activity | str:
    """The activity, or why there is none."""
    at = moment(submission.submitted_at)
    given = next((str(v.value) for v in submission.values if v.name == "email" and v.value), None)
    address = addresses.canonical(given)
    if at is None:
        return "submission without a time"
    if address is None:
        return "submission without an e-mail address"
    told = {"form": form_name, "form_id": form, "url": submission.url}
    who = hashlib.sha256(address.encode()).hexdigest()[:16]
    source_id = submission.id or f"{form}:{submission.submitted_at}:{who}"
    return Activity(email_key(address), ActivityKind.FORM_SUBMITTED, at, _source(FORMS), source_id, _kept(told))


def from_email_event(event: EmailEvent) -> Activity | str:
    """The activity, or why there is none."""
    at, address = moment(event.created), addresses.canonical(event.recipient)
    word = event.type.upper()
    if event.filtered:
        return "e-mail event HubSpot filters out of its own reports"
    if word in EMAIL_IGNORED:
        return f"e-mail event {word}"
    if at is None or address is None:
        return "e-mail event without time or address"
    kind = EMAIL_KINDS.get(word, ActivityKind.OTHER)
    if word == "STATUSCHANGE":
        if (event.subscription or "").upper() != "UNSUBSCRIBED":
            return "e-mail event STATUSCHANGE"
        kind = ActivityKind.UNSUBSCRIBED
    if kind is ActivityKind.OTHER:
        metrics.VENDOR_WORDS.add(vendor=VENDOR, source=EMAIL)
    told = {
        "event": word if kind in (ActivityKind.OTHER, ActivityKind.UNSUBSCRIBED) else None,
        "campaign": event.campaign,
        "subject": event.subject,
        "url": event.url,
        "device": event.device,
    }
    # The id alone is not unique (section 9).
    return Activity(email_key(address), kind, at, _source(EMAIL), f"{event.id}:{event.created}", _kept(told))


def from_engagement(source: str, record: Record, contacts: Sequence[str]) -> list[Activity] | str:
    """One activity for each contact who took part, or why there is none.

    Scored by the instant it took place, which may lie long before it was logged or, for a meeting, ahead. What came
    of it is part of the id: activities are append-only, and a meeting that was scheduled and then held is two facts.
    """
    at = moment(record.get("hs_timestamp") or record.get("hs_meeting_start_time") or record.created_at)
    if at is None:
        return f"{source} without a time"
    if not contacts:
        return f"{source} without a contact"
    told: dict[str, str | int | None] = {"type": record.get("hs_activity_type")}
    if source == MEETINGS:
        told["outcome"] = record.get("hs_meeting_outcome").lower()
    else:
        disposition = record.get("hs_call_disposition")
        told["outcome"] = CALL_DISPOSITIONS.get(disposition, disposition)
        told["status"] = record.get("hs_call_status").lower()
        told["direction"] = record.get("hs_call_direction").lower()
        duration = record.get("hs_call_duration")
        told["seconds"] = int(duration) // 1000 if duration.isdecimal() else None
    kind, kept = ENGAGEMENT_KINDS[source], _kept(told)
    came_of_it = told["outcome"] or ""
    return [
        Activity(contact_ref(one).key, kind, at, _source(source), f"{record.id}:{one}:{came_of_it}", kept)
        for one in contacts
    ]


def _source(stream: str) -> str:
    return f"{VENDOR}.{stream}"


def _kept(told: Mapping[str, str | int | None]) -> Attributes:
    """Attributes that have a value, as any store can hold them."""
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value not in (None, "")
    }
