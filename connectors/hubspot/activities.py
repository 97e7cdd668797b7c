"""HubSpot's dated things to activities (vendors/hubspot.md section 9). Word tables and pure translation.

Three lists, three reactions: known words become kinds, words ignored on purpose are left out, and a word never seen
before is kept as OTHER and counted.

Nothing counts twice: what another configured source tells in more detail is left to that source. Form submissions
belong to "forms", marketing e-mail to "email_events", calls, meetings and deals to the sources of these names; only
where such a source is not configured do the event occurrences stand in for it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from connectors.hubspot.engagements import CALLS, DEALS, MEETINGS
from connectors.hubspot.mapping import contact_ref
from connectors.hubspot.wire import VENDOR, Id, Shape, Texts
from connectors.values import kept, moment
from leadbridge import addresses, metrics
from leadbridge.types import Activity, ActivityKind, email_key

EVENTS, FORMS, EMAIL, LISTS = "events", "forms", "email_events", "lists"

EVENT_KINDS: dict[str, tuple[ActivityKind, str | None]] = {
    "e_visited_page": (ActivityKind.PAGE_VIEW, None),
    "e_form_submission_v2": (ActivityKind.FORM_SUBMITTED, FORMS),
    "e_form_submission": (ActivityKind.FORM_SUBMITTED, FORMS),
    "e_call_ended": (ActivityKind.CALL, CALLS),
    "e_meeting_booked": (ActivityKind.MEETING, MEETINGS),
    "e_deal_closed": (ActivityKind.DEAL_STAGE_CHANGED, DEALS),
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


class Event(Shape):
    """One event occurrence."""

    id: Id
    object_type: str = Field("", alias="objectType")
    object_id: Id = Field("", alias="objectId")
    event_type: str = Field("", alias="eventType")
    occurred_at: str = Field("", alias="occurredAt")
    properties: Texts = Field(default_factory=dict)


class Membership(Shape):
    """One record on a list."""

    record_id: Id = Field(alias="recordId")
    at: str = Field("", alias="membershipTimestamp")


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
    user_agent: str | None = Field(None, alias="userAgent")
    duration: int | None = None  # milliseconds the mail was looked at
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
    return Activity(contact_ref(event.object_id).key, kind, at, _source(EVENTS), event.id, kept(told))


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
    return Activity(email_key(address), ActivityKind.FORM_SUBMITTED, at, _source(FORMS), source_id, kept(told))


def from_membership(one: Membership, list_id: str, list_name: str) -> Activity | str:
    """The activity, or why there is none. Leaving a list and joining it again are two joinings."""
    at = moment(one.at)
    if at is None:
        return "list membership without a time"
    told = kept({"list": list_name, "list_id": list_id})
    place = f"{list_id}:{one.record_id}:{one.at}"
    return Activity(contact_ref(one.record_id).key, ActivityKind.LIST_JOINED, at, _source(LISTS), place, told)


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
        "user_agent": event.user_agent,  # tells a scanner from a person
        "looked_ms": event.duration,
    }
    # The id alone is not unique (section 9).
    return Activity(email_key(address), kind, at, _source(EMAIL), f"{event.id}:{event.created}", kept(told))


def _source(stream: str) -> str:
    return f"{VENDOR}.{stream}"
