"""The webhooks of a legacy public app, set with a developer key (vendor page, section 10.1)."""

from typing import Any

from leadbridge.sandbox.hubspot.answers import Refused, Reply, iso_ms, to_ms
from leadbridge.sandbox.hubspot.call import ApiCall
from leadbridge.sandbox.hubspot.webhooks import Subscription, Webhooks

MOST = 1000
_OF_PROPERTY = ".propertyChange"


def _app(call: ApiCall, app_id: str) -> Webhooks:
    webhooks = call.account.webhooks
    if call.query.get("hapikey") != [webhooks.developer_key]:
        raise Refused(401, "The API key provided is invalid.", category="INVALID_AUTHENTICATION")
    if app_id != str(webhooks.app_id):
        raise Refused(404, "resource not found", category=None)
    return webhooks


def settings(call: ApiCall, app_id: str) -> Reply:
    """Where the app's webhooks go; 404 before that was ever said."""
    webhooks = _app(call, app_id)
    if webhooks.said_target is None:
        raise Refused(404, "resource not found", category=None)
    return Reply(200, {**webhooks.said_target, "createdAt": iso_ms(to_ms(call.now)), "updatedAt": None})


def set_settings(call: ApiCall, app_id: str) -> Reply:
    webhooks, given = _app(call, app_id), call.json()
    if not str(given.get("targetUrl", "")).startswith("https://"):
        raise Refused(400, "targetUrl must be a secure URL (https)")
    webhooks.said_target = {"targetUrl": given["targetUrl"], "throttling": given.get("throttling")}
    return settings(call, app_id)


def list_(call: ApiCall, app_id: str) -> Reply:
    return Reply(200, {"results": [_show(one) for one in _app(call, app_id).subscriptions.values()]})


def create(call: ApiCall, app_id: str) -> Reply:
    """New ones are paused unless they say ``active``."""
    webhooks, given = _app(call, app_id), call.json()
    event, of = str(given.get("eventType", "")), given.get("propertyName")
    if "." not in event or event.endswith(_OF_PROPERTY) != bool(of):
        raise Refused(400, "Invalid subscription: eventType and propertyName do not go together")
    if any((one.event, one.of) == (event, of or "") for one in webhooks.subscriptions.values()):
        raise Refused(400, f"A subscription for {event} {of or ''} already exists")
    if len(webhooks.subscriptions) >= MOST:
        raise Refused(
            400,
            "Couldn't create another subscription. You've reached the maximum number allowed per application (1000).",
        )
    made = webhooks.add_subscription(event, of or "", active=given.get("active") is True)
    call.act.note("webhook_subscribed", event=event, of=of or "")
    return Reply(201, _show(made))


def update(call: ApiCall, app_id: str, subscription_id: str) -> Reply:
    """Whether it is active is all that can be changed."""
    found = next((one for one in _app(call, app_id).subscriptions.values() if str(one.id) == subscription_id), None)
    if found is None:
        raise Refused(404, "resource not found", category=None)
    found.active = call.json().get("active") is True
    return Reply(200, _show(found))


def _show(one: Subscription) -> dict[str, Any]:
    about = {"propertyName": one.of} if one.of else {}
    return {"id": str(one.id), "eventType": one.event, **about, "active": one.active, "createdAt": one.made}
