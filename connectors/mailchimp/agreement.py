"""Do the configuration and the account agree? The audience is asked for, and the journeys where the account tells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.base import PropertySpec
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.feeds import Feeds, JourneyRow, StepRow
from connectors.mailchimp.journeys import TRIGGER
from connectors.mailchimp.wire import AudienceRow, Id, MergeFields, Refused, Shape, Text
from leadbridge.config.nurture import Journey, MailchimpTrigger, Way
from leadbridge.errors import Fault

Flow = tuple[JourneyRow, Sequence[StepRow]]

_ABOUT_TAGS = {"tag", "tag_name", "tags", "staticsegment", "static_segment"}
"""Words of a condition that looks for a tag."""


class FoundTag(Shape):
    id: Id
    name: Text


class FoundTags(Shape):
    tags: list[FoundTag]


class AudienceName(Shape):
    id: Text
    name: Text = ""


class Audiences(Shape):
    lists: list[AudienceName]


class Agreement:
    """Compares one configuration with its account."""

    def __init__(
        self, api: Api, feeds: Feeds, filled: Mapping[str, PropertySpec], audience: str, journeys: Sequence[Journey]
    ) -> None:
        """`filled` are the merge fields of write-back, by our names."""
        self._api = api
        self._feeds = feeds
        self._filled = filled
        self._audience = audience
        self._journeys = journeys

    def faults(self) -> list[Fault]:
        """See `EmailPlatform.faults`."""
        missing = list(self._no_audience())
        if missing:
            return missing  # without the audience nothing else can be asked
        fields = self._merge_fields()
        return [*self._type_faults(fields), *self._journey_faults(fields)]

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

    def _type_faults(self, fields: Mapping[str, str]) -> Iterator[Fault]:
        """Fields to be filled that are there with another type, which cannot be changed (section 4)."""
        cure = "choose another merge field, or delete this one in Mailchimp with all it holds"
        for ours, spec in self._filled.items():
            if fields.get(spec.name, spec.kind) != spec.kind:
                problem = f"the merge field {spec.name} is of type {fields[spec.name]}; {spec.kind} is needed"
                yield Fault(0, f"write_back.{ours}.mailchimp", problem, cure)

    def _journey_faults(self, fields: Mapping[str, str]) -> Iterator[Fault]:
        """Ways that lead in nowhere, only once, or not out again, as far as the account tells."""
        flows = self._feeds.journeys()
        for where, journey, way in self._ways():
            start = way.mailchimp
            if start is None:
                continue
            place = f"{where}.mailchimp"
            flow = None
            if start.merge_field is not None:
                yield from self._field_faults(f"{place}.merge_field", start.merge_field, fields, flows)
            else:
                key = f"{place}.{'tag' if start.tag else 'trigger'}"
                if flows is not None:
                    flow, found = _way_in(key, start, flows)
                    yield from found
                elif start.tag is not None and self._tag_id(start.tag) is None:
                    yield _no_tag(key, start.tag, "start the journey by it")
                if flow is not None:
                    yield from _closed(key, journey, flow)
            if start.exit_tag is not None:
                yield from self._exit_faults(f"{place}.exit_tag", start.exit_tag, flow)

    def _exit_faults(self, key: str, tag: str, flow: JourneyRow | None) -> Iterator[Fault]:
        """A tag that is not there; and what the journey says of its exit condition, as far as that can be read."""
        number = self._tag_id(tag)
        if number is None:
            yield _no_tag(key, tag, "make the journey's exit condition look for it")
            return
        if flow is None or "exit" not in flow.model_fields_set:
            return
        told, cure = set(_words(flow.exit)), f"make its exit condition look for the tag {tag!r}"
        if not told:
            yield Fault(0, key, f"the journey {flow.name!r} has no exit condition, so nobody can be taken out", cure)
        elif told & _ABOUT_TAGS and not told & {tag.strip().casefold(), number}:
            yield Fault(0, key, f"the exit condition of {flow.name!r} looks for another tag than {tag!r}", cure)

    def _tag_id(self, tag: str) -> str | None:
        """The id of a tag; None when the audience has none of this name, in whatever case (section 5)."""

        def call(sdk: Sdk) -> Any:
            return sdk.lists.tag_search(self._audience, name=tag.strip())

        wanted = tag.strip().casefold()
        found = self._api.ask("tags.search", FoundTags, call).tags
        return next((one.id for one in found if one.name.strip().casefold() == wanted), None)

    def _merge_fields(self) -> dict[str, str]:
        """The types of the audience's fields; asked for when any is written."""
        starts = [way.mailchimp.merge_field for _, _, way in self._ways() if way.mailchimp is not None]
        if not self._filled and not any(starts):
            return {}

        def call(sdk: Sdk) -> Any:
            paths = ["merge_fields.tag", "merge_fields.type"]
            return sdk.lists.get_list_merge_fields(self._audience, count=1000, fields=paths)

        return {one.tag: one.type for one in self._api.ask("merge_fields.list", MergeFields, call).merge_fields}

    def _field_faults(
        self, key: str, start: str, fields: Mapping[str, str], flows: Sequence[Flow] | None
    ) -> Iterator[Fault]:
        name = start.partition("=")[0]
        if name not in fields:
            cure = "run `leadbridge apply`, which creates it, and start the journey by it"
            yield Fault(0, key, f"the audience has no merge field {name}, so no journey can wait for it", cure)
        elif fields[name] != "text":
            cure = "take a text field, and start the journey by it"
            yield Fault(0, key, f"the merge field {name} is of type {fields[name]}; leadbridge writes text", cure)
        elif flows is not None and not _waits_for(flows, name):
            cure = f"start a journey by a change of {name}"
            yield Fault(0, key, f"no journey of this audience starts by a change of {name}", cure)

    def _ways(self) -> Iterator[tuple[str, Journey, Way]]:
        """Every way into a journey, and where the file says so."""
        for n, journey in enumerate(self._journeys):
            for place, way in enumerate(journey.ways.values()):
                yield f"nurture.journeys[{n}]" + (f".variants[{place}]" if journey.variants else ""), journey, way


def _way_in(key: str, start: MailchimpTrigger, flows: Sequence[Flow]) -> tuple[JourneyRow | None, list[Fault]]:
    """The journey that this starts, or why there is none."""
    there = "; ".join(f"{one.id} ({one.name})" for one, _ in flows) or "none"
    address = TRIGGER.search(start.trigger or "")
    if address is None:
        tag = (start.tag or "").strip().casefold()
        flow = next((flow for flow, steps in flows if tag in {_tag(step) for step in steps}), None)
        problem = f"no journey of this audience starts by the tag {start.tag!r}"
        return flow, [] if flow else [Fault(0, key, problem, f"there is: {there}")]
    number, step_id = address.groups()
    for flow, steps in flows:
        if flow.id == number:
            wrong = step_id not in {step.id for step in steps}
            problem = f"journey {number} has no step {step_id}"
            return (None, [Fault(0, key, problem, "copy its address anew")]) if wrong else (flow, [])
    return None, [Fault(0, key, f"there is no journey {number} in this audience", f"there is: {there}")]


def _no_tag(key: str, tag: str, todo: str) -> Fault:
    """A tag that is not there can be no part of any journey: the flow builder offers those that are."""
    cure = f"create the tag in Mailchimp, and {todo}"
    return Fault(0, key, f"the audience has no tag {tag!r}, so no journey can wait for it", cure)


def _closed(key: str, journey: Journey, flow: JourneyRow) -> Iterator[Fault]:
    if flow.status in ("paused", "draft"):
        yield Fault(0, key, f"the journey {flow.name!r} is {flow.status}, and lets nobody in", "start it")
    again = journey.re_enter_after is not None or journey.re_enter != "never"
    if again and flow.lets_in_again is False:
        cure = "allow that contacts re-enter in Mailchimp, or leave re-entry out here"
        yield Fault(0, key, f"the journey {flow.name!r} lets nobody in twice", cure)


def _waits_for(flows: Sequence[Flow], field: str) -> bool:
    """Does a journey start by this field? Also when there is a start that tells nothing of itself."""
    starts = [step for _, steps in flows for step in steps if step.type.startswith("trigger") and not _tag(step)]
    told = [set(_words(step.details)) for step in starts if "api" not in step.type]
    return any(not words or field.casefold() in words for words in told)


def _words(told: Any) -> Iterator[str]:
    """Everything that stands in a part of an answer whose shape nobody says, in lower case."""
    if isinstance(told, dict):
        for name, value in told.items():
            inside = list(_words(value))
            yield from [name.casefold(), *inside] if inside else ()
    elif isinstance(told, list):
        for one in told:
            yield from _words(one)
    elif told not in (None, "", False):
        yield str(told).strip().casefold()


def _tag(step: StepRow) -> str:
    return step.start.tag.name.strip().casefold()
