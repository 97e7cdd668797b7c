"""Tags, the static segments they are, and custom events (vendor page, 5 and 6)."""

from typing import Any

from leadbridge.sandbox.mailchimp import changes, journeys
from leadbridge.sandbox.mailchimp.answers import Body, instant, invalid, listing, misshapen, not_found, stamp
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route
from leadbridge.sandbox.mailchimp.members import show
from leadbridge.sandbox.mailchimp.state import Audience, Event, Member, Tag, hash_of

SEGMENT_MAX = 500
EVENT_NAME = (2, 30)


def _set(core: Core, ask: Ask) -> None:
    audience, member = core.member(ask)
    body = ask.fields()
    given = body.get("tags")
    if not isinstance(given, list):
        raise misshapen(("tags", "This value should be of type array."))
    for index, one in enumerate(given):
        if not isinstance(one, dict) or not str(one.get("name") or "").strip():
            raise misshapen((f"tags.item:{index}.name", "This value should not be blank."))
        if one.get("status") not in ("active", "inactive"):
            raise misshapen((f"tags.item:{index}.status", "The value you selected is not a valid choice."))
    for one in given:
        if one["status"] == "active":
            # is_syncing keeps automations on these tags still
            changes.add_tag(core, audience, member, one["name"], ask.act, starts=not body.get("is_syncing"))
        else:
            changes.remove_tag(audience, member, one["name"], ask.act)


def _of_member(core: Core, ask: Ask) -> Body:
    audience, member = core.member(ask)
    rows = [
        {"id": tag, "name": audience.tags[tag].name, "date_added": stamp(added)} for tag, added in member.tags.items()
    ]
    return listing("tags", rows, ask.query)


def _search(core: Core, ask: Ask) -> Body:
    prefix = ask.query.get("name", "").lower()
    tags = [tag for tag in core.audience(ask).tags.values() if tag.name.lower().startswith(prefix)]
    return {"tags": [{"id": tag.id, "name": tag.name} for tag in tags], "total_items": len(tags), "_links": []}


# --- segments ----------------------------------------------------------------------------------------------------


def _members_of(audience: Audience, tag: Tag) -> list[Member]:
    return [member for member in audience.members.values() if tag.id in member.tags]


def _show(audience: Audience, tag: Tag) -> Body:
    return {
        "id": tag.id,
        "name": tag.name,
        "member_count": len(_members_of(audience, tag)),
        "type": "static",
        "created_at": stamp(tag.created),
        "updated_at": stamp(tag.created),
        "options": {"match": "any", "conditions": []},
        "list_id": audience.id,
        "_links": [],
    }


def _segment(core: Core, ask: Ask) -> tuple[Audience, Tag]:
    audience, key = core.audience(ask), ask.at["segment_id"]
    tag = audience.tags.get(int(key)) if key.isdigit() else None
    if tag is None:
        raise not_found()
    return audience, tag


def _list_segments(core: Core, ask: Ask) -> Body:
    audience = core.audience(ask)
    rows = list(audience.tags.values()) if ask.query.get("type", "static") == "static" else []
    return listing("segments", rows, ask.query, lambda tag: _show(audience, tag), list_id=audience.id)


def _create_segment(core: Core, ask: Ask) -> Body:
    audience, body = core.audience(ask), ask.fields("name")
    if audience.tag_named(str(body["name"])):
        raise invalid("Sorry, that tag already exists.", [("name", "Sorry, that tag already exists.")])
    addresses = _addresses(body, "static_segment")
    tag = changes.tag_for(core, audience, str(body["name"]), ask.act)
    _add(core, ask, audience, tag, addresses)
    return _show(audience, tag)


def _get_segment(core: Core, ask: Ask) -> Body:
    return _show(*_segment(core, ask))


def _delete_segment(core: Core, ask: Ask) -> None:
    audience, tag = _segment(core, ask)
    for member in _members_of(audience, tag):
        changes.remove_tag(audience, member, tag.name, ask.act)
    del audience.tags[tag.id]


def _list_segment_members(core: Core, ask: Ask) -> Body:
    audience, tag = _segment(core, ask)
    # Whoever is not subscribed is left out unless asked for: the contract has switches, off by default.
    rows = [member for member in _members_of(audience, tag) if member.status == "subscribed"]
    return listing("members", rows, ask.query, lambda member: show(core, audience, member))


def _addresses(body: Body, name: str) -> list[str]:
    given: Any = body.get(name) or []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise misshapen((name, "Schema describes array of strings, another type found instead"))
    if len(given) > SEGMENT_MAX:
        raise misshapen((name, f"This collection should contain {SEGMENT_MAX} elements or less."))
    return given


def _add(core: Core, ask: Ask, audience: Audience, tag: Tag, addresses: list[str]) -> tuple[list[Member], list[str]]:
    added: list[Member] = []
    unknown: list[str] = []
    for address in addresses:
        member = audience.members.get(hash_of(address))
        if member is None:
            unknown.append(address)
        elif changes.add_tag(
            core, audience, member, tag.name, ask.act, starts=core.settings.other_tag_paths_start_journeys
        ):
            added.append(member)
    return added, unknown


def _update_segment(core: Core, ask: Ask) -> Body:
    """Up to 500 in and 500 out; addresses not on the list are ignored and reported (vendor page, 5)."""
    audience, tag = _segment(core, ask)
    body = ask.fields()
    to_add, to_remove = _addresses(body, "members_to_add"), _addresses(body, "members_to_remove")
    ask.items = max(1, len(to_add) + len(to_remove))
    added, unknown = _add(core, ask, audience, tag, to_add)
    removed: list[Member] = []
    for address in to_remove:
        member = audience.members.get(hash_of(address))
        if member is None or not changes.remove_tag(audience, member, tag.name, ask.act):
            unknown.append(address)
        else:
            removed.append(member)
    why = "Email addresses do not exist on the list."
    return {
        "members_added": [show(core, audience, member) for member in added],
        "members_removed": [show(core, audience, member) for member in removed],
        "errors": [{"email_addresses": unknown, "error": why}] if unknown else [],
        "total_added": len(added),
        "total_removed": len(removed),
        "error_count": len(unknown),
        "_links": [],
    }


# --- events ------------------------------------------------------------------------------------------------------


def _record_event(core: Core, ask: Ask) -> None:
    audience, member = core.member(ask)
    body = ask.fields("name")
    name, properties = str(body["name"]), body.get("properties") or {}
    if not EVENT_NAME[0] <= len(name) <= EVENT_NAME[1]:
        raise misshapen(("name", "This value should be between 2 and 30 characters long."))
    if not isinstance(properties, dict):
        raise misshapen(("properties", "Schema describes object, another type found instead"))
    unfit = [
        (f"properties.{key}", "Schema describes string, another type found instead")
        for key, value in properties.items()
        if not isinstance(value, str)
    ]
    if unfit:
        raise misshapen(*unfit)
    at = instant(str(body["occurred_at"]), "occurred_at") if body.get("occurred_at") else ask.act.at
    member.events.append(Event(name, dict(properties), at))
    ask.act.effect("event_recorded", email_hash=member.id, name=name)
    if not body.get("is_syncing"):
        journeys.start_where(core, audience, member, ask.act, event=name)


def _list_events(core: Core, ask: Ask) -> Body:
    _, member = core.member(ask)
    rows = sorted(member.events, key=lambda event: event.occurred_at, reverse=True)
    return listing(
        "events",
        rows,
        ask.query,
        lambda event: {"occurred_at": stamp(event.occurred_at), "name": event.name, "properties": event.properties},
    )


_MEMBER = "/lists/{list_id}/members/{subscriber_hash}"
_SEGMENTS = "/lists/{list_id}/segments"
ROUTES = (
    Route("POST", _MEMBER + "/tags", "members.tags", _set),
    Route("GET", _MEMBER + "/tags", "members.tags.list", _of_member),
    Route("GET", "/lists/{list_id}/tag-search", "tags.search", _search),
    Route("POST", _MEMBER + "/events", "members.events", _record_event),
    Route("GET", _MEMBER + "/events", "members.events.list", _list_events),
    Route("GET", _SEGMENTS, "segments.list", _list_segments),
    Route("POST", _SEGMENTS, "segments.create", _create_segment),
    Route("GET", _SEGMENTS + "/{segment_id}", "segments.get", _get_segment),
    Route("POST", _SEGMENTS + "/{segment_id}", "segments.update", _update_segment),
    Route("DELETE", _SEGMENTS + "/{segment_id}", "segments.delete", _delete_segment),
    Route("GET", _SEGMENTS + "/{segment_id}/members", "segments.members", _list_segment_members),
)
