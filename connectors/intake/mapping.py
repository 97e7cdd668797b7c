"""Words of trackers to ours: which event is which kind of activity, and which of its properties are kept. Pure.

The table follows the names the Segment specs recommend (e-commerce, e-mail, live chat, B2B SaaS) and what social and
survey tools send through them; a configuration adds its own names and may change these. docs/intake.md prints it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.values import Unreadable, kept, moment, typed
from leadbridge.addresses import canonical
from leadbridge.config.schema import Config
from leadbridge.types import Activity, ActivityKind, SuppressionReason, Value, email_key

VENDOR = "intake"

EVENT_KINDS: Mapping[str, ActivityKind] = {
    # forms, files, meetings, help
    "form submitted": ActivityKind.FORM_SUBMITTED,
    "lead generated": ActivityKind.FORM_SUBMITTED,
    "signed up": ActivityKind.FORM_SUBMITTED,
    "file downloaded": ActivityKind.FILE_DOWNLOADED,
    "content downloaded": ActivityKind.FILE_DOWNLOADED,
    "meeting booked": ActivityKind.MEETING,
    "demo requested": ActivityKind.FORM_SUBMITTED,
    "live chat conversation started": ActivityKind.CHAT,
    "live chat message sent": ActivityKind.CHAT,
    "chat started": ActivityKind.CHAT,
    "webinar attended": ActivityKind.WEBINAR_ATTENDED,
    "support ticket created": ActivityKind.SUPPORT_TICKET,
    # pages and time on site
    "page viewed": ActivityKind.PAGE_VIEW,
    "session ended": ActivityKind.OTHER,
    # product and shop
    "trial started": ActivityKind.PRODUCT_USED,
    "feature used": ActivityKind.PRODUCT_USED,
    "signed in": ActivityKind.PRODUCT_USED,
    "product viewed": ActivityKind.PAGE_VIEW,
    "product list viewed": ActivityKind.PAGE_VIEW,
    "product added": ActivityKind.OTHER,
    "cart viewed": ActivityKind.OTHER,
    "checkout started": ActivityKind.OTHER,
    "order completed": ActivityKind.PURCHASE,
    "subscription started": ActivityKind.PURCHASE,
    # e-mail sent by other tools
    "email delivered": ActivityKind.EMAIL_SENT,
    "email opened": ActivityKind.EMAIL_OPENED,
    "email link clicked": ActivityKind.EMAIL_CLICKED,
    "email clicked": ActivityKind.EMAIL_CLICKED,
    "email bounced": ActivityKind.EMAIL_BOUNCED,
    "unsubscribed": ActivityKind.UNSUBSCRIBED,
    "email unsubscribed": ActivityKind.UNSUBSCRIBED,
    "email marked as spam": ActivityKind.UNSUBSCRIBED,
    # surveys
    "survey answered": ActivityKind.SURVEY_ANSWERED,
    "survey completed": ActivityKind.SURVEY_ANSWERED,
    "nps answered": ActivityKind.SURVEY_ANSWERED,
    "nps survey answered": ActivityKind.SURVEY_ANSWERED,
    "csat answered": ActivityKind.SURVEY_ANSWERED,
}
"""Names as `plain_name` writes them. An event not named here is OTHER, under its own name."""

SOCIAL = {
    "followed": ActivityKind.SOCIAL_FOLLOWED,
    "liked": ActivityKind.SOCIAL_LIKED,
    "reacted": ActivityKind.SOCIAL_LIKED,
    "commented": ActivityKind.SOCIAL_COMMENTED,
    "mentioned": ActivityKind.SOCIAL_COMMENTED,
    "shared": ActivityKind.SOCIAL_SHARED,
    "reposted": ActivityKind.SOCIAL_SHARED,
    "clicked": ActivityKind.SOCIAL_CLICKED,
}
NETWORKS = ("facebook", "instagram", "linkedin", "twitter", "x", "youtube", "tiktok", "xing", "pinterest", "social")
_SOCIAL = re.compile(rf"({'|'.join(NETWORKS)})(?: \w+){{0,2}} ({'|'.join(SOCIAL)})")

PROPERTIES = (
    "url", "path", "title", "name", "referrer", "category", "content", "topic", "product", "product_id", "sku", "plan",
    "feature", "quantity", "value", "revenue", "total", "currency", "order_id", "coupon", "network", "post", "campaign",
    "source", "medium", "form", "form_name", "file", "file_name", "survey", "score", "seconds", "pages", "scroll",
    "subject", "link", "channel", "cta", "ticket",
)  # fmt: skip
"""Properties kept of any event; `intake.keep` adds to them (reliability G27)."""

_SECONDS = ("duration", "duration_seconds", "time_on_page", "time_on_site", "session_duration")
_NPS = ("nps", "rating", "answer")
_LONGEST_TEXT = 1000
_LEAVING = {
    "unsubscribed": SuppressionReason.UNSUBSCRIBED,
    "email unsubscribed": SuppressionReason.UNSUBSCRIBED,
    "email marked as spam": SuppressionReason.COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration says about intake."""

    kinds: Mapping[str, ActivityKind] = field(default_factory=dict)  # by plain name
    ignored: frozenset[str] = frozenset()
    properties: tuple[str, ...] = PROPERTIES
    traits: Mapping[str, tuple[str, str, Sequence[str]]] = field(default_factory=dict)  # our field: trait, type, empty
    consent: tuple[str, ...] = ()  # categories without which nothing is counted


@dataclass(frozen=True, slots=True)
class Said:
    """One event in our words."""

    at: datetime
    user: str | None = None  # person keys
    anonymous: str | None = None
    email: str | None = None  # as given
    previous: tuple[str, ...] = ()  # person keys of what is now called `user`
    traits: Mapping[str, Value] = field(default_factory=dict)  # our fields
    activity: Activity | None = None
    leaves: SuppressionReason | None = None  # the person must not be mailed any more
    objects: bool = False  # the person refused a category of consent that we need
    identifies: bool = False  # says who somebody is
    unreadable: int = 0  # traits that are not of their field's type

    @property
    def address(self) -> str | None:
        """Person key of the address."""
        found = canonical(self.email)
        return email_key(found) if found else None

    @property
    def subject(self) -> str | None:
        """The strongest key: the user, else the address, else the browser."""
        return self.user or self.address or self.anonymous


def wanted(config: Config) -> Wanted | None:
    """What the configuration says about intake; None without such a section."""
    intake = config.intake
    if intake is None:
        return None
    return Wanted(
        kinds={plain_name(name): kind for name, kind in intake.events.items()},
        ignored=frozenset(map(plain_name, intake.ignore)),
        properties=(*PROPERTIES, *intake.keep),
        traits={name: (field.intake, field.type, field.empty) for name, field in config.fields.items() if field.intake},
        consent=tuple(intake.consent),
    )


def plain_name(name: str) -> str:
    """One spelling of `Order Completed`, `order_completed` and `orderCompleted`."""
    words = re.findall(r"[^\W_]+", name)
    if len(words) == 1:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", words[0]).split()
    plain = " ".join(words).casefold()
    for brand in ("linked in", "you tube", "tik tok"):
        plain = plain.replace(brand, brand.replace(" ", ""))
    return plain


def kind_of(name: str, wanted: Wanted) -> tuple[ActivityKind, str | None]:
    """Kind of an event by its plain name, and the social network it happened on, where the name says so."""
    if (kind := wanted.kinds.get(name) or EVENT_KINDS.get(name)) is not None:
        return kind, None
    if (found := _SOCIAL.fullmatch(name)) is not None:
        return SOCIAL[found[2]], None if found[1] == "social" else found[1]
    return ActivityKind.OTHER, None


def said(event: Mapping[str, Any], key: str, wanted: Wanted) -> Said:
    """What a stored event says. `key` is its delivery key."""
    type_ = event["type"]
    at = moment(event["timestamp"])
    assert at is not None  # noqa: S101 - the splitter wrote it
    given = _table(event, "traits")
    properties = _table(event, "properties")
    user, anonymous = _key("user", event.get("userId")), _key("anonymous", event.get("anonymousId"))
    email = _text(given.get("email")) or _text(properties.get("email"))
    objects = _refuses(event, wanted)
    traits, unreadable = _traits(given, "company." if type_ == "group" else "", wanted)
    name = plain_name(_text(event.get("event")) or "")
    found = Said(
        at, user, anonymous, email,
        previous=_previous(event.get("previousId")) if type_ == "alias" else (),
        traits={} if objects else traits,
        leaves=_LEAVING.get(name) if type_ == "track" else None,
        objects=objects,
        identifies=type_ in ("identify", "group", "alias"),
        unreadable=unreadable,
    )  # fmt: skip
    if objects or found.identifies or found.subject is None or name in wanted.ignored:
        return found
    kind, network = (ActivityKind.PAGE_VIEW, None) if type_ in ("page", "screen") else kind_of(name, wanted)
    told = _told(event, properties, wanted)
    told |= {"event": name or type_, "network": network or told.get("network"), "consent": _granted(event)}
    activity = Activity(found.subject, kind, at, f"{VENDOR}.{type_}", key, kept(told))
    return Said(at, user, anonymous, email, leaves=found.leaves, activity=activity)


def _told(
    event: Mapping[str, Any], properties: Mapping[str, Any], wanted: Wanted
) -> dict[str, str | float | int | bool | None]:
    page, campaign = _table(event, "page"), _table(event, "campaign")
    told: dict[str, Any] = {name: page.get(name) for name in ("url", "path", "title", "referrer")}
    told |= {"campaign": campaign.get("name"), "source": campaign.get("source"), "medium": campaign.get("medium")}
    told |= {name: properties[name] for name in wanted.properties if name in properties}
    told["seconds"] = next((properties[name] for name in ("seconds", *_SECONDS) if name in properties), None)
    if "score" not in properties:
        told["score"] = next((properties[name] for name in _NPS if isinstance(properties.get(name), int | float)), None)
    if isinstance(event.get("name"), str):
        told["name"] = event["name"]
    return {
        name: value[:_LONGEST_TEXT] if isinstance(value, str) else value
        for name, value in told.items()
        if isinstance(value, str | int | float | bool)
    }


def _traits(given: Mapping[str, Any], prefix: str, wanted: Wanted) -> tuple[dict[str, Value], int]:
    """Traits that a field of ours is kept in, and how many were not of its type."""
    found: dict[str, Value] = {}
    unreadable = 0
    for name, (trait, kind, empty) in wanted.traits.items():
        if not trait.startswith(prefix):
            continue
        value = _inside(given, trait.removeprefix(prefix))
        if value is None or isinstance(value, dict | list):
            continue
        try:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found[name] = typed(text[:_LONGEST_TEXT], kind, empty)
        except Unreadable:
            unreadable += 1
    return {name: value for name, value in found.items() if value is not None}, unreadable


def _inside(given: Mapping[str, Any], path: str) -> Any:
    """`address.country` is the country inside the trait address."""
    value: Any = given
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _refuses(event: Mapping[str, Any], wanted: Wanted) -> bool:
    given = _table(_table(event, "consent"), "categoryPreferences")
    return any(given.get(category) is False for category in wanted.consent)


def _granted(event: Mapping[str, Any]) -> str | None:
    given = _table(_table(event, "consent"), "categoryPreferences")
    return ", ".join(sorted(str(name) for name, yes in given.items() if yes is True))[:_LONGEST_TEXT] or None


def _previous(value: Any) -> tuple[str, ...]:
    """An alias names what somebody was called before: an older user id, or an anonymous one; it does not say which."""
    return tuple(key for kind in ("user", "anonymous") if (key := _key(kind, value)))


def _key(kind: str, value: Any) -> str | None:
    return None if value is None else f"{VENDOR}:{kind}:{value}"


def _table(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None
