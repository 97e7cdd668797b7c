"""Audience webhooks: their endpoints, and what is announced to them (vendor page, 11)."""

import itertools
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from leadbridge.sandbox.mailchimp.answers import Body, Problem, invalid, listing, not_found, stamp
from leadbridge.sandbox.mailchimp.core import Act, Ask, Core, Route
from leadbridge.sandbox.mailchimp.courier import Parcel, call
from leadbridge.sandbox.mailchimp.merge_fields import shown
from leadbridge.sandbox.mailchimp.state import Audience, Member, Webhook, code_of

EVENTS = ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign")
SOURCES = ("user", "admin", "api")
BATCH_HOOKS_MAX = 20
Fields = Mapping[str, Any]


def announce(core: Core, audience: Audience, kind: str, data: Fields, act: Act) -> None:
    """Tell every webhook of the audience that wants this kind of news from this source."""
    if act.silent:
        return
    fields = (("type", kind), ("fired_at", act.at.strftime("%Y-%m-%d %H:%M:%S")), *bracketed("data", data))
    for hook in audience.webhooks.values():
        # A campaign's news ignores the sources (vendor page, 11).
        if hook.disabled or not hook.events[kind] or not (kind == "campaign" or hook.sources[act.source]):
            continue
        core.courier.send(Parcel(hook.url, fields, hook.secret if hook.signed else None, partial(_off, hook)))


def _off(hook: Webhook) -> None:
    hook.disabled = True


def bracketed(name: str, value: Any) -> Iterable[tuple[str, str]]:
    """PHP's way of putting a tree into a form: ``data[merges][FNAME]``."""
    if isinstance(value, Mapping):
        return itertools.chain.from_iterable(bracketed(f"{name}[{key}]", one) for key, one in value.items())
    if isinstance(value, list):
        return itertools.chain.from_iterable(bracketed(f"{name}[{index}]", one) for index, one in enumerate(value))
    return ((name, str(value)),)


def about(audience: Audience, member: Member, *, signup: bool = False) -> Body:
    """What subscribe, unsubscribe and profile say of a person. ``id`` is not the subscriber hash."""
    return {
        "id": member.unique_email_id,
        "list_id": audience.id,
        "email": member.email,
        "email_type": member.email_type,
        "ip_opt": member.ip_opt,
        **({"ip_signup": member.ip_signup} if signup else {}),
        "web_id": member.web_id,
        "merges": {"EMAIL": member.email, **shown(audience, member.merge_fields), "INTERESTS": ""},
    }


# --- endpoints ---------------------------------------------------------------------------------------------------


def _show(audience: Audience, hook: Webhook, *, once: bool = False) -> Body:
    return {
        "id": hook.id,
        "url": hook.url,
        "events": dict(hook.events),
        "sources": dict(hook.sources),
        "list_id": audience.id,
        "signing_enabled": hook.signed,
        **({"signing_secret": hook.secret} if once and hook.signed else {}),  # shown at creation, never again
        "_links": [],
    }


def _bare(url: str) -> str:
    """The address as far as Mailchimp tells webhooks apart: without its query."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def _refused(message: str) -> Problem:
    return invalid("The resource submitted could not be validated.", [("url", message)])


def _check_url(core: Core, audience: Audience, url: str, but: str | None = None) -> None:
    """Must be called without the lock: the receiver may be busy talking to us."""
    with core.lock:
        if any(_bare(hook.url) == _bare(url) for hook in audience.webhooks.values() if hook.id != but):
            raise _refused("Sorry, you can't set up multiple WebHooks for one URL on the same list.")
    probe(core, url)


def probe(core: Core, url: str) -> None:
    """GET the address; anything but 200 refuses it."""
    status = call("GET", url, core.settings.webhook_deadline)
    if status != 200:
        raise _refused(
            f"We couldn't verify the URL is working. Please double check and try again. HTTP Code: {status or 400}"
        )


def _switches(names: tuple[str, ...], given: Any, default: bool) -> dict[str, bool]:
    given = given if isinstance(given, dict) else {}
    return {name: bool(given.get(name, default)) for name in names}


def _create(core: Core, ask: Ask) -> Body:
    audience, body = core.audience(ask), ask.fields("url")
    _check_url(core, audience, str(body["url"]))
    with core.lock:
        number = core.state.next("webhook")
        hook = Webhook(
            code_of("webhook", number)[:10],
            str(body["url"]),
            _switches(EVENTS, body.get("events"), default=False),
            _switches(SOURCES, body.get("sources"), default=False),
            code_of("webhook secret", number)[:40],
            core.settings.sign_webhooks,
        )
        audience.webhooks[hook.id] = hook
        ask.act.effect("webhook_created", list=audience.id, url=hook.url)
        return _show(audience, hook, once=True)


def _hook(core: Core, ask: Ask) -> tuple[Audience, Webhook]:
    audience = core.audience(ask)
    try:
        return audience, audience.webhooks[ask.at["webhook_id"]]
    except KeyError:
        raise not_found() from None


def _list(core: Core, ask: Ask) -> Body:
    audience = core.audience(ask)
    # The contract gives this collection no paging.
    rows = list(audience.webhooks.values())
    return listing("webhooks", rows, {"count": "1000"}, lambda hook: _show(audience, hook), list_id=audience.id)


def _get(core: Core, ask: Ask) -> Body:
    return _show(*_hook(core, ask))


def _update(core: Core, ask: Ask) -> Body:
    audience, hook = _hook(core, ask)
    body = ask.fields()
    if body.get("url") and body["url"] != hook.url:
        _check_url(core, audience, str(body["url"]), but=hook.id)
        hook.url = str(body["url"])
    for name, held in (("events", hook.events), ("sources", hook.sources)):
        held.update({key: bool(on) for key, on in (body.get(name) or {}).items() if key in held})
    hook.disabled = False
    return _show(audience, hook)


def _delete(core: Core, ask: Ask) -> None:
    audience, hook = _hook(core, ask)
    del audience.webhooks[hook.id]
    ask.act.effect("webhook_deleted", list=audience.id, url=hook.url)


# --- batch webhooks: one kind of news, for the whole account (vendor page, 8) ------------------------------------


def announce_batch(core: Core, shown_batch: Body) -> None:
    fired = stamp(core.now())[:19].replace("T", " ")
    fields = (("type", "batch_operation_completed"), ("fired_at", fired), *bracketed("data", shown_batch))
    for hook_id, (url, enabled) in core.state.batch_hooks.items():
        if enabled:
            secret = code_of("batch webhook secret", hook_id)[:40] if core.settings.sign_webhooks else None
            core.courier.send(Parcel(url, fields, secret, partial(_batch_off, core, hook_id)))


def _batch_off(core: Core, hook_id: str) -> None:
    url, _ = core.state.batch_hooks[hook_id]
    core.state.batch_hooks[hook_id] = (url, False)


def _show_batch_hook(core: Core, hook_id: str, *, once: bool = False) -> Body:
    url, enabled = core.state.batch_hooks[hook_id]
    secret = {"signing_secret": code_of("batch webhook secret", hook_id)[:40]} if once else {}
    signing = core.settings.sign_webhooks
    return {"id": hook_id, "url": url, "enabled": enabled, "signing_enabled": signing, **secret, "_links": []}


def _create_batch_hook(core: Core, ask: Ask) -> Body:
    body = ask.fields("url")
    probe(core, str(body["url"]))
    with core.lock:
        if len(core.state.batch_hooks) >= BATCH_HOOKS_MAX:
            raise invalid(f"You have reached the limit of {BATCH_HOOKS_MAX} batch webhooks.")
        hook_id = code_of("batch webhook", core.state.next("batch webhook"))[:10]
        core.state.batch_hooks[hook_id] = (str(body["url"]), bool(body.get("enabled", True)))
        return _show_batch_hook(core, hook_id, once=core.settings.sign_webhooks)


def _batch_hook(core: Core, ask: Ask) -> str:
    if ask.at["batch_webhook_id"] not in core.state.batch_hooks:
        raise not_found()
    return ask.at["batch_webhook_id"]


def _list_batch_hooks(core: Core, ask: Ask) -> Body:
    return listing("webhooks", list(core.state.batch_hooks), ask.query, lambda hook: _show_batch_hook(core, hook))


def _get_batch_hook(core: Core, ask: Ask) -> Body:
    return _show_batch_hook(core, _batch_hook(core, ask))


def _update_batch_hook(core: Core, ask: Ask) -> Body:
    hook_id, body = _batch_hook(core, ask), ask.fields()
    url, enabled = core.state.batch_hooks[hook_id]
    if body.get("url"):
        probe(core, url := str(body["url"]))
    core.state.batch_hooks[hook_id] = (url, bool(body.get("enabled", enabled)))
    return _show_batch_hook(core, hook_id)


def _delete_batch_hook(core: Core, ask: Ask) -> None:
    del core.state.batch_hooks[_batch_hook(core, ask)]


_OF_LIST = "/lists/{list_id}/webhooks"
_OF_BATCH = "/batch-webhooks"
ROUTES = (
    Route("GET", _OF_LIST, "webhooks.list", _list),
    Route("POST", _OF_LIST, "webhooks.create", _create, locked=False),
    Route("GET", _OF_LIST + "/{webhook_id}", "webhooks.get", _get),
    Route("PATCH", _OF_LIST + "/{webhook_id}", "webhooks.update", _update, locked=False),
    Route("DELETE", _OF_LIST + "/{webhook_id}", "webhooks.delete", _delete),
    Route("GET", _OF_BATCH, "batch_webhooks.list", _list_batch_hooks),
    Route("POST", _OF_BATCH, "batch_webhooks.create", _create_batch_hook, locked=False),
    Route("GET", _OF_BATCH + "/{batch_webhook_id}", "batch_webhooks.get", _get_batch_hook),
    Route("PATCH", _OF_BATCH + "/{batch_webhook_id}", "batch_webhooks.update", _update_batch_hook, locked=False),
    Route("DELETE", _OF_BATCH + "/{batch_webhook_id}", "batch_webhooks.delete", _delete_batch_hook),
)
