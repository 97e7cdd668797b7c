"""Our webhook at an audience: is it there as it should be, and its making (vendors/mailchimp.md section 11)."""

from typing import Any

from pydantic import Field

from connectors.base import PropertySpec
from connectors.grants import SIGNING, Grants
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.wire import VENDOR, Id, Refused, Shape, Text, row
from leadbridge import logs
from leadbridge.errors import NeedsOperator

KIND = "webhook"
PATH = "/webhooks/mailchimp/"
EVENTS = {
    "subscribe": True,
    "unsubscribe": True,
    "profile": True,
    "cleaned": True,
    "upemail": True,
    "campaign": False,
}
SOURCES = {"user": True, "admin": True, "api": False}  # what we write ourselves comes back as no event (G17)
"""All are named: what Mailchimp takes for granted is not documented."""


class HookRow(Shape):
    id: Id
    url: Text = ""
    events: dict[str, bool] = Field(default_factory=dict)
    sources: dict[str, bool] = Field(default_factory=dict)

    def as_wanted(self) -> bool:
        held = self.events | self.sources
        return all(held.get(name, False) is on for name, on in (EVENTS | SOURCES).items())


class HooksPage(Shape):
    webhooks: list[dict[str, Any]]


class Made(Shape):
    """The one answer that shows the secret."""

    secret: Text = Field("", alias="signing_secret", repr=False)


class Hooks:
    """The webhook of one audience. Without a public address and a path secret there is none to want."""

    def __init__(
        self, api: Api, audience: str, public_url: str | None, path_secret: str | None, grants: Grants
    ) -> None:
        self._api = api
        self._audience = audience
        self._url = f"{public_url.rstrip('/')}{PATH}{path_secret}" if public_url and path_secret else None
        self._grants = grants

    def specs(self) -> list[PropertySpec]:
        """The webhook as something to be made; its name says nothing of its secret address."""
        names = ", ".join(name for name, on in EVENTS.items() if on)
        why = "Tells leadbridge within seconds who left."
        return [PropertySpec(names, "Webhook to leadbridge", KIND, why)] if self._url else []

    def missing(self) -> bool:
        """Is it not there, or not as it should be? Reads only."""
        held = self._held()
        return held is None or not held.as_wanted()

    def make(self) -> None:
        """Make it, or put right what is there. Raises NeedsOperator while Mailchimp cannot reach our address."""
        held, body = self._held(), {"events": EVENTS, "sources": SOURCES}
        if held is not None and held.as_wanted():
            return
        url = self._url

        def make(sdk: Sdk) -> Any:
            if held is not None:
                return sdk.lists.update_list_webhook(self._audience, held.id, body)
            return sdk.lists.create_list_webhook(self._audience, {"url": url, **body})

        try:
            made = self._api.ask("webhooks.make", Made, make)
        except Refused as refused:
            cure = "start leadbridge first, with web.public_url leading to it: Mailchimp tries the address at once"
            raise NeedsOperator(VENDOR, "webhooks.make", f"{refused.problem}; {cure}") from None
        if made.secret:
            logs.hide(made.secret)
            self._grants.keep(SIGNING, made.secret)

    def _held(self) -> HookRow | None:
        """Our webhook as Mailchimp has it; it tells hooks apart by the address without its query."""

        def call(sdk: Sdk) -> Any:
            return sdk.lists.get_list_webhooks(self._audience)

        page = self._api.ask("webhooks.list", HooksPage, call)
        rows = [one for raw in page.webhooks if (one := row(HookRow, raw)) is not None]
        return next((one for one in rows if one.url.partition("?")[0] == self._url), None)
