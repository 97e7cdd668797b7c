"""Do the configuration and the account agree? The audience is asked for, and the journeys where the account tells."""

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.feeds import Feeds, StepRow
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
        return missing or list(self._journey_faults())  # without the audience nothing else can be asked

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

    def _journey_faults(self) -> Iterator[Fault]:
        """Ways in that lead nowhere, or only once. Accounts that do not tell of their journeys are believed."""
        known = self._feeds.journeys()
        if known is None:
            return
        there = "; ".join(f"{one.id} ({one.name})" for one, _ in known) or "none"
        for where, journey, way in self._ways():
            if way.mailchimp is None or way.mailchimp.merge_field is not None:
                continue  # which fields start a journey is told of no account
            key = f"{where}.mailchimp.{'tag' if way.mailchimp.tag else 'trigger'}"
            found = TRIGGER.search(way.mailchimp.trigger or "")
            if found is not None:
                flow = next((flow for flow in known if flow[0].id == found[1]), None)
                problem = f"there is no journey {found[1]} in this audience"
                if flow is not None and found[2] not in {step.id for step in flow[1]}:
                    yield Fault(0, key, f"journey {found[1]} has no step {found[2]}", "copy its address anew")
                    continue
            else:
                tag = (way.mailchimp.tag or "").strip().casefold()
                flow = next((flow for flow in known if tag in {_tag(step) for step in flow[1]}), None)
                problem = f"no journey of this audience starts by the tag {way.mailchimp.tag!r}"
            if flow is None:
                yield Fault(0, key, problem, f"there is: {there}")
                continue
            if flow[0].status in ("paused", "draft"):
                yield Fault(0, key, f"the journey {flow[0].name!r} is {flow[0].status}, and lets nobody in", "start it")
            again = journey.re_enter_after is not None or journey.re_enter != "never"
            if again and flow[0].lets_in_again is False:
                cure = "allow that contacts re-enter in Mailchimp, or leave re-entry out here"
                yield Fault(0, key, f"the journey {flow[0].name!r} lets nobody in twice", cure)

    def _ways(self) -> Iterator[tuple[str, Journey, Way]]:
        """Every way into a journey, and where the file says so."""
        for n, journey in enumerate(self._journeys):
            for place, way in enumerate(journey.ways.values()):
                yield f"nurture.journeys[{n}]" + (f".variants[{place}]" if journey.variants else ""), journey, way


def _tag(step: StepRow) -> str:
    return step.start.tag.name.strip().casefold()
