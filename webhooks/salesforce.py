"""Salesforce's doors: signed callouts, and outbound messages. Sources: vendors/salesforce.md 6.2 and 6.3.

Neither is trusted for what it says of a record; both only name records to be read again.
"""

import re
from collections.abc import Callable, Sequence

from connectors.deliveries.salesforce import of_callout, of_message, same_organization
from connectors.deliveries.soap import ACKNOWLEDGED, read_message
from leadbridge import clock
from leadbridge.errors import WebhookRefused
from webhooks.base import Answer, Delivery, Receiver
from webhooks.signatures import same_secret, verify_callout
from webhooks.writer import Raw, Writer

SHARED_SECRET = "X-Leadbridge-Secret"  # noqa: S105 - a header's name


class CalloutReceiver(Receiver):
    """`POST /webhooks/salesforce`: JSON that names records, signed with HMAC over time and body.

    Flow without code cannot compute an HMAC: where `flow_secrets` are set, that secret itself in a header is taken too.
    """

    vendor = "salesforce"

    def __init__(
        self,
        writer: Writer,
        *,
        secrets: Sequence[str],
        flow_secrets: Sequence[str] = (),
        organization: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__(writer)
        self._secrets = tuple(secrets)
        self._flow_secrets = tuple(flow_secrets)
        self._organization = organization

    def verify(self, delivery: Delivery) -> None:
        shared = delivery.headers.get(SHARED_SECRET)
        if shared is not None and self._flow_secrets and delivery.headers.get("X-Leadbridge-Signature") is None:
            if not same_secret(shared, self._flow_secrets):
                raise WebhookRefused("bad_secret")
            return
        verify_callout(self._secrets, delivery.headers, delivery.body, clock.now())

    def read(self, delivery: Delivery) -> Raw:
        body = of_callout(delivery.body)
        return Raw(body, body.count(b'"record":') or 1, self._organization())


class OutboundReceiver(Receiver):
    """`POST /webhooks/salesforce/outbound/<secret>`: SOAP, acknowledged only once it is stored.

    The proof is the secret in the path and the organisation's id; the message has none of its own. A message of another
    organisation (a sandbox copied from production calls the same address) is refused, never acknowledged.
    """

    vendor = "salesforce"

    def __init__(
        self, writer: Writer, *, path_secrets: Sequence[str], organization: Callable[[], str | None] = lambda: None
    ) -> None:
        super().__init__(writer)
        self._path_secrets = tuple(path_secrets)
        self._organization = organization

    def verify(self, delivery: Delivery) -> None:
        if not same_secret(delivery.path_secret, self._path_secrets):
            raise WebhookRefused("not_found", 404)  # like any address that does not exist

    def read(self, delivery: Delivery) -> Raw:
        message = read_message(delivery.body)
        ours = self._organization()
        if not re.fullmatch(r"00D[A-Za-z0-9]{12}([A-Z0-5]{3})?", message.organization):
            raise WebhookRefused("no_organization", 400)
        if ours is not None and not same_organization(message.organization, ours):
            raise WebhookRefused("foreign_organization", 403)
        return Raw(of_message(message.organization, message.notifications), len(message.notifications), ours)

    def accepted(self) -> Answer:
        return Answer(200, body=ACKNOWLEDGED, content_type="text/xml; charset=utf-8")
