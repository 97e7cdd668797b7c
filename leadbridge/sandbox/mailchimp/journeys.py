"""Customer Journeys ("automation flows") and what is left of classic automations (vendor page, 9).

A journey here has one starting point and one e-mail, sent at entry. It never lets in anybody who is not subscribed at
that moment. What the trigger answers for those it keeps out is not documented, hence a setting.
"""

from typing import Any

from leadbridge.sandbox.mailchimp.answers import Body, Problem, listing, not_found, stamp
from leadbridge.sandbox.mailchimp.core import Act, Ask, Core, Route
from leadbridge.sandbox.mailchimp.state import Activity, Audience, Automation, Journey, Member, hash_of

EMAIL_STEP = 1  # numbers of the steps a journey shows in the undocumented GETs: the API step (or start), then this


def why_not(audience: Audience, journey: Journey, member: Member) -> str | None:
    """Why this journey keeps this contact out now, if it does."""
    if journey.exit_tag is not None and (tag := audience.tag_named(journey.exit_tag)) and tag.id in member.tags:
        return "meets the exit condition"
    if member.status != "subscribed":
        return f"not subscribed ({member.status})"
    if journey.paused:
        return "journey paused"
    if member.contact_id in journey.entries and not journey.reentry:
        return "already entered, re-entry off"
    return None


def enter(core: Core, audience: Audience, journey: Journey, member: Member, act: Act, via: str) -> str | None:
    """Let the contact in and send the journey's mail, or say why not."""
    who = {"journey": journey.id, "name": journey.name, "email_hash": member.id, "status": member.status, "via": via}
    why = why_not(audience, journey, member)
    if why is not None:
        act.effect("journey_refused", **who, why=why)
        return why
    journey.entries.setdefault(member.contact_id, []).append(act.at)
    journey.started = journey.started or act.at
    act.effect("journey_entered", **who)
    core.state.happened(member.contact_id, Activity("sent", act.at, journey.campaign_id))
    campaign = core.state.campaigns[journey.campaign_id]
    campaign.send_time = campaign.send_time or act.at
    act.effect(
        "mail_sent",
        campaign=journey.campaign_id,
        journey=journey.id,
        list=audience.id,
        email_hash=member.id,
        status=member.status,
    )
    return None


def start_where(core: Core, audience: Audience, member: Member, act: Act, **start: str) -> None:
    """Start the journeys of this audience whose starting point this is: ``tag=…``, ``merge_field=…`` or ``event=…``."""
    if act.silent:
        return
    (kind, value), *_ = start.items()
    folded = value.lower()
    for journey in core.state.journeys.values():
        wanted = getattr(journey, kind)
        if journey.list_id == audience.id and wanted is not None and wanted.lower() == folded:
            enter(core, audience, journey, member, act, via=kind)


def leave_where(core: Core, audience: Audience, member: Member, act: Act, tag: str) -> None:
    """Take the contact out of the journeys whose exit condition this tag meets."""
    for journey in core.state.journeys.values():
        if journey.list_id != audience.id or (journey.exit_tag or "").lower() != tag.lower():
            continue
        entered, left = (times.get(member.contact_id, []) for times in (journey.entries, journey.exits))
        if len(entered) > len(left):
            journey.exits.setdefault(member.contact_id, []).extend([act.at] * (len(entered) - len(left)))
            act.effect("journey_left", journey=journey.id, name=journey.name, email_hash=member.id)


def merge_field_changed(core: Core, audience: Audience, member: Member, act: Act, tag: str, value: Any) -> None:
    """Both forms of the starting point "audience field changes": any change, and a change to one value."""
    start_where(core, audience, member, act, merge_field=tag)
    start_where(core, audience, member, act, merge_field=f"{tag}={value}")


def _trigger(core: Core, ask: Ask) -> None:
    journey = _journey(core, ask)
    if journey.step_id is None or str(journey.step_id) != ask.at["step_id"]:
        raise not_found()
    body = ask.fields("email_address")
    audience = core.state.audiences[journey.list_id]
    member = audience.members.get(hash_of(str(body["email_address"])))
    if member is None:
        ask.act.effect("journey_refused", journey=journey.id, name=journey.name, why="not in the audience")
        raise not_found()
    why = enter(core, audience, journey, member, ask.act, via="api")
    if why is not None and core.settings.journeys_refuse == "reject":
        raise Problem(400, "Bad Request", f"The contact could not be added to the automation flow: {why}.")


def _journey(core: Core, ask: Ask) -> Journey:
    key = ask.at["journey_id"]
    journey = core.state.journeys.get(int(key)) if key.isdigit() else None
    if journey is None:
        raise not_found()
    return journey


# --- undocumented, off unless `journeys_readable` ----------------------------------------------------------------


def _show(core: Core, journey: Journey) -> Body:
    started = sum(len(times) for times in journey.entries.values())
    found: Body = {
        "id": journey.id,
        "journey_name": journey.name,
        "status": "paused" if journey.paused else "sending",
        "list_id": journey.list_id,
        "list_name": core.state.audiences[journey.list_id].name,
        "first_started_at": stamp(journey.started),
        "can_contacts_reenter": journey.reentry,
        "stats": {"started": started, "in_progress": 0, "completed": started},
    }
    if core.settings.journeys_tell_conditions:
        leaving = {"condition_type": "StaticSegment", "op": "static_is", "tag_name": journey.exit_tag}
        found["journey_wide_exit_condition"] = {"conditions": [leaving]} if journey.exit_tag else None
    return found


def _steps(core: Core, journey: Journey, *, whole: bool = False) -> list[Body]:
    kinds = (("tag", journey.tag), ("merge_field", journey.merge_field), ("event", journey.event))
    names = {"tag": "trigger-tag_added", "merge_field": "trigger-merge_field", "event": "trigger-event_api"}
    kind, value = next(((kind, value) for kind, value in kinds if value), ("api", None))
    details: Body = {"tag": {"tag_name": value}} if kind == "tag" else {}
    if value and kind == "merge_field" and core.settings.journeys_tell_conditions:
        field, _, wanted = value.partition("=")
        details = {"merge_field": {"tag": field, "value": wanted}}
    start: Body = {
        "id": journey.step_id or journey.id * 100,
        "step_type": names.get(kind, "trigger-api"),
        "status": "active",
        "display_text": journey.name,
        "trigger_details": details,
        "stats": {"started": len(journey.entries)},
    }
    mail: Body = {
        "id": start["id"] + EMAIL_STEP,
        "step_type": "action-send_email",
        "status": "active",
        "display_text": f"Send email {journey.name}",
        "stats": {"completed": len(journey.entries)},
    }
    if whole:  # the list abbreviates (vendor page, 9)
        title = core.state.campaigns[journey.campaign_id].title
        mail["action_settings"] = {"campaign_id": journey.campaign_id}
        mail["action_details"] = {
            "email": {"id": journey.campaign_id, "status": "sending", "settings": {"subject_line": title}}
        }
    return [start, mail]


def _readable(core: Core) -> None:
    if not core.settings.journeys_readable:
        raise not_found()


def _list(core: Core, ask: Ask) -> Body:
    _readable(core)
    return listing("journeys", list(core.state.journeys.values()), ask.query, lambda journey: _show(core, journey))


def _get(core: Core, ask: Ask) -> Body:
    _readable(core)
    return _show(core, _journey(core, ask))


def _list_steps(core: Core, ask: Ask) -> Body:
    _readable(core)
    return listing("steps", _steps(core, _journey(core, ask)), ask.query)


def _get_step(core: Core, ask: Ask) -> Body:
    _readable(core)
    for step in _steps(core, _journey(core, ask), whole=True):
        if str(step["id"]) == ask.at["step_id"]:
            return step
    raise not_found()


# --- classic automations -----------------------------------------------------------------------------------------


def _automation(core: Core, ask: Ask) -> Automation:
    try:
        return core.state.automations[ask.at["workflow_id"]]
    except KeyError:
        raise not_found() from None


def _show_automation(core: Core, automation: Automation) -> Body:
    audience = core.state.audiences[automation.list_id]
    return {
        "id": automation.id,
        "create_time": stamp(automation.created),
        "start_time": stamp(automation.created),
        "status": "sending",
        "emails_sent": len(automation.queue),
        "recipients": {"list_id": audience.id, "list_is_active": True, "list_name": audience.name},
        "settings": {"title": automation.title},
        "trigger_settings": {"workflow_type": "api", "workflow_emails_count": 1},
        "_links": [],
    }


def _list_automations(core: Core, ask: Ask) -> Body:
    rows = list(core.state.automations.values())
    return listing("automations", rows, ask.query, lambda one: _show_automation(core, one))


def _queue(core: Core, ask: Ask) -> Body:
    automation = _automation(core, ask)
    if ask.at["workflow_email_id"] != automation.email_id:
        raise not_found()
    address = str(ask.fields("email_address")["email_address"])
    member = core.state.audiences[automation.list_id].members.get(hash_of(address))
    if member is None:
        raise not_found()
    if member.id in automation.removed or member.status != "subscribed" or member.id in automation.queue:
        raise Problem(400, "Bad Request", "You cannot queue this subscriber for the automation email.")
    automation.queue[member.id] = member.email
    ask.act.effect("automation_queued", workflow=automation.id, email_hash=member.id, status=member.status)
    return {
        "id": member.id,
        "workflow_id": automation.id,
        "email_id": automation.email_id,
        "list_id": automation.list_id,
        "list_is_active": True,
        "email_address": member.email,
        "next_send": stamp(ask.act.at),
        "_links": [],
    }


def _remove(core: Core, ask: Ask) -> Body:
    automation = _automation(core, ask)
    address = str(ask.fields("email_address")["email_address"])
    automation.removed[hash_of(address)] = address
    automation.queue.pop(hash_of(address), None)
    ask.act.effect("automation_removed", workflow=automation.id, email_hash=hash_of(address))
    return {
        "id": hash_of(address),
        "workflow_id": automation.id,
        "list_id": automation.list_id,
        "email_address": address,
        "_links": [],
    }


_JOURNEYS = "/customer-journeys/journeys"
ROUTES = (
    Route("POST", _JOURNEYS + "/{journey_id}/steps/{step_id}/actions/trigger", "journeys.trigger", _trigger),
    Route("GET", _JOURNEYS, "journeys.list", _list),
    Route("GET", _JOURNEYS + "/{journey_id}", "journeys.get", _get),
    Route("GET", _JOURNEYS + "/{journey_id}/steps", "journeys.steps", _list_steps),
    Route("GET", _JOURNEYS + "/{journey_id}/steps/{step_id}", "journeys.step", _get_step),
    Route("GET", "/automations", "automations.list", _list_automations),
    Route("POST", "/automations/{workflow_id}/emails/{workflow_email_id}/queue", "automations.queue", _queue),
    Route("POST", "/automations/{workflow_id}/removed-subscribers", "automations.remove", _remove),
)
