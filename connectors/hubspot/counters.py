"""Numbers that HubSpot only counts up, to activities by difference (vendors/hubspot.md section 8.3). Pure.

None of them has a history of its events, so what is told is how many more there are than at the last reading, dated by
the last of them. Nothing counts twice: where another source tells of each event, its counter is left alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.hubspot.wire import VENDOR
from connectors.values import moment
from leadbridge.types import Activity, ActivityKind, Lead

SOURCE = f"{VENDOR}.counters"


@dataclass(frozen=True, slots=True)
class Counter:
    """One counting property of a contact."""

    group: str  # key of the configuration: connections.hubspot.counters
    kind: ActivityKind
    last: str  # property that says when the last of them was
    told_by: str | None = None  # source that tells of each one
    network: str = ""


PAGE_VIEWS, SOCIAL_CLICKS, MAILS = "page_views", "social_clicks", "emails"
_SOCIAL = "hs_social_last_engagement"

COUNTERS = {
    "hs_analytics_num_page_views": Counter(
        PAGE_VIEWS, ActivityKind.PAGE_VIEW, "hs_analytics_last_timestamp", told_by="events"
    ),
    "hs_email_open": Counter(MAILS, ActivityKind.EMAIL_OPENED, "hs_email_last_open_date", told_by="email_events"),
    "hs_email_click": Counter(MAILS, ActivityKind.EMAIL_CLICKED, "hs_email_last_click_date", told_by="email_events"),
} | {
    f"hs_social_{network}_clicks": Counter(SOCIAL_CLICKS, ActivityKind.SOCIAL_CLICKED, _SOCIAL, network=network)
    for network in ("facebook", "linkedin", "twitter", "google_plus")
}


def properties_of(groups: Collection[str]) -> tuple[str, ...]:
    """What to read for these groups of counters: each number, and when the last of them was."""
    wanted = {name: counter for name, counter in COUNTERS.items() if counter.group in groups}
    return tuple(dict.fromkeys([*wanted, *(counter.last for counter in wanted.values())]))


def counted(lead: Lead, before: Mapping[str, str], told: Collection[str]) -> list[Activity]:
    """What a lead's counters say has happened since they stood at `before`. Empty at the first reading of a record.

    `told` names the sources that tell of each event themselves. A counter that went back says nothing.
    """
    found = []
    for name, counter in COUNTERS.items():
        more = _number(lead.counters.get(name)) - _number(before.get(name))
        if not before or more <= 0 or counter.told_by in told:
            continue
        known: dict[str, str | int | bool] = {"count": more, "counted": True, "counter": name}
        if counter.network:
            known["network"] = counter.network
        at = _at(lead, counter.last)
        place = f"{lead.ref.record_id}:{name}:{lead.counters[name]}"
        found.append(Activity(lead.ref.key, counter.kind, at, SOURCE, place, known))
    return found


def in_use(lead: Lead) -> bool:
    """Has anything been counted of this lead that a source may tell of too?"""
    return any(_number(lead.counters.get(name)) > 0 for name, counter in COUNTERS.items() if counter.told_by)


def _at(lead: Lead, last: str) -> datetime:
    """When the last of them was; when the record was changed, should that be missing or lie ahead of it."""
    at = moment(lead.counters.get(last))
    return at if at is not None and at <= lead.modified_at else lead.modified_at.astimezone(UTC)


def _number(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
