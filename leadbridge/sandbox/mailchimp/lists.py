"""Health, account and audiences (vendor page, 1 and 3)."""

from leadbridge.sandbox.mailchimp.answers import Body, listing, stamp
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route
from leadbridge.sandbox.mailchimp.state import Audience, code_of

ACCOUNT_NAME = "Leadbridge Sandbox"
ACCOUNT_EMAIL = "owner@sandbox.example"


def _ping(_core: Core, _ask: Ask) -> Body:
    return {"health_status": "Everything's Chimpy!"}


def _account(core: Core, _ask: Ask) -> Body:
    return {
        "account_id": code_of("account")[:25],
        "login_id": "168270000",
        "account_name": ACCOUNT_NAME,
        "email": ACCOUNT_EMAIL,
        "first_name": "Sandy",
        "last_name": "Box",
        "username": ACCOUNT_EMAIL,
        "avatar_url": "",
        "role": "owner",
        "member_since": "2024-01-01T00:00:00+00:00",
        "pricing_plan_type": "monthly",
        "first_payment": "2024-01-01T00:00:00+00:00",
        "account_timezone": "UTC",
        "account_industry": "Software and Web App",
        "contact": {
            "company": ACCOUNT_NAME,
            "addr1": "1 Sandbox Street",
            "addr2": "",
            "city": "Testville",
            "state": "",
            "zip": "00000",
            "country": "US",
        },
        "pro_enabled": False,
        "last_login": stamp(core.now()),
        "total_subscribers": sum(_count(one, "subscribed") for one in core.state.audiences.values()),
        "industry_stats": {"open_rate": 0.21, "bounce_rate": 0.01, "click_rate": 0.02},
        "_links": [],
    }


def _count(audience: Audience, *statuses: str) -> int:
    return sum(member.status in statuses for member in audience.members.values())


def _show(core: Core, audience: Audience) -> Body:
    campaigns = [one for one in core.state.campaigns.values() if one.list_id == audience.id and one.type == "regular"]
    sent = [one.send_time for one in campaigns if one.send_time]
    opted = [member.timestamp_opt for member in audience.members.values() if member.timestamp_opt]
    left = [member.unsubscribed_at for member in audience.members.values() if member.unsubscribed_at]
    archived = _count(audience, "archived")
    return {
        "id": audience.id,
        "web_id": int(code_of(audience.id)[:6], 16),
        "name": audience.name,
        "contact": {
            "company": ACCOUNT_NAME,
            "address1": "1 Sandbox Street",
            "address2": "",
            "city": "Testville",
            "state": "",
            "zip": "00000",
            "country": "US",
            "phone": "",
        },
        "permission_reminder": "You asked for news on our website.",
        "use_archive_bar": True,
        "campaign_defaults": {
            "from_name": "Sandy",
            "from_email": ACCOUNT_EMAIL,
            "subject": "",
            "language": "en",
        },
        "notify_on_subscribe": "",
        "notify_on_unsubscribe": "",
        "date_created": stamp(audience.created),
        "list_rating": 3,
        "email_type_option": False,
        "subscribe_url_short": "",
        "subscribe_url_long": "",
        "beamer_address": "",
        "visibility": "prv",
        "double_optin": audience.double_optin,
        "has_welcome": False,
        "marketing_permissions": bool(audience.permissions),
        "modules": [],
        "stats": {
            "member_count": _count(audience, "subscribed"),
            "total_contacts": len(audience.members) - archived,
            "unsubscribe_count": _count(audience, "unsubscribed"),
            "cleaned_count": _count(audience, "cleaned"),
            "member_count_since_send": 0,
            "unsubscribe_count_since_send": 0,
            "cleaned_count_since_send": 0,
            "campaign_count": len(campaigns),
            "campaign_last_sent": stamp(max(sent, default=None)),
            "merge_field_count": len(audience.merge_fields),
            "avg_sub_rate": 0,
            "avg_unsub_rate": 0,
            "target_sub_rate": 0,
            "open_rate": 0,
            "click_rate": 0,
            "last_sub_date": stamp(max(opted, default=None)),
            "last_unsub_date": stamp(max(left, default=None)),
        },
        "_links": [],
    }


def _list(core: Core, ask: Ask) -> Body:
    rows = list(core.state.audiences.values())
    constraints = {"may_create": True, "max_instances": 10, "current_total_instances": len(rows)}
    return listing("lists", rows, ask.query, lambda one: _show(core, one), constraints=constraints)


def _get(core: Core, ask: Ask) -> Body:
    return _show(core, core.audience(ask))


ROUTES = (
    Route("GET", "/", "root", _account),
    Route("GET", "/ping", "ping", _ping),
    Route("GET", "/lists", "lists.list", _list),
    Route("GET", "/lists/{list_id}", "lists.get", _get),
)
