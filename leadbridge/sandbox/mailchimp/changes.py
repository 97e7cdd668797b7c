"""How a contact changes: status, fields, tags, address. The rules of the vendor page, section 3, and their effects.

Everything is judged before anything is changed, so that a refused call leaves no trace.
"""

import re
from typing import Any

from leadbridge.sandbox.mailchimp import journeys, webhooks
from leadbridge.sandbox.mailchimp.answers import Problem, invalid, misshapen
from leadbridge.sandbox.mailchimp.core import Act, Core
from leadbridge.sandbox.mailchimp.state import Audience, Member, Tag, code_of, hash_of

STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
ADDRESS = re.compile(
    r"[^@\s,;<>()\[\]]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z][A-Za-z0-9-]+"
)
BY_ADMIN = "N/A (Unsubscribed by admin)"
BY_PERSON = "N/A (No reason given)"
FIRST_TAG_ID = 10297


def check_address(core: Core, audience: Audience, email: str) -> str:
    """The address, if the service would take it."""
    email = email.strip()
    if len(email) > 254 or ".." in email or not ADDRESS.fullmatch(email):
        raise invalid("Please provide a valid email address.")
    if email.rpartition("@")[2].lower() in core.settings.fake_domains:
        raise invalid(f"{email} looks fake or invalid, please enter a real email address.")
    if hash_of(email) in audience.forgotten:
        raise Problem(
            400,
            "Forgotten Email Not Subscribed",
            f"{email} was permanently deleted and cannot be re-imported. "
            "The contact must re-subscribe to get back on the list.",
            typed=False,
        )
    return email


def exists(email: str) -> Problem:
    detail = f"{email} is already a list member. Use PUT to insert or update list members."
    return Problem(400, "Member Exists", detail, typed=False)


def check_status(status: Any, allowed: tuple[str, ...] = STATUSES, name: str = "status") -> str:
    if status not in allowed:
        raise misshapen((name, f"The value you selected is not a valid choice. Use one of: {', '.join(allowed)}."))
    return str(status)


def check_consent(member: Member, new: str) -> None:
    """Nobody but the person may undo an unsubscribe of their own or a bounce; asking again is allowed."""
    if new == "subscribed" and member.status != new and (member.compliance or member.status == "cleaned"):
        raise Problem(
            400,
            "Member In Compliance State",
            f"{member.email} is in a compliance state due to unsubscribe, bounce, or compliance review "
            "and cannot be subscribed.",
            typed=False,
        )


def new_member(core: Core, audience: Audience, email: str, act: Act) -> Member:
    """A contact with no status yet; `set_status` gives it one and announces it."""
    number = core.state.next("member", first=400751728)
    contact_id = code_of(audience.id, "contact", number)[:32]
    member = Member(email, "", contact_id, number, created=act.at, last_changed=act.at)
    audience.members[member.id] = audience.by_contact[contact_id] = member
    return member


def set_status(core: Core, audience: Audience, member: Member, new: str, act: Act, *, why: str = "") -> None:
    """Change the status; `check_consent` must have been asked. Repeating the same status changes nothing."""
    old = member.status
    if old == new:
        return
    member.status, member.last_changed = new, act.at
    if new == "unsubscribed":
        member.unsubscribed_at = act.at
        member.unsubscribe_reason = why or BY_ADMIN
    else:
        member.unsubscribe_reason = ""
    if new == "subscribed":
        member.timestamp_opt = act.at
        member.compliance = False
    if old:
        act.effect("status_changed", email_hash=member.id, old=old, new=new)
    else:
        act.effect("member_created", email_hash=member.id, list=audience.id, status=new)
    if new == "pending" and not act.silent:
        act.effect("confirmation_sent", email_hash=member.id, list=audience.id)
    if new == "subscribed":
        webhooks.announce(core, audience, "subscribe", webhooks.about(audience, member, signup=True), act)
    elif new == "cleaned" and old:
        about = {"list_id": audience.id, "campaign_id": "", "reason": why or "hard", "email": member.email}
        webhooks.announce(core, audience, "cleaned", about, act)
    elif old == "subscribed" and new in ("unsubscribed", "archived"):
        said = {"action": "unsub" if new == "unsubscribed" else "delete", "reason": "manual"}
        webhooks.announce(core, audience, "unsubscribe", said | webhooks.about(audience, member), act)


def set_fields(core: Core, audience: Audience, member: Member, values: dict[str, Any], act: Act) -> None:
    """Store merge fields already judged by `merge_fields.read_values`; fields not named keep their value."""
    changed = {tag: value for tag, value in values.items() if member.merge_fields.get(tag, "") != value}
    for tag, value in changed.items():
        old, member.merge_fields[tag] = member.merge_fields.get(tag, ""), value
        act.effect("merge_field_changed", email_hash=member.id, tag=tag, old=old, new=value)
    if not changed:
        return
    member.last_changed = act.at
    if member.status == "subscribed":
        webhooks.announce(core, audience, "profile", webhooks.about(audience, member), act)
    for tag, value in changed.items():
        journeys.merge_field_changed(core, audience, member, act, tag, value)


def set_address(core: Core, audience: Audience, member: Member, email: str, act: Act) -> None:
    """Give the contact another address, and so another hash. Tags, fields and history travel."""
    old_email, old_hash = member.email, member.id
    if old_email == email:
        return
    member.email, member.last_changed = email, act.at
    if member.id != old_hash:
        # Rebuilt rather than appended: the contact keeps its place in the list.
        audience.members = {one.id: one for one in audience.members.values()}
        act.effect("email_changed", old_hash=old_hash, new_hash=member.id)
    about = {
        "list_id": audience.id,
        "new_id": member.unique_email_id,
        "new_email": member.email,
        "old_email": old_email,
    }
    webhooks.announce(core, audience, "upemail", about, act)


def tag_for(core: Core, audience: Audience, name: str, act: Act) -> Tag:
    """The tag of this name, made when missing."""
    tag = audience.tag_named(name)
    if tag is None:
        tag = Tag(core.state.next("tag", FIRST_TAG_ID), name.strip(), act.at)
        audience.tags[tag.id] = tag
    return tag


def add_tag(core: Core, audience: Audience, member: Member, name: str, act: Act, *, starts: bool) -> bool:
    """Put a tag on a contact; True when it was not there. ``starts``: journeys that wait for it begin."""
    tag = tag_for(core, audience, name, act)
    if tag.id in member.tags:
        return False
    member.tags[tag.id] = member.last_changed = act.at
    act.effect("tag_added", email_hash=member.id, tag=tag.name)
    journeys.leave_where(core, audience, member, act, tag.name)
    if starts:
        journeys.start_where(core, audience, member, act, tag=tag.name)
    return True


def remove_tag(audience: Audience, member: Member, name: str, act: Act) -> bool:
    tag = audience.tag_named(name)
    if tag is None or member.tags.pop(tag.id, None) is None:
        return False
    member.last_changed = act.at
    act.effect("tag_removed", email_hash=member.id, tag=tag.name)
    return True


def forget(audience: Audience, member: Member, act: Act) -> None:
    """Erase for good; the address can never come back by API."""
    del audience.members[member.id]
    del audience.by_contact[member.contact_id]
    audience.forgotten.add(member.id)
    act.effect("member_forgotten", email_hash=member.id, list=audience.id)
