"""Calls of the Segment HTTP tracking API cut into events. Source: that API's public description (docs/intake.md).

A stored call is its type, a line end, and the body as it came: `track\\n{"userId": …}`. Of an event only what we work
with is kept: no address of a device, no browser, nothing we were not asked to keep (reliability G27).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.deliveries.reading import MAX_INTEGER, MAX_ITEMS, Event, Unfit, canonical, glance
from connectors.values import moment
from leadbridge.errors import WebhookRefused

TYPES = ("identify", "track", "page", "screen", "group", "alias")
BATCH = "batch"
MAX_EVENT = 32 * 1024
MAX_BATCH = 500 * 1024
"""Bytes, as the public API has them."""

_LONGEST_ID = 300
_IDS = ("userId", "anonymousId", "previousId", "groupId", "messageId")
_KEPT = ("userId", "anonymousId", "previousId", "groupId", "event", "name", "timestamp", "properties", "traits")


def calls(kind: str, body: bytes) -> int:
    """How many events a body holds. Raises WebhookRefused (400) when it is no call of this kind, or too large."""
    if len(body) > (MAX_BATCH if kind == BATCH else MAX_EVENT):
        raise WebhookRefused("too_large", 400)
    found = glance(body)
    if not isinstance(found, dict):
        raise WebhookRefused("not_an_object", 400)
    if kind != BATCH:
        return 1
    events = found.get("batch")
    if not isinstance(events, list):
        raise WebhookRefused("no_batch", 400)
    if len(events) > MAX_ITEMS:
        raise WebhookRefused("too_many_events", 400)
    return len(events)


def split(body: bytes, _account: str | None, received_at: datetime) -> Sequence[Event | Unfit]:
    """The events of a call. Each says when it happened by our clock: the sender's may be wrong, and says how wrong
    (`sentAt`)."""
    kind, _, text = body.partition(b"\n")
    call = _DECODER.decode(text.decode())
    outer = {name: call.get(name) for name in ("sentAt", "context")}
    events = call["batch"] if kind.decode() == BATCH else [call | {"type": kind.decode()}]
    return [_part(event, outer, received_at) for event in events]


def _part(event: Any, outer: Mapping[str, Any], received_at: datetime) -> Event | Unfit:
    raw = canonical(_plain(event))
    if len(raw) > MAX_EVENT and _size(event) > MAX_EVENT:
        return Unfit("too_large", raw)
    if (fault := fault_of(event)) is not None:
        return Unfit(fault, raw)
    try:
        at = _when(event, outer, received_at)
    except OverflowError:  # two clocks so far apart that no calendar holds the difference
        return Unfit("bad_timestamp", raw)
    kept = {name: event[name] for name in _KEPT if event.get(name) is not None}
    kept |= {"type": event["type"], "timestamp": at.isoformat()}
    contexts = [one for one in (outer.get("context"), event.get("context")) if isinstance(one, dict)]
    for context in contexts:
        kept |= {name: context[name] for name in ("consent", "page", "campaign") if isinstance(context.get(name), dict)}
        if isinstance(context.get("traits"), dict) and "traits" not in kept:
            kept["traits"] = context["traits"]
    # Without an id of its own, an event is told from another by all it says.
    key = event.get("messageId") or canonical({name: event.get(name) for name in ("type", "timestamp", *_KEPT)}).hex()
    return Event(hashlib.sha256(str(key).encode("utf-8", "surrogatepass")).hexdigest(), canonical(kept))


def _size(event: Any) -> int:
    """Bytes as a sender writes it: `canonical` needs up to three times as many for what is not ASCII."""
    return len(json.dumps(_plain(event), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def fault_of(event: Any) -> str | None:
    """Why this event cannot be handled, as a stable code; None when it can."""
    if not isinstance(event, dict):
        return "not_an_event"
    if event.get("type") not in TYPES:
        return "bad_type"
    if (odd := _odd(event)) is not None:
        return odd
    for name in _IDS:
        if event.get(name) is not None and not _is_id(event[name]):
            return f"bad_{name}"
    if event["type"] == "alias":
        if event.get("userId") is None or event.get("previousId") is None:
            return "no_id"
    elif event.get("userId") is None and event.get("anonymousId") is None and not _named(event):
        return "no_id"
    if event["type"] == "track" and not (isinstance(event.get("event"), str) and event["event"].strip()):
        return "no_event_name"
    for name in ("traits", "properties"):
        if event.get(name) is not None and not isinstance(event[name], dict):
            return f"bad_{name}"
    if event.get("timestamp") is not None and moment(str(event["timestamp"])) is None:
        return "bad_timestamp"
    return None


def _named(event: Mapping[str, Any]) -> bool:
    traits = event.get("traits")
    return isinstance(traits, dict) and isinstance(traits.get("email"), str)


def _is_id(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return 0 < len(str(value)) <= _LONGEST_ID and "\0" not in str(value)


def _when(event: Mapping[str, Any], outer: Mapping[str, Any], received_at: datetime) -> datetime:
    at = moment(str(event.get("timestamp") or "")) or received_at
    sent = moment(str(event.get("sentAt") or outer.get("sentAt") or ""))
    if sent is not None and event.get("timestamp") is not None:
        at = received_at - (sent - at)
    return min(at, received_at)  # nothing has happened that is still to come


# --- reading without loss: what no store holds is noted where it stands, so that one event is set aside for it -------


class _Odd(str):
    """Stands for a value that cannot be kept; the text says why."""

    __slots__ = ()


def _integer(digits: str) -> Any:
    return number if len(digits) <= 20 and abs(number := int(digits)) <= MAX_INTEGER else _Odd("number_too_large")


def _float(digits: str) -> Any:
    return number if math.isfinite(number := float(digits)) else _Odd("number_too_large")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    return found if len(found) == len(pairs) else {**found, "": _Odd("repeated_name")}


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_float, parse_constant=lambda _: _Odd("not_a_number"), object_pairs_hook=_object
)


def _odd(value: Any) -> str | None:
    match value:
        case _Odd():
            return str(value)
        case dict():
            return next((odd for part in value.values() if (odd := _odd(part))), None)
        case list():
            return next((odd for part in value if (odd := _odd(part))), None)
    return None


def _plain(value: Any) -> Any:
    """The value as JSON can say it again, for the quarantine."""
    match value:
        case _Odd():
            return f"({value})"
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
    return value
