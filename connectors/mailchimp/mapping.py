"""Mailchimp's words to ours, and our values to merge fields. Word tables and pure translation."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime

from connectors.base import Member, MemberStatus, OptOut, PropertySpec
from connectors.mailchimp.wire import VENDOR, ActivityRow, CampaignRow, EmailRow, FeedRow, MemberRow, row
from connectors.values import kept, moment
from connectors.written import Target, difference, targets
from leadbridge import addresses, metrics
from leadbridge.config.schema import Config
from leadbridge.types import Activity, ActivityKind, SuppressionReason, Value, email_key

STATUSES = {
    "subscribed": MemberStatus.SUBSCRIBED,
    "pending": MemberStatus.PENDING,
    "unsubscribed": MemberStatus.UNSUBSCRIBED,
    "cleaned": MemberStatus.CLEANED,
    "transactional": MemberStatus.TRANSACTIONAL,
    "archived": MemberStatus.ARCHIVED,
}
"""Section 3. A status nobody knows is UNKNOWN, which may not be mailed, and is counted."""

ACTIONS = {
    "open": ActivityKind.EMAIL_OPENED,  # inflated by mail clients that prefetch (section 10)
    "click": ActivityKind.EMAIL_CLICKED,
    "bounce": ActivityKind.EMAIL_BOUNCED,
}

FEED_ACTIONS = ACTIONS | {"unsub": ActivityKind.UNSUBSCRIBED}
"""That a mail was sent is no act of the person, and reports of campaigns do not tell it either."""

CAMPAIGNS = "campaigns"

_COMPLAINT = ("abuse", "spam", "complain")
"""Words in an unsubscribe reason that mean a complaint; the reasons are free text."""

_FINAL = (
    ("forgotten email", SuppressionReason.ERASED),
    ("permanently deleted", SuppressionReason.ERASED),
    ('"cleaned', SuppressionReason.BOUNCED),
    ("compliance state", SuppressionReason.UNSUBSCRIBED),
    ("previously unsubscribed", SuppressionReason.UNSUBSCRIBED),
    ("previously removed", SuppressionReason.UNSUBSCRIBED),
    ('"unsubscribed"', SuppressionReason.UNSUBSCRIBED),
)
"""Words of a refusal to add an address that are final for the person behind it (section 3)."""

FORGOTTEN = "@forgotten.mailchimp.com"
"""Traces of erased contacts (section 3): nobody."""

LONGEST_TEXT = 255
"""Bytes of a text merge field; Mailchimp cuts what is longer (section 4)."""


def hash_of(email: str) -> str:
    """Mailchimp's name for a contact: md5 of the address in lower case (section 3)."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def member_of(email: str, found: MemberRow, tags: frozenset[str], read_at: datetime) -> Member:
    """The contact behind the canonical address `email`, with those merge fields that are ours."""
    status = STATUSES.get(found.status, MemberStatus.UNKNOWN)
    if status is MemberStatus.UNKNOWN:
        metrics.VENDOR_WORDS.add(vendor=VENDOR, source="status")
    held = {tag: value for tag, value in found.merge_fields.items() if tag in tags}
    return Member(email, status, read_at, held)


def opt_out_of(found: MemberRow) -> OptOut | str:
    """The opt-out, or why there is none."""
    email, at = addresses.canonical(found.email), moment(found.last_changed)
    if found.email.endswith(FORGOTTEN):
        return "erased contact"
    if email is None or at is None:
        return "opt-out without address or time"
    if found.status == "cleaned":
        return OptOut(email, SuppressionReason.BOUNCED, at)
    told = found.unsubscribe_reason.lower()
    complained = any(word in told for word in _COMPLAINT)
    return OptOut(email, SuppressionReason.COMPLAINED if complained else SuppressionReason.UNSUBSCRIBED, at)


def final_for(title: str, told: str) -> SuppressionReason | None:
    """Why a refused address must not be mailed by anybody, when Mailchimp's words say so."""
    words = f"{title} {told}".lower()
    return next((reason for fragment, reason in _FINAL if fragment in words), None)


def activities_of(campaign: CampaignRow, contact: EmailRow) -> list[Activity | str]:
    """What one contact did with one campaign; a reason in place of what cannot be read."""
    email = addresses.canonical(contact.email)
    if contact.email.endswith(FORGOTTEN):
        return ["erased contact"]
    if email is None:
        return ["activity of an unreadable address"]
    found: list[Activity | str] = []
    for raw in contact.activity:
        one = row(ActivityRow, raw)
        at = moment(one.timestamp) if one else None
        found.append(
            "unreadable activity" if one is None or at is None else _activity(campaign, contact, one, email, at)
        )
    return found


def _activity(campaign: CampaignRow, contact: EmailRow, one: ActivityRow, email: str, at: datetime) -> Activity:
    kind = ACTIONS.get(one.action, ActivityKind.OTHER)
    if kind is ActivityKind.OTHER:
        metrics.VENDOR_WORDS.add(vendor=VENDOR, source=CAMPAIGNS)
    told = {
        "campaign": campaign.id,
        "title": campaign.titles.title,
        "subject": campaign.titles.subject,
        "journey": campaign.journey,
        "url": one.url,
        "bounce": one.type if kind is ActivityKind.EMAIL_BOUNCED else "",
        "event": one.action if kind is ActivityKind.OTHER else "",
        "ip": one.ip,  # tells a scanner from a person; nothing else in these reports does
    }
    source_id = _source_id(campaign.id, contact.email_id, one.action, at, one.url)
    return Activity(email_key(email), kind, at, f"{VENDOR}.{CAMPAIGNS}", source_id, kept(told))


def feed_activity(email: str, one: FeedRow) -> Activity | None:
    """The activity that one thing in a contact's feed is, or None. It is the same one as in the campaign's report."""
    kind = FEED_ACTIONS.get(one.action)
    at = moment(one.timestamp)
    if kind is None or at is None or not one.campaign or one.by_admin:
        return None
    bounce = one.bounce if kind is ActivityKind.EMAIL_BOUNCED else ""
    told = {"campaign": one.campaign, "title": one.title, "url": one.url, "bounce": bounce}
    source_id = _source_id(one.campaign, hash_of(email), one.action, at, one.url)
    return Activity(email_key(email), kind, at, f"{VENDOR}.{CAMPAIGNS}", source_id, kept(told))


def _source_id(campaign: str, contact: str, action: str, at: datetime, url: str) -> str:
    """There is no id: campaign, contact, action, time and address clicked are what makes it one (section 10)."""
    link = f":{hashlib.sha256(url.encode()).hexdigest()[:16]}" if url else ""
    return f"{campaign}:{contact}:{action}:{at.isoformat()}{link}"


TAG = "tag "
"""Begins, among what is written to a member, what is no merge field but a tag: `ON` it, or not."""

ON = "on"


class Fields:
    """What the configuration writes into merge fields, and the tags that say who is in which segment."""

    def __init__(self, config: Config) -> None:
        self.targets = targets(config, lambda target: target.mailchimp)
        self.tags = frozenset(target.name for target in self.targets.values())
        self._numbers = frozenset(target.name for target in self.targets.values() if target.kind == "number")
        self._fallbacks: dict[str, Value] = {
            ours: float(text) if self.targets[ours].kind == "number" else text
            for ours, target in config.write_back.items()
            if (text := target.fallback) is not None
        }

        shown = config.write_back.get("segments")
        self.segment_tags: Mapping[str, str] = dict(shown.tags) if shown is not None else {}

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        """Merge fields and tags to set; see `EmailPlatform.changes`. "" clears a field of any type.

        Mails show what a field holds, so where there is no value it says what the configuration has it say then.
        """
        found: dict[str, str] = {}
        for ours, known in wanted.items():
            target = self.targets.get(ours)
            value = self._fallbacks.get(ours) if known in (None, "") else known
            text = difference(_as_held(target), value, current, safe) if target else None
            if target is not None and text is not None:
                found[target.name] = text
        if "segments" in wanted:
            found |= self._tag_changes(str(wanted["segments"] or "").split("; "), current)
        return found

    def _tag_changes(self, inside: Collection[str], current: Mapping[str, str]) -> dict[str, str]:
        """A tag on for each segment the person is in, off for the others, and off for what is no segment's any more."""
        mine = {TAG + tag: ON if segment in inside else "" for segment, tag in self.segment_tags.items()}
        old = {place: "" for place in current if place.startswith(TAG) and place not in mine}
        return {place: text for place, text in (mine | old).items() if current.get(place, "") != text}

    def specs(self) -> list[PropertySpec]:
        return list(self.filled().values())

    def filled(self) -> dict[str, PropertySpec]:
        """The merge fields of write-back, by our names."""
        return {ours: _as_held(target).spec() for ours, target in self.targets.items()}

    def to_wire(self, values: Mapping[str, str]) -> dict[str, str | float]:
        """Merge fields as Mailchimp takes them: numbers as numbers, never null (section 15)."""
        return {tag: _number(text) if tag in self._numbers and text else text for tag, text in values.items()}


def _number(text: str) -> float:
    found = float(text)
    return int(found) if found.is_integer() else found


def _as_held(target: Target) -> Target:
    """A choice is kept as text: the choices of a dropdown would have to be kept in step."""
    return target if target.kind == "number" else Target(target.ours, target.name, "text")


def safe(text: str) -> str:
    """Within the size, and not to be read as a merge tag when it appears in a mail (reliability G28)."""
    plain = text.replace("*|", "* |").replace("|*", "| *")
    if len(plain.encode()) <= LONGEST_TEXT:
        return plain
    return plain.encode()[: LONGEST_TEXT - 3].decode(errors="ignore") + "…"
