"""What an app of HubSpot's has to subscribe to, so that its webhooks tell leadbridge what it reads (section 10.1).

Of the kinds of apps only a legacy public one can be subscribed by API, with a developer key; there is one target for
each app, whatever the number of accounts. All others a person subscribes, and no API tells to what.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from connectors.base import ByHand, PropertySpec
from connectors.hubspot.auth import Api
from connectors.hubspot.mapping import LIFECYCLE, Fields
from connectors.hubspot.wire import VENDOR, Id, Listing, Refused, Shape, row
from leadbridge.config.connections import HubSpotConnection
from leadbridge.errors import Fault, NeedsOperator

KIND = "webhook"
PATH = "/webhooks/hubspot"
TARGET = "target address"
CONCURRENT = 10
"""Deliveries at a time, HubSpot's own number (section 10.3)."""

OF_CONTACTS = ("creation", "deletion", "privacyDeletion", "merge", "restore", "associationChange")
ALWAYS = ("email", LIFECYCLE, "hs_email_optout")
NOT_OFFERED = frozenset({"num_unique_conversion_events", "hs_lastmodifieddate", "lastmodifieddate"})
"""Properties whose changes HubSpot tells nobody."""

HOW = (
    "HubSpot lets nobody but a person subscribe a private or project app: in the app's webhooks (or in its "
    "webhooks-hsmeta.json, then `hs project upload`) set the target to {target} and make these active"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One subscription."""

    event: str  # "contact.propertyChange"
    of: str = ""  # the property, where it is about one

    @property
    def name(self) -> str:
        return f"{self.event} of {self.of}" if self.of else self.event


class Held(Shape):
    """One subscription as the app has it."""

    id: Id
    event: str = Field("", alias="eventType")
    of: str | None = Field(None, alias="propertyName")
    active: bool = False

    def wanted(self) -> Wanted:
        return Wanted(self.event, self.of or "")


class Settings(Shape):
    target: str = Field("", alias="targetUrl")


class Subscriptions:
    """The webhooks of one app."""

    def __init__(self, api: Api, fields: Fields, connection: HubSpotConnection, public_url: str | None) -> None:
        self._api = api
        self._app = {"app": connection.app_id or ""}
        self._by_api = connection.developer_key is not None
        self._ours = {target.name for target in fields.targets.values()} - {LIFECYCLE}
        self._wanted = list(_subscriptions(fields, self._ours)) if connection.webhook_secret else []
        self._target = f"{(public_url or 'https://YOUR-ADDRESS').rstrip('/')}{PATH}"
        self._reachable = public_url is not None

    def by_hand(self) -> list[ByHand]:
        """See `Crm.by_hand`."""
        if self._by_api or not self._wanted:
            return []
        names = tuple(one.name for one in self._wanted)
        return [ByHand("webhook subscriptions", HOW.format(target=self._target), names)]

    # --- by API ------------------------------------------------------------------------------------------------------

    def specs(self) -> list[PropertySpec]:
        """The target and the subscriptions as something to be made, where that can be done."""
        if not self._by_api:
            return []
        names = [TARGET, *(one.name for one in self._wanted)]
        return [PropertySpec(name, "Webhook to leadbridge", KIND, "Tells leadbridge within seconds.") for name in names]

    def missing(self) -> set[str]:
        """Names of `specs` that the app lacks, or holds paused. Reads only."""
        if not self._by_api:
            return set()
        active = {one.wanted() for one in self._held() if one.active}
        target = set() if self._target_held() else {TARGET}
        return target | {one.name for one in self._wanted if one not in active}

    def make(self) -> None:
        """Make what is missing, and nothing else. Raises NeedsOperator when the address cannot be a target."""
        missing = self.missing()
        if TARGET in missing:
            self._need_https()
            body: dict[str, Any] = {"targetUrl": self._target, "throttling": {"maxConcurrentRequests": CONCURRENT}}
            self._api.ask("webhooks.settings.set", Settings, arguments=self._app, body=body)
        held = {one.wanted(): one for one in self._held()}
        for one in self._wanted:
            if one.name not in missing:
                continue
            if one in held:  # paused
                arguments = {**self._app, "id": held[one].id}
                self._api.ask("webhooks.activate", Held, arguments=arguments, body={"active": True})
                continue
            about = {"propertyName": one.of} if one.of else {}
            asked = {"eventType": one.event, **about, "active": True}
            self._api.ask("webhooks.subscribe", Held, arguments=self._app, body=asked)

    def faults(self) -> Iterator[Fault]:
        """What is subscribed, or where to, against what leadbridge needs; what is missing `missing` tells."""
        if not self._by_api:
            return
        where, held = "connections.hubspot.app_id", self._target_held()
        if held and self._reachable and held != self._target:
            cure = "an app has one target for all accounts: change it in HubSpot, or give leadbridge an app of its own"
            yield Fault(0, where, f"the app sends its webhooks to {held}, not to {self._target}", cure)
        if echoes := sorted({one.of for one in self._held() if one.active and one.of in self._ours}):
            cure = "pause these subscriptions in HubSpot"
            problem = f"the app is subscribed to what leadbridge itself writes ({', '.join(map(str, echoes))})"
            yield Fault(0, where, f"{problem}, so that each write comes back as an event", cure)

    def _held(self) -> list[Held]:
        listing = self._api.ask("webhooks.subscriptions", Listing, arguments=self._app)
        return [found for raw in listing.results if (found := row(Held, raw)) is not None]

    def _target_held(self) -> str:
        """Where the app's webhooks go; "" while it has no target."""
        try:
            return self._api.ask("webhooks.settings", Settings, arguments=self._app).target
        except Refused as refused:
            if refused.status != 404:
                raise
            return ""

    def _need_https(self) -> None:
        if not self._reachable or urlsplit(self._target).scheme != "https":
            cure = "set web.public_url to an https address that leads to leadbridge"
            raise NeedsOperator(VENDOR, "webhooks.settings.set", f"HubSpot sends webhooks to https only; {cure}")


def _subscriptions(fields: Fields, ours: Collection[str]) -> Iterator[Wanted]:
    """What these fields need. Never leadbridge's own properties: our writes are no news (G17)."""
    yield from (Wanted(f"contact.{one}") for one in OF_CONTACTS)
    yield from _changes("contact", {*ALWAYS, *fields.mapped_properties} - {*ours})
    yield from _changes("company", fields.company_properties)


def _changes(kind: str, properties: Collection[str]) -> Iterator[Wanted]:
    yield from (Wanted(f"{kind}.propertyChange", one) for one in sorted({*properties} - NOT_OFFERED))
