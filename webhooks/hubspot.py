"""HubSpot's door: batches of events, signature v3. Sources: vendors/hubspot.md sections 10 and 11."""

from collections.abc import Callable, Sequence

from connectors.deliveries.reading import array_length
from leadbridge import clock
from webhooks.base import Delivery, Receiver
from webhooks.signatures import verify_hubspot
from webhooks.writer import Raw, Writer


class HubSpotReceiver(Receiver):
    """`POST /webhooks/hubspot`: a JSON array of events, signed with the app's client secret."""

    vendor = "hubspot"

    def __init__(
        self,
        writer: Writer,
        *,
        secrets: Sequence[str],
        portal: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`secrets`: the present one first, then the one being rotated out. `portal`: the pinned account, if known."""
        super().__init__(writer)
        self._secrets = tuple(secrets)
        self._portal = portal

    def verify(self, delivery: Delivery) -> None:
        verify_hubspot(self._secrets, delivery.method, delivery.address, delivery.headers, delivery.body, clock.now())

    def read(self, delivery: Delivery) -> Raw:
        return Raw(delivery.body, array_length(delivery.body), self._portal())
