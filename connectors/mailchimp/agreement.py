"""Do the configuration and the account agree? The audience is asked for, and the journeys where the account tells."""

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.feeds import Feeds
from connectors.mailchimp.journeys import TRIGGER
from connectors.mailchimp.wire import AudienceRow, Refused, Shape, Text
from leadbridge.config.nurture import Journey, Way
from leadbridge.errors import Fault


class AudienceName(Shape):
    id: Text
    name: Text = ""


class Audiences(Shape):
    lists: list[AudienceName]


class Agreement:
    """Compares one configuration with its account."""

    def __init__(self, api: Api, feeds: Feeds, audience: str, journeys: Sequence[Journey]) -> None:
        self._api = api
        self._feeds = feeds
        self._audience = audience
        self._journeys = journeys

    def faults(self) -> list[Fault]:
        """See `EmailPlatform.faults`."""
        missing = list(self._no_audience())
        return missing or list(self._no_journey())  # without the audience nothing else can be asked

    def _no_audience(self) -> Iterator[Fault]:
        def get(sdk: Sdk) -> Any:
            return sdk.lists.get_list(self._audience, fields=["double_optin"])

        def every(sdk: Sdk) -> Any:
            return sdk.lists.get_all_lists(count=1000, fields=["lists.id", "lists.name"])

        try:
            self._api.ask("audience", AudienceRow, get)
        except Refused as refused:
            if refused.status != 404:
                raise
            known = self._api.ask("audiences", Audiences, every).lists
            there = "; ".join(f"{one.id} ({one.name})" for one in known) or "none"
            yield Fault(
                0, "connections.mailchimp.audience", f"there is no audience {self._audience}", f"there is: {there}"
            )

    def _no_journey(self) -> Iterator[Fault]:
        """Journeys started at an address that is no journey's any more. Accounts that do not tell are believed."""
        known = self._feeds.journeys()
        for where, way in self._ways():
            found = TRIGGER.search(way.start)
            if known is None or found is None or found[1] in known:
                continue
            there = "; ".join(f"{one} ({name})" for one, name in known.items()) or "none"
            yield Fault(
                0,
                f"{where}.mailchimp.trigger",
                f"there is no journey {found[1]} in this audience",
                f"there is: {there}",
            )

    def _ways(self) -> Iterator[tuple[str, Way]]:
        """Every way into a journey, and where the file says so."""
        for n, journey in enumerate(self._journeys):
            for place, way in enumerate(journey.ways.values()):
                yield f"nurture.journeys[{n}]" + (f".variants[{place}]" if journey.variants else ""), way
