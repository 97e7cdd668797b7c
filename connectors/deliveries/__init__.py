"""A stored delivery cut into its events: pure, the same for the same bytes, one bad event alone (reliability G3, G8).

The door proves a delivery and stores it as it came; the worker cuts it here. Each event gets a delivery key that is the
same for every try of one event and different for two events, so that the inbox can hold it once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias

from connectors.deliveries import hubspot, intake, mailchimp, salesforce
from connectors.deliveries.reading import Event, Unfit
from leadbridge.errors import WebhookRefused

Splitter: TypeAlias = Callable[[bytes, str | None, datetime], Sequence[Event | Unfit]]

_SPLITTERS: Mapping[str, Splitter] = {
    "hubspot": hubspot.split,
    "intake": intake.split,
    "mailchimp": mailchimp.split,
    "salesforce": salesforce.split,
}


def split(vendor: str, body: bytes, account: str | None, received_at: datetime) -> Sequence[Event | Unfit]:
    """The events of a genuine delivery, those that cannot be handled as `Unfit`.

    `account` is the only account of the vendor we work for, None while it is not known; `received_at` is when the
    delivery came. Raises WebhookRefused when the
    bytes cannot be read as a whole, which the door has ruled out, and ValueError for a vendor without a door.
    """
    try:
        cut = _SPLITTERS[vendor]
    except KeyError:
        raise ValueError(f"no deliveries of {vendor!r} are known; one of: {', '.join(_SPLITTERS)}") from None
    return cut(body, account, received_at)


_ALONE: Mapping[str, tuple[bytes, bytes]] = {
    "hubspot": (b"[", b"]"),
    "intake": (b'batch\n{"batch":[', b"]}"),
    "salesforce": (b"[", b"]"),
}


def split_again(vendor: str, raw: bytes, account: str | None, received_at: datetime) -> Sequence[Event | Unfit]:
    """What was set aside, cut once more: a whole delivery, or one item of it (`Unfit.raw`).

    Empty when it still cannot be read at all.
    """
    before, after = _ALONE.get(vendor, (b"", b""))
    for body in dict.fromkeys((raw, before + raw + after)):
        with suppress(WebhookRefused, ValueError, KeyError, AttributeError, TypeError):
            return split(vendor, body, account, received_at)
    return ()
