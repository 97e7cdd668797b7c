"""Contacts of an audience: reading, upserting, archiving, erasing, searching (vendor page, 3)."""

import ipaddress
from collections.abc import Callable
from datetime import datetime
from typing import Any

from leadbridge.sandbox.mailchimp import changes, journeys
from leadbridge.sandbox.mailchimp.answers import (
    Body,
    Problem,
    instant,
    instant_in,
    invalid,
    listing,
    misshapen,
    stamp,
    truth,
)
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route, find_member
from leadbridge.sandbox.mailchimp.merge_fields import read_values, shown
from leadbridge.sandbox.mailchimp.state import Audience, Member, hash_of

TAGS_SHOWN = 50
PATCHABLE = ("subscribed", "unsubscribed", "cleaned", "pending")
CANNOT_ARCHIVE = "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived"
_LOCATION = {"latitude": 0, "longitude": 0, "gmtoff": 0, "dstoff": 0, "country_code": "", "timezone": ""}
_PLAIN = {"language": str, "vip": bool, "email_type": str}  # stored as given


def show(core: Core, audience: Audience, member: Member) -> Body:
    """The contact as every answer shows it, keys in the order of the service."""
    body: Body = {
        "id": member.id,
        "email_address": member.email,
        "unique_email_id": member.unique_email_id,
        "contact_id": member.contact_id,
        "full_name": member.full_name,
        "web_id": member.web_id,
        "email_type": member.email_type,
        "status": member.status,
        "consents_to_one_to_one_messaging": True,
        "merge_fields": shown(audience, member.merge_fields),
        "stats": _rates(core, member),
        "ip_signup": member.ip_signup,
        "timestamp_signup": stamp(member.timestamp_signup),
        "ip_opt": member.ip_opt,
        "timestamp_opt": stamp(member.timestamp_opt),
        "member_rating": 2,
        "last_changed": stamp(member.last_changed),
        "language": member.language,
        "vip": member.vip,
        "email_client": "",
        "location": dict(_LOCATION),
        "source": member.source,
        "tags_count": len(member.tags),
        "tags": [{"id": tag, "name": audience.tags[tag].name} for tag in list(member.tags)[:TAGS_SHOWN]],
        "list_id": audience.id,
        "_links": [],
    }
    if member.status == "unsubscribed":
        body["unsubscribe_reason"] = member.unsubscribe_reason
    if audience.permissions:
        body["marketing_permissions"] = [
            {"marketing_permission_id": key, "text": text, "enabled": member.permissions.get(key, False)}
            for key, text in audience.permissions.items()
        ]
    return body


def _rates(core: Core, member: Member) -> Body:
    history = core.state.activity.get(member.contact_id)
    if not history:
        return {"avg_open_rate": 0, "avg_click_rate": 0}
    campaigns = {kind: {one.campaign_id for one in history if one.action == kind} for kind in ("sent", "open", "click")}
    sent = max(1, len(campaigns["sent"]))
    return {f"avg_{kind}_rate": min(1.0, round(len(campaigns[kind]) / sent, 4)) for kind in ("open", "click")}


# --- reading -----------------------------------------------------------------------------------------------------

_SORT: dict[str, Callable[[Member], Any]] = {
    "timestamp_opt": lambda member: stamp(member.timestamp_opt),
    "timestamp_signup": lambda member: stamp(member.timestamp_signup),
    "last_changed": lambda member: member.last_changed,
}
# since_… is strictly greater, before_… strictly less (vendor page, 3).
_SPANS: tuple[tuple[str, Callable[[Member], datetime | None]], ...] = (
    ("last_changed", lambda member: member.last_changed),
    ("timestamp_opt", lambda member: member.timestamp_opt),
)


def _list(core: Core, ask: Ask) -> Body:
    audience, query = core.audience(ask), ask.query
    rows = list(audience.members.values())
    if status := query.get("status"):
        rows = [member for member in rows if member.status == status]
    for name, of in _SPANS:
        if (since := instant_in(query, f"since_{name}")) is not None:
            rows = [member for member in rows if (at := of(member)) is not None and at > since]
        if (before := instant_in(query, f"before_{name}")) is not None:
            rows = [member for member in rows if (at := of(member)) is not None and at < before]
    if (since := instant_in(query, "unsubscribed_since")) is not None:
        if status != "unsubscribed":
            raise invalid("The unsubscribed_since parameter can only be used with status=unsubscribed.")
        rows = [member for member in rows if member.unsubscribed_at is not None and member.unsubscribed_at > since]
    if truth(query.get("vip_only", "")):
        rows = [member for member in rows if member.vip]
    if query.get("unique_email_id"):
        rows = [member for member in rows if member.unique_email_id == query["unique_email_id"]]
    if field := query.get("sort_field"):
        if field not in _SORT:
            raise misshapen(("sort_field", f"Use one of: {', '.join(_SORT)}."))
        rows.sort(key=_SORT[field], reverse=query.get("sort_dir", "ASC").upper() == "DESC")
    return listing("members", rows, query, lambda member: show(core, audience, member), list_id=audience.id)


def _get(core: Core, ask: Ask) -> Body:
    return show(core, *core.member(ask))


def _search(core: Core, ask: Ask) -> Body:
    """Address or name only; no search by merge field (vendor page, 3)."""
    query, wanted = ask.query.get("query", "").strip().lower(), ask.query.get("list_id")
    if not query:
        raise misshapen(("query", "This value should not be blank."))
    exact: list[Body] = []
    full: list[Body] = []
    for audience in core.state.audiences.values():
        if wanted in (None, "", audience.id):
            for member in audience.members.values():
                if query == member.email.lower():
                    exact.append(show(core, audience, member))
                elif query in member.email.lower() or query in member.full_name.lower():
                    full.append(show(core, audience, member))
    results = (("exact_matches", exact), ("full_search", full))
    return {name: {"members": rows[:30], "total_items": len(rows)} for name, rows in results} | {"_links": []}


# --- writing -----------------------------------------------------------------------------------------------------


def _checked_rest(audience: Audience, body: Body) -> Callable[[Member], None]:
    """Judge the parts of a contact that obey no rule of their own; what comes back stores them."""
    for name in ("ip_signup", "ip_opt"):
        if body.get(name):
            try:
                ipaddress.ip_address(str(body[name]))
            except ValueError:
                raise misshapen((name, "This value is not a valid IP address.")) from None
    times = {name: instant(str(body[name]), name) for name in ("timestamp_signup", "timestamp_opt") if body.get(name)}
    allowed = {str(one.get("marketing_permission_id")): one for one in body.get("marketing_permissions") or ()}

    def store(member: Member) -> None:
        for name, kind in _PLAIN.items():
            if body.get(name) is not None:
                setattr(member, name, kind(body[name]))
        for name in ("ip_signup", "ip_opt"):
            if body.get(name):
                setattr(member, name, str(body[name]))
        for name, at in times.items():
            setattr(member, name, at)
        for key in allowed.keys() & audience.permissions.keys():
            member.permissions[key] = bool(allowed[key].get("enabled"))

    return store


def create(core: Core, audience: Audience, ask: Ask, body: Body, status: str, *, skip_required: bool) -> Member:
    """A new contact. Nothing is stored when anything about it is wrong."""
    email = changes.check_address(core, audience, str(body.get("email_address", "")))
    values = read_values(audience, body.get("merge_fields", {}), {}, skip_required=skip_required)
    store = _checked_rest(audience, body)
    member = changes.new_member(core, audience, email, ask.act)
    member.merge_fields.update({tag: value for tag, value in values.items() if value != ""})
    changes.set_status(core, audience, member, status, ask.act)
    store(member)
    for tag, value in member.merge_fields.items():
        ask.act.effect("merge_field_changed", email_hash=member.id, tag=tag, old="", new=value)
        if not ask.act.silent:
            journeys.merge_field_changed(core, audience, member, ask.act, tag, value)
    return member


def update(
    core: Core, audience: Audience, ask: Ask, member: Member, body: Body, status: str | None, *, skip_required: bool
) -> None:
    """Change what is named, keep the rest. Nothing is changed when anything about it is wrong."""
    email = str(body.get("email_address") or member.email).strip()
    if hash_of(email) != member.id:
        email = changes.check_address(core, audience, email)
        if hash_of(email) in audience.members:
            raise changes.exists(email)
    if status is not None:
        changes.check_consent(member, status)
    values = read_values(audience, body.get("merge_fields", {}), member.merge_fields, skip_required=skip_required)
    store = _checked_rest(audience, body)
    changes.set_address(core, audience, member, email, ask.act)
    if status is not None:
        changes.set_status(core, audience, member, status, ask.act)
    store(member)
    changes.set_fields(core, audience, member, values, ask.act)


def tag_names(body: Body) -> list[str]:
    """Tags of a creation: plain strings, not the objects of the tags call."""
    tags = body.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise misshapen(("tags", "Schema describes string, another type found instead"))
    return tags


def _post(core: Core, ask: Ask) -> Body:
    audience, body = core.audience(ask), ask.fields("email_address", "status")
    status, tags = changes.check_status(body["status"]), tag_names(body)
    skip = truth(ask.query.get("skip_merge_validation", ""))
    known = audience.members.get(hash_of(str(body["email_address"])))
    if known is None:
        known = create(core, audience, ask, body, status, skip_required=skip)
    elif known.status == "archived":  # revived, with its old tags and fields (vendor page, 3)
        update(core, audience, ask, known, body, status, skip_required=skip)
    else:
        raise changes.exists(known.email)
    for tag in tags:
        changes.add_tag(core, audience, known, tag, ask.act, starts=core.settings.other_tag_paths_start_journeys)
    return show(core, audience, known)


def _put(core: Core, ask: Ask) -> Body:
    audience, body = core.audience(ask), ask.fields()
    skip = truth(ask.query.get("skip_merge_validation", ""))
    given = {
        name: changes.check_status(body[name], name=name) for name in ("status", "status_if_new") if body.get(name)
    }
    member = find_member(audience, ask.at["subscriber_hash"])
    if member is not None:  # `tags` is no part of PUT; `status_if_new` is for creation only
        update(core, audience, ask, member, body, given.get("status"), skip_required=skip)
        return show(core, audience, member)
    ask.fields("email_address")
    status = given.get("status") or given.get("status_if_new")
    if status is None:  # wording not confirmed (vendor page, 17)
        raise misshapen(("status_if_new", "This value should not be blank."))
    if hash_of(str(body["email_address"])) in audience.members:
        raise changes.exists(str(body["email_address"]))
    return show(core, audience, create(core, audience, ask, body, status, skip_required=skip))


def _patch(core: Core, ask: Ask) -> Body:
    audience, member = core.member(ask)
    body = ask.fields()
    status = changes.check_status(body["status"], PATCHABLE) if body.get("status") else None
    skip = truth(ask.query.get("skip_merge_validation", ""))
    update(core, audience, ask, member, body, status, skip_required=skip)
    return show(core, audience, member)


def _archive(core: Core, ask: Ask) -> None:
    audience, member = core.member(ask)
    if member.status in ("archived", "cleaned", "pending"):
        raise Problem(405, "Method Not Allowed", CANNOT_ARCHIVE, headers={"Allow": "GET, PUT"})
    changes.set_status(core, audience, member, "archived", ask.act)


def _erase(core: Core, ask: Ask) -> None:
    audience, member = core.member(ask)
    changes.forget(audience, member, ask.act)


# --- many at once ------------------------------------------------------------------------------------------------

BATCH_MAX = 500


def _batch(core: Core, ask: Ask) -> Body:
    """``POST /lists/{id}``: 200 even when every member failed (vendor page, 8)."""
    audience, body = core.audience(ask), ask.fields("members")
    rows = body["members"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise misshapen(("members", "Schema describes array, another type found instead"))
    if len(rows) > BATCH_MAX:
        raise misshapen(("members", f"This collection should contain {BATCH_MAX} elements or less."))
    ask.items = len(rows)
    new: list[Member] = []
    updated: list[Member] = []
    errors: list[Body] = []
    seen: set[str] = set()
    for row in rows:
        email = str(row.get("email_address", ""))
        try:
            twice = hash_of(email) in seen and not truth(ask.query.get("skip_duplicate_check", ""))
            if twice:
                raise invalid(f"{email} has already been used in this batch.")
            seen.add(hash_of(email))
            known = _batch_one(core, audience, ask, row, body)
        except Problem as problem:
            errors.append(_batch_error(email, problem))
        else:
            (new if known[1] else updated).append(known[0])
    return {
        "new_members": [show(core, audience, member) for member in new],
        "updated_members": [show(core, audience, member) for member in updated],
        "errors": errors,
        "total_created": len(new),
        "total_updated": len(updated),
        "error_count": len(errors),
        "_links": [],
    }


def _batch_one(core: Core, audience: Audience, ask: Ask, row: Body, whole: Body) -> tuple[Member, bool]:
    status = changes.check_status(row["status"]) if row.get("status") else None
    tags, skip = tag_names(row), truth(ask.query.get("skip_merge_validation", ""))
    member = audience.members.get(hash_of(str(row.get("email_address", ""))))
    is_new = member is None
    if member is None:
        if status is None:
            raise invalid("A status is required for new members.", [("status", "This value should not be blank.")])
        member = create(core, audience, ask, row, status, skip_required=skip)
    elif whole.get("update_existing") or member.status == "archived":
        update(core, audience, ask, member, row, status, skip_required=skip)
    else:
        raise changes.exists(member.email)
    if whole.get("sync_tags"):
        kept = {tag.lower() for tag in tags}
        for name in [audience.tags[tag].name for tag in member.tags]:
            if name.lower() not in kept:
                changes.remove_tag(audience, member, name, ask.act)
    for tag in tags:
        changes.add_tag(core, audience, member, tag, ask.act, starts=core.settings.other_tag_paths_start_journeys)
    return member, is_new


def _batch_error(email: str, problem: Problem) -> Body:
    first = problem.errors[0] if problem.errors else {"field": "", "message": ""}
    return {
        "email_address": email,
        "error": problem.detail,
        "error_code": "ERROR_CONTACT_EXISTS" if problem.title == "Member Exists" else "ERROR_GENERIC",
        "field": first["field"],
        "field_message": first["message"],
    }


_ALL = "/lists/{list_id}/members"
_ONE = _ALL + "/{subscriber_hash}"
ROUTES = (
    Route("GET", _ALL, "members.list", _list),
    Route("POST", _ALL, "members.create", _post),
    Route("GET", _ONE, "members.get", _get),
    Route("PUT", _ONE, "members.put", _put),
    Route("PATCH", _ONE, "members.patch", _patch),
    Route("DELETE", _ONE, "members.archive", _archive),
    Route("POST", _ONE + "/actions/delete-permanent", "members.delete_permanent", _erase),
    Route("POST", "/lists/{list_id}", "lists.batch_members", _batch),
    Route("GET", "/search-members", "members.search", _search),
)
