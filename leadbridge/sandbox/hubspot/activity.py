"""What people did, over HTTP: event occurrences, forms, submissions, e-mail events (vendor page, section 9)."""

from datetime import datetime
from heapq import merge
from typing import Any
from uuid import UUID, uuid5

from leadbridge.sandbox.hubspot.answers import NOT_FOUND, Refused, Reply, iso, paging, to_ms
from leadbridge.sandbox.hubspot.call import ApiCall, page_of
from leadbridge.sandbox.hubspot.kinds import KINDS
from leadbridge.sandbox.hubspot.store import State
from leadbridge.sandbox.hubspot.timeline import ALWAYS, Entry, add, page
from leadbridge.sandbox.hubspot.values import instant_ms

_SANDBOX = UUID("5a6d0bcf-0f5c-4c05-9a0d-4e2f7e1f5b11")  # so that the same story gives the same ids
APP_ID = 54321
# The field names HubSpot's visits carry, mostly empty (section 9).
EVENT_TYPES = (
    "e_visited_page",
    "e_form_submission_v2",
    "e_form_view",
    "e_call_ended",
    "e_deal_closed",
    "e_document_shared_v2",
)


# Seeding


def add_event(state: State, contact_id: str, event_type: str, at: datetime, properties: dict[str, str]) -> str:
    number, ms = state.next("event"), to_ms(at)
    event_id = f"leviathan-{uuid5(_SANDBOX, f'event-{number}')}-{ms}"
    row = {
        "objectType": "CONTACT",
        "objectId": contact_id,
        "eventType": event_type,
        "occurredAt": iso(at),
        "id": event_id,
        "properties": dict(properties),
    }
    add(state.events.setdefault(event_type, []), ms, number, row)
    return event_id


def add_form(state: State, name: str, at: datetime) -> str:
    guid = str(uuid5(_SANDBOX, f"form-{state.next('form')}"))
    state.forms[guid] = {
        "id": guid,
        "name": name,
        "createdAt": iso(at),
        "updatedAt": iso(at),
        "archived": False,
        "formType": "hubspot",
        "fieldGroups": [],
        "configuration": {
            "language": "en",
            "cloneable": True,
            "editable": True,
            "archivable": True,
            "recaptchaEnabled": False,
            "notifyContactOwner": False,
            "notifyRecipients": [],
            "createNewContactForNewEmail": True,
            "prePopulateKnownValues": True,
            "allowLinkToResetKnownValues": False,
            "lifecycleStages": [],
            "postSubmitAction": {"type": "thank_you", "value": "Thanks."},
        },
        "displayOptions": {
            "renderRawHtml": False,
            "theme": "default_style",
            "submitButtonText": "Submit",
            "cssClass": "hs-form",
            "style": {
                "fontFamily": "arial",
                "backgroundWidth": "100%",
                "labelTextColor": "#33475b",
                "labelTextSize": "11px",
                "helpTextColor": "#7C98B6",
                "helpTextSize": "11px",
                "legalConsentTextColor": "#33475b",
                "legalConsentTextSize": "14px",
                "submitColor": "#ff7a59",
                "submitAlignment": "left",
                "submitFontColor": "#ffffff",
                "submitSize": "12px",
            },
        },
        "legalConsentOptions": {"type": "none"},
    }
    state.submissions[guid] = []
    return guid


def add_submission(state: State, guid: str, at: datetime, values: dict[str, str], page_url: str) -> str:
    number, ms = state.next("submission"), to_ms(at)
    conversion = str(uuid5(_SANDBOX, f"submission-{number}"))
    row = {
        "conversionId": conversion,
        "submittedAt": ms,
        "values": [{"name": name, "value": value, "objectTypeId": "0-1"} for name, value in values.items()],
        "pageUrl": page_url,
    }
    add(state.submissions[guid], ms, number, row)
    return conversion


def add_email_event(
    state: State,
    portal_id: int,
    kind: str,
    recipient: str,
    at: datetime,
    campaign: int,
    url: str | None,
    filtered: bool,
) -> str:
    number, ms = state.next("email_event"), to_ms(at)
    event_id = str(uuid5(_SANDBOX, f"email-event-{number}"))
    row: dict[str, Any] = {
        "id": event_id,
        "created": ms,
        "type": kind.upper(),
        "recipient": recipient,
        "portalId": portal_id,
        "appId": APP_ID,
        "appName": "Batch",
        "emailCampaignId": campaign,
        "sentBy": {"id": str(uuid5(_SANDBOX, f"sent-{campaign}-{recipient}")), "created": ms},
        "filteredEvent": filtered,
    }
    if url is not None:
        row["url"] = url
    add(state.email_events, ms, number, row)
    return event_id


# HTTP


def _need_enterprise(call: ApiCall) -> None:
    if not call.account.settings.enterprise:
        raise Refused(403, "The account does not have access to this feature.", category=None)


def _window(call: ApiCall, low: str, high: str) -> tuple[int, int]:
    """The window of instants asked for, open where nothing was given; 400 for unreadable ends."""
    ends = []
    for name, default in zip((low, high), ALWAYS, strict=True):
        given = call.text(name)
        ms = instant_ms(given) if given else default
        if ms is None:
            raise Refused(400, f"Invalid {name}: {given}")
        ends.append(ms)
    without = 0 if call.account.settings.window_ends else 1
    return ends[0] + without, ends[1] - without


def events(call: ApiCall) -> Reply:
    """Occurrences by time; newest first unless ``sort=occurredAt``. Enterprise accounts only."""
    _need_enterprise(call)
    wanted = {"objectId": call.text("objectId")} if call.text("objectId") else {}
    if call.text("objectType"):
        wanted["objectType"] = call.text("objectType").upper()
    if call.text("objectProperty.email"):
        contact = call.table(KINDS["contacts"]).find("email", call.text("objectProperty.email"))
        wanted["objectId"] = contact.id if contact else ""
    by_property = {n.removeprefix("property."): v[0] for n, v in call.query.items() if n.startswith("property.")}
    of_type = call.text("eventType")
    entries = call.state.events.get(of_type, []) if of_type else all_events(call.state)
    if by_property:
        entries = [e for e in entries if all(e[2]["properties"].get(n) == v for n, v in by_property.items())]
    rows, after = page(
        entries,
        call.number("limit", 20, 100),
        call.text("after"),
        newest_first=call.text("sort", "-occurredAt") != "occurredAt",
        window=_window(call, "occurredAfter", "occurredBefore"),
        wanted=wanted,
    )
    return Reply(200, {"results": rows, **paging(after)})


def all_events(state: State) -> list[Entry]:
    """Events of every type in the order of their instants."""
    return list(merge(*state.events.values()))


def event_types(call: ApiCall) -> Reply:
    _need_enterprise(call)
    return Reply(200, {"eventTypes": sorted({*EVENT_TYPES, *call.state.events})})


def forms(call: ApiCall) -> Reply:
    rows, after = page_of(list(call.state.forms.values()), call.offset(), call.number("limit", 20, 100))
    return Reply(200, {"results": rows, **paging(after)})


def form(call: ApiCall, guid: str) -> Reply:
    if guid not in call.state.forms:
        raise Refused(404, f"Form {guid} does not exist", category=NOT_FOUND)
    return Reply(200, call.state.forms[guid])


def submissions(call: ApiCall, guid: str) -> Reply:
    """Newest first, 20 a page, at most 50; no filter by date."""
    if guid not in call.state.submissions:
        raise Refused(404, f"No form found with guid {guid}", category=NOT_FOUND)
    rows, after = page(call.state.submissions[guid], call.number("limit", 20, 50), call.text("after"), wanted={})
    return Reply(200, {"results": rows, **paging(after)})


def email_events(call: ApiCall) -> Reply:
    """The legacy per-recipient events, newest first."""
    wanted = {
        field: call.text(name)
        for name, field in (("recipient", "recipient"), ("campaignId", "emailCampaignId"), ("appId", "appId"))
        if call.text(name)
    }
    if call.text("eventType"):
        wanted["type"] = call.text("eventType").upper()
    rows, after = page(
        call.state.email_events,
        call.number("limit", 10, 1000),
        call.text("offset"),
        window=_window(call, "startTimestamp", "endTimestamp"),
        wanted=wanted,
    )
    return Reply(200, {"hasMore": after is not None, "offset": after or "", "events": rows})
