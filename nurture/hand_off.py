"""Who is to be handed to whom, what is still missing, and what the receiver reads. Pure: no clock, store or vendor."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import numpy as np

from leadbridge.columns import Columns, Mask, plain
from leadbridge.conditions import Prepared, holds, prepare
from leadbridge.config.conditions import AllOf, AnyOf, Condition, FieldTest, Not, Test
from leadbridge.config.hand_off import HandOff, Return, Route
from leadbridge.config.scores import StageRule
from leadbridge.types import ActivityKind, LifecycleStage
from nurture.segments import expand

HAND_OFF = "hand_off"
"""Name of the rule that hands over to sales; the others are kinds of care."""

SALES = "sales"
"""The route of who writes down none."""

MOST_INTERACTIONS = 5


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule that calls for a person."""

    name: str
    when: Prepared | None  # None: the stage decides
    needs: tuple[tuple[str, Prepared], ...]
    routes: tuple[tuple[str, Prepared | None], ...]


class Readiness:
    """The configuration's rules for handing over, compiled once."""

    def __init__(
        self,
        hand_off: HandOff | None,
        stages: Mapping[LifecycleStage, StageRule],
        segments: Mapping[str, Condition],
    ) -> None:
        def ready(condition: Condition) -> Prepared:
            return prepare(expand(condition, segments))

        def of(returning: Return | None) -> Prepared | None:
            return ready(returning.when) if returning else None

        self.on = hand_off.on if hand_off else None
        self._rules: tuple[_Rule, ...] = ()
        self._gate: tuple[tuple[str, Prepared], ...] = ()
        self._accepted = self._rejected = self._lost = None
        if hand_off is None:
            return
        needs = tuple((name, ready(condition)) for name, condition in hand_off.needs.items())
        routes = tuple((route.name, None if route.when is None else ready(route.when)) for route in routes_of(hand_off))
        care = (_Rule(one.name, ready(one.when), (), ((one.name, None),)) for one in hand_off.care)
        self._rules = (_Rule(HAND_OFF, None, needs, routes), *care)
        rule = stages.get(hand_off.on)
        parts = _parts(expand(rule.when, segments)) if rule else ()
        self._gate = (*((told(part), prepare(part)) for part in parts), *needs)
        self._accepted = ready(hand_off.accepted) if hand_off.accepted else None
        self._rejected, self._lost = of(hand_off.rejected), of(hand_off.lost)

    def judge(self, facts: Columns, stages: Sequence[LifecycleStage | None], at: datetime) -> "Judged":
        """What holds for these people at one instant. `stages` is one per person."""

        def mask(condition: Prepared | None) -> Mask:
            return facts.every(False) if condition is None else holds(condition, facts, at)

        return Judged(
            ready={rule.name: self._ready(rule, facts, at) for rule in self._rules},
            routes={
                rule.name: [(name, None if when is None else holds(when, facts, at)) for name, when in rule.routes]
                for rule in self._rules
            },
            staged=[stage is not None and stage is self.on for stage in stages],
            accepted=mask(self._accepted),
            rejected=mask(self._rejected),
            lost=mask(self._lost),
            gate=[(name, holds(condition, facts, at)) for name, condition in self._gate],
        )

    def _ready(self, rule: _Rule, facts: Columns, at: datetime) -> Mask:
        found = facts.every(True) if rule.when is None else holds(rule.when, facts, at)
        for _, condition in rule.needs:
            found = found & holds(condition, facts, at)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What holds for n people."""

    ready: Mapping[str, Mask]  # by rule, but for the stage of the hand-off
    routes: Mapping[str, Sequence[tuple[str, Mask | None]]]
    staged: Sequence[bool]
    accepted: Mask
    rejected: Mask
    lost: Mask
    gate: Sequence[tuple[str, Mask]]

    def called(self) -> Mask:
        """Who is to be looked after by somebody, by any rule."""
        found = np.zeros(len(self.staged), np.bool_)
        for rule, mask in self.ready.items():
            found |= mask & np.array(self.staged, np.bool_) if rule == HAND_OFF else mask
        return found

    def of(self, row: int) -> "Asked":
        """What holds for one of them."""
        calls = {
            rule: tuple(name for name, takes in self.routes[rule] if takes is None or takes[row])
            for rule, mask in self.ready.items()
            if mask[row] and (rule != HAND_OFF or self.staged[row])
        }
        return Asked(calls, bool(self.accepted[row]), bool(self.rejected[row]), bool(self.lost[row]), self, row)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is asked of people at the company for one person."""

    calls: Mapping[str, tuple[str, ...]]  # rules that call for somebody, each with the routes that take the person
    accepted: bool = False  # so the CRM shows
    rejected: bool = False
    lost: bool = False
    _judged: Judged | None = None
    _row: int = 0

    @property
    def unmet(self) -> list[str]:
        """Every condition of the hand-off that does not hold: "score.lead at least 60". Empty: all hold."""
        gate = self._judged.gate if self._judged else ()
        return [name for name, mask in gate if not mask[self._row]]


def routes_of(hand_off: HandOff) -> Sequence[Route]:
    """The receivers in order of priority."""
    return hand_off.routes or [Route(name=SALES)]


def may_begin(
    *,
    last_closed: datetime | None,
    last_opened: datetime | None,
    again_at: datetime | None,
    cooldown: timedelta,
    since: datetime | None,
    now: datetime,
) -> bool:
    """May a person be handed over (again)? Once per crossing, and not before the cooldown is over (N12).

    `since` is when the person entered the stage. Who never left it has not crossed it again, unless a time was set
    after which sales may have another look (`again_at`).
    """
    if last_closed is None:
        return True
    if last_opened is not None and now - last_opened < cooldown:
        return False
    if again_at is not None:
        return now >= again_at
    return since is None or since > last_closed


def assign(
    waiting: Sequence[tuple[int, Sequence[str]]], room: Mapping[str, int | None], room_in_all: int
) -> list[tuple[int, str]]:
    """Who goes to whom: (id, route). `waiting` is best first, each with the routes that take it, in order of priority.

    `room` is how many each route may still take, None for any number. Who finds no room goes on waiting.
    """
    left = dict(room)
    found: list[tuple[int, str]] = []
    for one, fits in waiting:
        if len(found) >= room_in_all:
            break
        for route in fits:
            free = left.get(route, 0)
            if free is None or free > 0:
                if free is not None:
                    left[route] = free - 1
                found.append((one, route))
                break
    return found


def propose_threshold(scores: Sequence[int], weeks: float, capacity: int) -> int | None:
    """The score from which on as many people come a week as sales can take; None when all of them can be taken.

    `scores` holds, for each person who came newly in those weeks, the highest score reached.
    """
    if weeks <= 0 or len(scores) <= capacity * weeks:
        return None
    counts = Counter(scores)
    total = 0
    for score in sorted(counts, reverse=True):
        total += counts[score]
        if total > capacity * weeks:
            return score + 1
    return None


# --- in words ------------------------------------------------------------------------------------------------------

_TEST_WORDS = {
    "equals": "is", "is_not": "is not", "in_": "is one of", "not_in": "is none of", "at_least": "at least",
    "at_most": "at most", "above": "above", "below": "below", "between": "between", "words": "has the word",
    "contains": "contains", "starts_with": "starts with", "ends_with": "ends with", "matches": "matches",
    "within": "within", "older_than": "older than", "in_next": "in the next",
}  # fmt: skip


def told(condition: Condition) -> str:
    """A condition as a person says it: "score.lead at least 60"."""
    match condition:
        case FieldTest():
            return f"{condition.field} {' and '.join(_test_words(condition.test))}"
        case Not():
            return f"not ({told(condition.part)})"
        case AllOf():
            return " and ".join(map(told, condition.parts))
        case AnyOf():
            return "one of: " + "; ".join(map(told, condition.parts))


def _test_words(test: Test) -> Iterator[str]:
    if test.present is not None:
        yield "is known" if test.present else "is unknown"
    for name, words in _TEST_WORDS.items():
        argument = getattr(test, name)
        if argument is None:
            continue
        many = argument if isinstance(argument, list | tuple) else [argument]
        long = name in ("within", "older_than", "in_next")
        yield f"{words} {', '.join(_long(one) if long else _plain(one) for one in many)}"


def _long(seconds: float) -> str:
    return f"{seconds / 86400:g} days" if seconds >= 86400 else f"{seconds / 3600:g} hours"


def _plain(value: object) -> str:
    return plain(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _parts(condition: Condition) -> tuple[Condition, ...]:
    """What has to hold, one by one."""
    if isinstance(condition, AllOf):
        return tuple(below for part in condition.parts for below in _parts(part))
    return (condition,)


# --- what the receiver reads ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing the person did."""

    kind: ActivityKind
    at: datetime
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Person:
    """What a receiver has to know of a person."""

    name: str  # as the CRM has it, or the address
    score: int | None
    grade: str | None
    reasons: str
    persona: str | None
    interactions: Sequence[Interaction]  # newest first
    mail_stopped: bool = False  # left the mailing, or opted out


KIND_WORDS = {
    ActivityKind.PAGE_VIEW: "looked at",
    ActivityKind.FORM_SUBMITTED: "filled in",
    ActivityKind.FILE_DOWNLOADED: "downloaded",
    ActivityKind.EMAIL_OPENED: "opened a mail",
    ActivityKind.EMAIL_CLICKED: "clicked in a mail",
    ActivityKind.MEETING: "met us",
    ActivityKind.CALL: "spoke with us on the phone",
    ActivityKind.WEBINAR_ATTENDED: "attended a webinar",
    ActivityKind.CHAT: "wrote in the chat",
    ActivityKind.PURCHASE: "bought",
    ActivityKind.SUPPORT_TICKET: "asked for help",
    ActivityKind.SURVEY_ANSWERED: "answered a survey",
    ActivityKind.PRODUCT_USED: "used the product",
}
OPENERS = {
    ActivityKind.FORM_SUBMITTED: "Answer what they asked in the form, before anything else.",
    ActivityKind.FILE_DOWNLOADED: "Ask what they were hoping to find in what they downloaded.",
    ActivityKind.PAGE_VIEW: "Ask whether the page answered their question, and what brought them to it.",
    ActivityKind.EMAIL_CLICKED: "Take up the subject of the link they followed.",
    ActivityKind.WEBINAR_ATTENDED: "Ask what they took from the webinar.",
    ActivityKind.CHAT: "Take up where the chat ended.",
    ActivityKind.MEETING: "Take up what was agreed in the meeting.",
    ActivityKind.CALL: "Take up what was agreed on the phone.",
    ActivityKind.SUPPORT_TICKET: "Make sure their question is answered first.",
    ActivityKind.SURVEY_ANSWERED: "Thank them for the answer, and ask what would make it better.",
}
_QUIET = {ActivityKind.EMAIL_SENT, ActivityKind.EMAIL_BOUNCED, ActivityKind.UNSUBSCRIBED, ActivityKind.LIST_JOINED,
          ActivityKind.TASK, ActivityKind.DEAL_STAGE_CHANGED, ActivityKind.OTHER,
          ActivityKind.MACHINE_OPENED, ActivityKind.MACHINE_CLICKED}  # fmt: skip
"""What is done to a person, or by machines, and says nothing of what they want."""

_DETAIL = ("title", "form", "name", "file", "subject", "campaign", "product", "url")
_TOPICS = ("topic", "product", "form", "title", "url")


def interesting(kind: ActivityKind) -> bool:
    """Does it say something of what the person wants?"""
    return kind not in _QUIET


def topic(interactions: Sequence[Interaction]) -> str | None:
    """What they occupy themselves with most; of equals, the newest."""
    found = Counter(named for one in interactions if (named := _first(one.attributes, _TOPICS)))
    return found.most_common(1)[0][0] if found else None


def subject(person: Person, rule: str, route: str) -> str:
    """The first line of task and alert: "Ready for sales: Ann Acme, score 82 A"."""
    what = f"Ready for {route}" if rule == HAND_OFF else rule.replace("_", " ").capitalize()
    told_score = (
        f", score {person.score}{f' {person.grade}' if person.grade else ''}" if person.score is not None else ""
    )
    return safe(f"{what}: {person.name}{told_score}", 160)


def body(person: Person, now: datetime, advice: str = "") -> str:
    """What the receiver reads: reasons, persona, topic, the last interactions, and how to begin."""
    lines = [f"Why: {person.reasons}"] if person.reasons else []
    if person.persona:
        lines.append(f"Persona: {person.persona}")
    about = topic(person.interactions)
    if about:
        lines.append(f"Topic: {about}")
    if person.interactions:
        lines.append("Last interactions:")
    for one in person.interactions[:MOST_INTERACTIONS]:
        words = KIND_WORDS.get(one.kind, one.kind.replace("_", " "))
        detail = _first(one.attributes, _DETAIL)
        lines.append(f"- {_ago(now - one.at)}: {words}" + (f" ({detail})" if detail else ""))
    opener = advice or next((OPENERS[one.kind] for one in person.interactions if one.kind in OPENERS), "")
    if opener:
        lines.append(f"How to begin: {opener}")
    if person.mail_stopped:
        lines.append("Take care: this person has stopped our mails. Do not press, and do not mail.")
    return "\n".join(safe(line, 300) for line in lines)


_TEMPLATES = re.compile(r"\{\{|\}\}|\{%|%\}|\*\||\|\*")
"""What merge tags, HubL and other templates begin and end with (reliability G28)."""


def safe(text: str, width: int) -> str:
    """Text from outside as one line of plain text: nothing invisible, nothing a template or spreadsheet acts on."""
    shown = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter
        for letter in text
        if unicodedata.category(letter) not in ("Cf", "Cs", "Co")
    )
    shown = " ".join(_TEMPLATES.sub(" ", shown).split()).lstrip("=+@\t")
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _first(attributes: Mapping[str, object], names: Sequence[str]) -> str:
    """The first of these values that is there; of an address, what follows the host."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.strip():
            return (urlsplit(value).path or value) if name == "url" and _is_address(value) else value
    return ""


def _is_address(text: str) -> bool:
    try:
        return bool(urlsplit(text).netloc)
    except ValueError:
        return False


def _ago(age: timedelta) -> str:
    if age < timedelta(0):
        return "planned"
    hours = int(age.total_seconds() // 3600)
    if hours < 1:
        return "within the hour"
    return f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"
