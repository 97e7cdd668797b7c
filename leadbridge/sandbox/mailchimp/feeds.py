"""What one contact did, in both shapes (vendor page, 10)."""

from collections.abc import Callable
from typing import Any

from leadbridge.sandbox.mailchimp.answers import Body, listing, stamp
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route
from leadbridge.sandbox.mailchimp.state import Activity, Member

OLD_FEED_MAX = 50


def _feed_item(core: Core, member: Member, one: Activity) -> Body:
    item: Body = {
        "activity_type": one.action,
        "created_at_timestamp": stamp(one.at),
        "campaign_id": one.campaign_id,
        "campaign_title": core.state.campaigns[one.campaign_id].title,
    }
    more: dict[str, Callable[[], Body]] = {
        "click": lambda: {"link_clicked": one.url},
        "bounce": lambda: {"bounce_type": one.bounce_type or "hard", "bounce_has_open_activity": False},
        "unsub": lambda: {"is_admin_unsubscribed": False, "unsubscribe_reason": member.unsubscribe_reason},
    }
    return item | more.get(one.action, dict)()


def _feed(core: Core, ask: Ask) -> Body:
    """Newest first unless set otherwise; no ``since`` and no total (vendor page, 10)."""
    audience, member = core.member(ask)
    rows = [(one.at, _feed_item(core, member, one)) for one in core.state.activity.get(member.contact_id, ())]
    rows += [
        (
            event.occurred_at,
            {
                "activity_type": "event",
                "created_at_timestamp": stamp(event.occurred_at),
                "event_name": event.name,
                "event_properties": [f"{name}: {value}" for name, value in event.properties.items()],
            },
        )
        for event in member.events
    ]
    if member.timestamp_opt:
        signup = {"activity_type": "generic_signup", "created_at_timestamp": stamp(member.timestamp_opt)}
        rows.append((member.timestamp_opt, {**signup, "signup_category": member.source}))
    wanted = set(filter(None, ask.query.get("activity_filters", "").split(",")))
    kept = [row for row in rows if not wanted or row[1]["activity_type"] in wanted]
    kept.sort(key=lambda row: row[0], reverse=core.settings.feed_newest_first)
    body = listing("activity", [row[1] for row in kept], ask.query, email_id=member.id, list_id=audience.id)
    del body["total_items"]
    return body


def _old_activity(core: Core, ask: Ask) -> Body:
    """The older shape: the last fifty, other key names."""
    audience, member = core.member(ask)
    wanted = set(filter(None, ask.query.get("action", "").split(",")))
    rows: list[Any] = sorted(core.state.activity.get(member.contact_id, ()), key=lambda one: one.at, reverse=True)
    shown_rows = [
        {
            "action": one.action,
            "timestamp": stamp(one.at),
            **({"url": one.url} if one.url else {}),
            **({"type": one.bounce_type or "hard"} if one.action == "bounce" else {}),
            "campaign_id": one.campaign_id,
            "title": core.state.campaigns[one.campaign_id].title,
        }
        for one in rows[:OLD_FEED_MAX]
        if not wanted or one.action in wanted
    ]
    total = len(shown_rows)
    return {
        "activity": shown_rows,
        "email_id": member.id,
        "contact_id": member.contact_id,
        "list_id": audience.id,
        "total_items": total,
        "_links": [],
    }


_M = "/lists/{list_id}/members/{subscriber_hash}"
ROUTES = (
    Route("GET", _M + "/activity-feed", "members.activity_feed", _feed),
    Route("GET", _M + "/activity", "members.activity", _old_activity),
)
