"""Receiver: the order in which every door works. A vendor fills in two blanks, `verify` and `read`.

Size, proof, a look whether it can be read at all, keep (committed and synced), answer; only then the worker is woken,
which cuts the delivery into its events (`connectors.deliveries`). Nothing is parsed before the sender is proven,
nothing is answered before the delivery is stored, nothing is cut, scored or called inside the request (reliability G1,
G2, G4, G8).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from leadbridge import logs
from leadbridge.errors import WebhookRefused
from leadbridge.metrics import WEBHOOK_REFUSED, WEBHOOK_UNAVAILABLE
from webhooks.signatures import Headers
from webhooks.writer import Keeping, Raw, Unavailable, Writer

if TYPE_CHECKING:
    from webhooks.refusals import Refusals

log = logs.logger(__name__)

MAX_BODY = 1_000_000
"""Bytes of one delivery. HubSpot sends up to 100 events, about 50 kB."""

LONGEST_LOOK = 200_000
"""Bytes of an unproven body that are looked into: a full batch of a vendor is smaller, and a megabyte of brackets, read
for a stranger, would be twenty in memory (reliability G6)."""

RETRY_AFTER = 30
"""Seconds a vendor is asked to wait when we cannot store."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came. `address` is what the vendor called."""

    method: str
    address: bytes  # public base plus raw request target (`signatures.signed_address`)
    headers: Headers
    body: bytes
    path_secret: str = ""  # the part of the path that is a secret, where the vendor's proof is one
    kind: str = ""  # the part of the path that says what is delivered, where one door takes several kinds


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer. `reason` is a stable code, empty on success; nothing of the request is in it."""

    status: int
    reason: str = ""
    retry_after: int | None = None
    body: bytes = b""  # on success, where the sender expects one
    content_type: str = "application/json"


class Receiver(ABC):
    """One vendor's door. Fill in `vendor`, `verify` and `read`; leave `receive` alone."""

    vendor: ClassVar[str]
    packed: ClassVar[tuple[str, ...]] = ()  # content encodings the room unpacks itself, within its own bounds

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.refusals: Refusals | None = None  # who watches what is turned away; set by the application

    @abstractmethod
    def verify(self, delivery: Delivery) -> None:
        """Return when the delivery is genuine; raise WebhookRefused when it is not. Must not parse the body."""

    @abstractmethod
    def read(self, delivery: Delivery) -> Raw:
        """What to keep of a genuine delivery, once it is clear that it can be cut into events later.

        Raises WebhookRefused (400, 413) when the delivery as a whole is not readable: trying again would not help.
        """

    def accepted(self) -> Answer:
        """What a sender takes for success."""
        return Answer(204)

    def receive(self, delivery: Delivery) -> Answer | Keeping:
        """What to answer: 4xx when it is not genuine or readable, 503 for a fault of ours, `accepted` for no events.

        A delivery that is being committed comes back as its `Keeping`, for `settled` to answer. Never raises, never
        answers 410 (Mailchimp would switch the webhook off), never 4xx for a fault of ours.
        """
        try:
            check_limits(delivery, self.packed)
            try:
                self.verify(delivery)
            except WebhookRefused as refused:
                if self.refusals is not None:
                    self.refusals.note(self.vendor, refused.reason, lambda: self._looks_right(delivery))
                raise
            raw = self.read(delivery)
            if raw.events:
                return self._writer.put(self.vendor, raw)
        except WebhookRefused as refused:
            return self.refuse(refused)
        except Unavailable as why:
            return self.unavailable(why.reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours, whatever it is, is never a 4xx or a stack
            # Type and place only: the text of an unforeseen error may quote the payload.
            place = _place(error)
            log.error("delivery not handled", vendor=self.vendor, kind=type(error).__name__, place=place)  # noqa: TRY400
            return self.unavailable("internal")
        return self.accepted()

    def settled(self, keeping: Keeping) -> Answer:
        """The answer to a delivery of which it is known how it ended."""
        try:
            keeping.result()
        except Unavailable as why:
            return self.unavailable(why.reason)
        return self.accepted()

    def refuse(self, refused: WebhookRefused) -> Answer:
        """The answer to a refused request, counted."""
        WEBHOOK_REFUSED.add(vendor=self.vendor, reason=refused.reason)
        return Answer(refused.status, refused.reason)

    def unavailable(self, reason: str) -> Answer:
        """The answer when a fault of ours keeps a request from being stored, counted."""
        WEBHOOK_UNAVAILABLE.add(vendor=self.vendor, reason=reason)
        if self.refusals is not None and reason != "stopping":
            self.refusals.missed(self.vendor, reason)
        return Answer(503, reason, RETRY_AFTER)

    def _looks_right(self, delivery: Delivery) -> bool:
        """Would this be readable, were it only proven? Nothing of it is kept, and of what is long nothing is read."""
        try:
            return len(delivery.body) <= LONGEST_LOOK and self.read(delivery).events > 0
        except Exception:  # noqa: BLE001 - whatever a stranger's body can do, it is refused already
            return False


def check_limits(delivery: Delivery, packed: Sequence[str] = ()) -> None:
    """Refuse what is too large or packed; the same for every vendor and before any proof is computed.

    Raises WebhookRefused: too_large (413), packed (415). Only trackers pack; a packed body could grow without bound.
    """
    if len(delivery.body) > MAX_BODY:
        raise WebhookRefused("too_large", 413)
    if (delivery.headers.get("Content-Encoding") or "identity").strip().lower() not in ("identity", *packed):
        raise WebhookRefused("packed", 415)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace is not None else "unknown"
