"""Campaigns and what became of them: reports (vendor page, 10)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from leadbridge.sandbox.mailchimp.answers import Body, instant_in, listing, misshapen, not_found, stamp
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route
from leadbridge.sandbox.mailchimp.merge_fields import shown
from leadbridge.sandbox.mailchimp.state import PROXY_IP, Activity, Audience, Campaign, Member, code_of

PER_MEMBER_MAX = 1000  # opens, and clicks, that email-activity keeps of one member
JOURNEY_MAIL = "automation-email"
CAMPAIGN_SORT: dict[str, Callable[[Campaign], str]] = {
    "create_time": lambda campaign: stamp(campaign.created),
    "send_time": lambda campaign: stamp(campaign.send_time),
}


# --- campaigns ---------------------------------------------------------------------------------------------------


def _count(campaign: Campaign, action: str, *, people: bool = False) -> int:
    per_person = [sum(one.action == action for one in all_of) for all_of in campaign.activity.values()]
    return sum(map(bool, per_person)) if people else sum(per_person)


def _rate(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0


def _summary(campaign: Campaign) -> Body:
    sent = _count(campaign, "sent")
    opened, clicked = (_count(campaign, action, people=True) for action in ("open", "click"))
    return {
        "opens": _count(campaign, "open"),
        "unique_opens": opened,
        "open_rate": _rate(opened, sent),
        "clicks": _count(campaign, "click"),
        "subscriber_clicks": clicked,
        "click_rate": _rate(clicked, sent),
        "ecommerce": {"total_orders": 0, "total_spent": 0, "total_revenue": 0},
    }


def _show(core: Core, campaign: Campaign) -> Body:
    audience, sent = core.state.audiences[campaign.list_id], _count(campaign, "sent")
    return {
        "id": campaign.id,
        "web_id": campaign.web_id,
        "type": campaign.type,
        "create_time": stamp(campaign.created),
        "archive_url": "",
        "long_archive_url": "",
        "status": "sent" if campaign.send_time else "save",
        "emails_sent": sent,
        "send_time": stamp(campaign.send_time),
        "content_type": "template",
        "needs_block_refresh": False,
        "resendable": False,
        "recipients": {
            "list_id": audience.id,
            "list_is_active": True,
            "list_name": audience.name,
            "segment_text": "",
            "recipient_count": sent,
        },
        "settings": {"subject_line": campaign.title, "title": campaign.title, "from_name": "Sandy", "to_name": ""},
        "tracking": {"opens": True, "html_clicks": True, "text_clicks": False},
        "report_summary": _summary(campaign),
        "delivery_status": {"enabled": False},
        "_links": [],
    }


def _listed(core: Core, ask: Ask) -> list[Campaign]:
    """Campaigns as both listings show them: mail of journeys is never among them (vendor page, 10)."""
    query = ask.query
    rows = [campaign for campaign in core.state.campaigns.values() if campaign.type != JOURNEY_MAIL]
    if query.get("list_id"):
        rows = [campaign for campaign in rows if campaign.list_id == query["list_id"]]
    if query.get("type"):
        rows = [campaign for campaign in rows if campaign.type == query["type"]]
    if (since := instant_in(query, "since_send_time")) is not None:
        rows = [campaign for campaign in rows if campaign.send_time and campaign.send_time >= since]
    if (before := instant_in(query, "before_send_time")) is not None:
        rows = [campaign for campaign in rows if campaign.send_time and campaign.send_time <= before]
    return rows


def _list(core: Core, ask: Ask) -> Body:
    rows, query = _listed(core, ask), ask.query
    if status := query.get("status"):
        rows = [campaign for campaign in rows if ("sent" if campaign.send_time else "save") == status]
    if query.get("member_id"):
        contacts = {one.contact_id for one in _members(core) if one.id == query["member_id"]}
        rows = [campaign for campaign in rows if contacts & campaign.activity.keys()]
    field = query.get("sort_field", "create_time")
    if field not in CAMPAIGN_SORT:
        raise misshapen(("sort_field", f"Use one of: {', '.join(CAMPAIGN_SORT)}."))
    rows.sort(key=CAMPAIGN_SORT[field], reverse=query.get("sort_dir", "DESC").upper() != "ASC")
    return listing("campaigns", rows, query, lambda campaign: _show(core, campaign))


def _members(core: Core) -> Iterable[Member]:
    return (member for audience in core.state.audiences.values() for member in audience.members.values())


def _campaign(core: Core, ask: Ask) -> Campaign:
    try:
        return core.state.campaigns[ask.at["campaign_id"]]
    except KeyError:
        raise not_found() from None


def _get(core: Core, ask: Ask) -> Body:
    return _show(core, _campaign(core, ask))


# --- reports -----------------------------------------------------------------------------------------------------


def _report(core: Core, campaign: Campaign) -> Body:
    summary, audience = _summary(campaign), core.state.audiences[campaign.list_id]
    bounces = [one.bounce_type for one in _all(campaign) if one.action == "bounce"]
    last = {
        action: stamp(max((one.at for one in _all(campaign) if one.action == action), default=None))
        for action in ("open", "click")
    }
    return {
        "id": campaign.id,
        "campaign_title": campaign.title,
        "type": campaign.type,
        "list_id": audience.id,
        "list_is_active": True,
        "list_name": audience.name,
        "subject_line": campaign.title,
        "preview_text": "",
        "emails_sent": _count(campaign, "sent"),
        "abuse_reports": 0,
        "unsubscribed": _count(campaign, "unsub"),
        "send_time": stamp(campaign.send_time),
        "bounces": {
            "hard_bounces": bounces.count("hard"),
            "soft_bounces": bounces.count("soft"),
            "syntax_errors": 0,
        },
        "opens": {
            "opens_total": summary["opens"],
            "unique_opens": summary["unique_opens"],
            "open_rate": summary["open_rate"],
            "last_open": last["open"],
            **_without_proxies(campaign),
        },
        "clicks": {
            "clicks_total": summary["clicks"],
            "unique_clicks": len({one.url for one in _all(campaign) if one.action == "click"}),
            "unique_subscriber_clicks": summary["subscriber_clicks"],
            "click_rate": summary["click_rate"],
            "last_click": last["click"],
        },
        "delivery_status": {"enabled": False},
        "_links": [],
    }


def _without_proxies(campaign: Campaign) -> Body:
    """Opens that no privacy proxy made. Only such totals are told, never of which events (vendor page, 10)."""
    opens = [
        [one for one in all_of if one.action == "open" and one.ip != PROXY_IP] for all_of in campaign.activity.values()
    ]
    people = sum(map(bool, opens))
    return {
        "proxy_excluded_opens": sum(map(len, opens)),
        "proxy_excluded_unique_opens": people,
        "proxy_excluded_open_rate": _rate(people, _count(campaign, "sent")),
    }


def _all(campaign: Campaign) -> Iterator[Activity]:
    return (one for all_of in campaign.activity.values() for one in all_of)


def _list_reports(core: Core, ask: Ask) -> Body:
    rows = [campaign for campaign in _listed(core, ask) if campaign.send_time]
    return listing("reports", rows, ask.query, lambda campaign: _report(core, campaign))


def _get_report(core: Core, ask: Ask) -> Body:
    return _report(core, _campaign(core, ask))


def _recipients(core: Core, campaign: Campaign) -> Iterator[tuple[Member, list[Activity]]]:
    """Whoever the campaign knows and the audience still has."""
    audience = core.state.audiences[campaign.list_id]
    for contact_id, activity in campaign.activity.items():
        if (member := audience.by_contact.get(contact_id)) is not None:
            yield member, activity


def _who(campaign: Campaign, member: Member) -> Body:
    return {
        "campaign_id": campaign.id,
        "list_id": campaign.list_id,
        "list_is_active": True,
        "email_id": member.id,
        "email_address": member.email,
    }


def _person(core: Core, campaign: Campaign, member: Member) -> Body:
    audience: Audience = core.state.audiences[campaign.list_id]
    return {
        **_who(campaign, member),
        "contact_status": member.status,
        "merge_fields": shown(audience, member.merge_fields),
        "vip": member.vip,
        "_links": [],
    }


def _shown_activity(activity: Iterable[Activity], since: datetime | None) -> list[Body]:
    """Opens, clicks and the first bounce, oldest first."""
    left = {"open": PER_MEMBER_MAX, "click": PER_MEMBER_MAX, "bounce": 1}
    rows: list[Body] = []
    for one in sorted(activity, key=lambda one: one.at):
        if left.get(one.action, 0) <= 0:
            continue
        left[one.action] -= 1
        if since is not None and one.at < since:
            continue
        row: Body = {"action": one.action}
        if one.action == "bounce":
            row["type"] = one.bounce_type or "hard"
        row["timestamp"] = stamp(one.at)
        if one.url:
            row["url"] = one.url
        if one.action != "bounce":
            row["ip"] = one.ip
        rows.append(row)
    return rows


def _email_activity(core: Core, ask: Ask) -> Body:
    campaign, since = _campaign(core, ask), instant_in(ask.query, "since")
    if campaign.type == JOURNEY_MAIL and not core.settings.journey_email_activity:
        raise not_found()
    rows = [
        (member, shown_activity)
        for member, activity in _recipients(core, campaign)
        if (shown_activity := _shown_activity(activity, since)) or since is None or core.settings.since_keeps_idle
    ]
    return listing(
        "emails",
        rows,
        ask.query,
        lambda row: {**_who(campaign, row[0]), "activity": row[1], "_links": []},
        campaign_id=campaign.id,
    )


def _email_activity_of_one(core: Core, ask: Ask) -> Body:
    campaign = _campaign(core, ask)
    for member, activity in _recipients(core, campaign):
        if member.id == ask.at["subscriber_hash"]:
            since = instant_in(ask.query, "since")
            return {**_who(campaign, member), "activity": _shown_activity(activity, since), "_links": []}
    raise not_found()


def _open_details(core: Core, ask: Ask) -> Body:
    campaign, since = _campaign(core, ask), instant_in(ask.query, "since")
    rows = [
        (member, opens)
        for member, activity in _recipients(core, campaign)
        if (opens := [one for one in activity if one.action == "open" and (since is None or one.at >= since)])
    ]
    return listing(
        "members",
        rows,
        ask.query,
        lambda row: {
            **_person(core, campaign, row[0]),
            "opens_count": len(row[1]),
            "opens": [{"timestamp": stamp(one.at)} for one in row[1]],
        },
        campaign_id=campaign.id,
        total_opens=sum(len(opens) for _, opens in rows),
    )


def _links(campaign: Campaign) -> dict[str, list[Activity]]:
    links: dict[str, list[Activity]] = {}
    for one in _all(campaign):
        if one.action == "click":
            links.setdefault(one.url, []).append(one)
    return links


def _link_id(campaign: Campaign, url: str) -> str:
    return code_of(campaign.id, url)[:10]


def _click_details(core: Core, ask: Ask) -> Body:
    campaign = _campaign(core, ask)
    total = _count(campaign, "click")

    def show(row: tuple[str, list[Activity]]) -> Body:
        url, clicks = row
        people = sum(any(one.url == url for one in all_of) for all_of in campaign.activity.values())
        return {
            "id": _link_id(campaign, url),
            "url": url,
            "total_clicks": len(clicks),
            "click_percentage": _rate(len(clicks), total),
            "unique_clicks": people,
            "unique_click_percentage": _rate(people, max(1, _count(campaign, "click", people=True))),
            "last_click": stamp(max(one.at for one in clicks)),
            "campaign_id": campaign.id,
            "_links": [],
        }

    return listing("urls_clicked", list(_links(campaign).items()), ask.query, show, campaign_id=campaign.id)


def _click_members(core: Core, ask: Ask) -> Body:
    campaign = _campaign(core, ask)
    url = next((url for url in _links(campaign) if _link_id(campaign, url) == ask.at["link_id"]), None)
    if url is None:
        raise not_found()
    rows = [
        (member, clicks)
        for member, activity in _recipients(core, campaign)
        if (clicks := sum(one.action == "click" and one.url == url for one in activity))
    ]
    return listing(
        "members",
        rows,
        ask.query,
        lambda row: {**_person(core, campaign, row[0]), "clicks": row[1], "url_id": ask.at["link_id"]},
        campaign_id=campaign.id,
    )


def _unsubscribed(core: Core, ask: Ask) -> Body:
    """No ``since`` and no sorting here (vendor page, 10)."""
    campaign = _campaign(core, ask)
    rows = [
        (member, one) for member, activity in _recipients(core, campaign) for one in activity if one.action == "unsub"
    ]

    def show(row: tuple[Member, Activity]) -> Body:
        person = _person(core, campaign, row[0])
        del person["contact_status"]
        return {**person, "timestamp": stamp(row[1].at), "reason": row[0].unsubscribe_reason or "None given"}

    return listing("unsubscribes", rows, ask.query, show, campaign_id=campaign.id)


def _sent_to(core: Core, ask: Ask) -> Body:
    campaign = _campaign(core, ask)
    rows = [row for row in _recipients(core, campaign) if any(one.action == "sent" for one in row[1])]

    def show(row: tuple[Member, list[Activity]]) -> Body:
        member, activity = row
        person = _person(core, campaign, member)
        del person["contact_status"]
        opens = [one.at for one in activity if one.action == "open"]
        bounce = next((one.bounce_type for one in activity if one.action == "bounce"), "sent")
        return {
            **person,
            "status": bounce or "hard",
            "open_count": len(opens),
            "last_open": stamp(max(opens, default=None)),
            "gmt_offset": 0,
        }

    return listing("sent_to", rows, ask.query, show, campaign_id=campaign.id)


def _content(core: Core, ask: Ask) -> Body:
    """``GET /campaigns/{id}/content``: 404 for mail of a journey, as one of two sources saw."""
    campaign = _campaign(core, ask)
    if campaign.type == JOURNEY_MAIL:
        raise not_found()
    return {"plain_text": campaign.title, "html": f"<p>{campaign.title}</p>", "_links": []}


_R = "/reports/{campaign_id}"
ROUTES = (
    Route("GET", "/campaigns", "campaigns.list", _list),
    Route("GET", "/campaigns/{campaign_id}", "campaigns.get", _get),
    Route("GET", "/campaigns/{campaign_id}/content", "campaigns.content", _content),
    Route("GET", "/reports", "reports.list", _list_reports),
    Route("GET", _R, "reports.get", _get_report),
    Route("GET", _R + "/email-activity", "reports.email_activity", _email_activity),
    Route("GET", _R + "/email-activity/{subscriber_hash}", "reports.email_activity.get", _email_activity_of_one),
    Route("GET", _R + "/open-details", "reports.open_details", _open_details),
    Route("GET", _R + "/click-details", "reports.click_details", _click_details),
    Route("GET", _R + "/click-details/{link_id}/members", "reports.click_members", _click_members),
    Route("GET", _R + "/unsubscribed", "reports.unsubscribed", _unsubscribed),
    Route("GET", _R + "/sent-to", "reports.sent_to", _sent_to),
)
