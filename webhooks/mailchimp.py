"""Mailchimp's door: one form-encoded event per request, a secret in the path, signed where the account offers it.

Source: vendors/mailchimp.md section 11.
"""

from collections.abc import Callable, Sequence

from connectors.deliveries.mailchimp import form_fields
from leadbridge import clock
from leadbridge.errors import WebhookRefused
from webhooks.base import Delivery, Receiver
from webhooks.signatures import same_secret, verify_mailchimp
from webhooks.writer import Raw, Writer


class MailchimpReceiver(Receiver):
    """`POST /webhooks/mailchimp/<secret>`, and the GET by which Mailchimp tries the address."""

    vendor = "mailchimp"

    def __init__(
        self,
        writer: Writer,
        *,
        path_secrets: Sequence[str],
        audience: str,
        signing_secrets: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """With `signing_secrets` every delivery must be signed by one of them; hooks made before 2026 have none.

        Asked at each delivery: what it raises is a fault of ours, and the delivery is answered 503.
        """
        super().__init__(writer)
        self._path_secrets = tuple(path_secrets)
        self._audience = audience
        self._signing_secrets = signing_secrets

    def knows(self, path_secret: str) -> bool:
        """Is this the secret part of our own path?"""
        return same_secret(path_secret, self._path_secrets)

    def verify(self, delivery: Delivery) -> None:
        if not self.knows(delivery.path_secret):
            raise WebhookRefused("not_found", 404)  # like any address that does not exist
        if signing := self._signing_secrets():
            header = delivery.headers.get("X-Mailchimp-Signature")
            verify_mailchimp(signing, header, delivery.body, clock.now())

    def read(self, delivery: Delivery) -> Raw:
        if not form_fields(delivery.body).get("type"):
            raise WebhookRefused("no_type", 400)
        return Raw(delivery.body, 1, self._audience)
