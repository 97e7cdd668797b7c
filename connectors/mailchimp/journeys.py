"""Starting and leaving journeys (vendors/mailchimp.md sections 5 and 9).

By tag or by merge field, preferred: setting what is set already changes nothing, so the call may be repeated and can
be proved. It also starts nothing a second time; to let somebody in once more (`again`), the tag is taken off or the
field emptied first, which starts nothing. Whether the flow lets them in is its own setting ("can re-enter").

By trigger: 204 means accepted, not entered, and a second call may enter the contact a second time. It is sent once,
and repeated only when it is proven that the first one did nothing.

Out of a journey leads only its own exit condition: a tag that leadbridge puts on. It is taken off before an entry, or
the flow would turn the person ajourney.
"""

import re
from collections.abc import Mapping
from typing import Any

from connectors.base import STARTS_WITHIN, Entry, Outcome, PropertySpec, Settled
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.mapping import hash_of
from connectors.mailchimp.wire import VENDOR, MemberRow, Refused, Tags
from leadbridge.config.nurture import MailchimpTrigger
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, Unknown, VendorError

TRIGGER = re.compile(r"journeys/(\d+)/steps/(\d+)")


class Journeys:
    """The configured journeys of one audience."""

    def __init__(self, api: Api, audience: str, journeys: Mapping[str, MailchimpTrigger]) -> None:
        self._api = api
        self._audience = audience
        self._journeys = journeys

    def repeatable(self, name: str) -> bool:
        """See `EmailPlatform.repeatable`. A journey no longer configured is not."""
        journey = self._journeys.get(name)
        return journey is not None and journey.trigger is None

    def specs(self) -> list[PropertySpec]:
        """The merge fields that start journeys, each once."""
        names = dict.fromkeys(_field_of(journey)[0] for journey in self._journeys.values())
        why = "Written by leadbridge: starts a journey."
        return [PropertySpec(name, "Leadbridge next journey", "text", why) for name in names if name]

    # --- in ----------------------------------------------------------------------------------------------------------

    def enrol(self, name: str, email: str, *, again: bool) -> tuple[Entry, str]:
        """See `EmailPlatform.enrol`.

        Any 4xx but 429 is final (section 9): not in the audience, in a compliance state, forgotten, wrong step.
        Raises NeedsOperator, and then nothing happened: the call was turned away at the door (401, 403).
        """
        journey = self._journeys.get(name)
        if journey is None:
            return Entry.REFUSED, "the journey is not in the configuration any more"
        failures: list[VendorError] = []
        begin_by = self._api.pace.ticks() + STARTS_WITHIN.total_seconds()
        try:
            self._prepare(journey, email, again=again)
        except VendorError as error:  # whatever became of it, it starts nothing
            return self._meaning(error, failures)
        try:
            self._start(journey, email, failures, begin_by)
        except VendorError as error:
            return self._meaning(error, failures)
        return Entry.ENTERED, "accepted"

    def _meaning(self, error: VendorError, failures: list[VendorError]) -> tuple[Entry, str]:
        """What the last error says about the person, seeing that an earlier try to start may have arrived."""
        if any(isinstance(one, Unknown) for one in failures):
            return Entry.UNCERTAIN, error.problem
        if isinstance(error, NeedsOperator):
            raise error
        if isinstance(error, RecordRefused):
            return Entry.REFUSED, error.problem
        return Entry.NOTHING_HAPPENED, error.problem

    def _prepare(self, journey: MailchimpTrigger, email: str, *, again: bool) -> None:
        """Undo what keeps the journey from letting the person in: its exit tag, and what the last entry left."""
        field, _ = _field_of(journey)
        off = [tag for tag in (journey.exit_tag, journey.tag if again else None) if tag is not None]
        if off and (again or journey.tag is None):  # otherwise it goes along with the start
            self._tag(email, dict.fromkeys(off, False))
        if field and again:
            self._set_field(email, field, "", [], None)

    def _start(self, journey: MailchimpTrigger, email: str, failures: list[VendorError], begin_by: float) -> None:
        field, value = _field_of(journey)
        if journey.tag is not None:
            off = {journey.exit_tag: False} if journey.exit_tag is not None else {}
            self._tag(email, {**off, journey.tag: True}, failures, begin_by)
        elif field:
            self._set_field(email, field, value, failures, begin_by)
        else:
            self._trigger(journey, email, failures, begin_by)

    def _tag(
        self,
        email: str,
        tags: Mapping[str, bool],
        failures: list[VendorError] | None = None,
        begin_by: float | None = None,
    ) -> None:
        """Put tags on or take them off, in this order. Repeatable; `is_syncing` true would start nothing."""
        given = [{"name": name, "status": "active" if on else "inactive"} for name, on in tags.items()]
        body = {"tags": given, "is_syncing": False}

        def call(sdk: Sdk) -> Any:
            return sdk.lists.update_list_member_tags(self._audience, hash_of(email), body)

        self._api.tell("members.tags", call, repeatable=True, failures=failures, begin_by=begin_by)

    def _set_field(
        self, email: str, field: str, value: str, failures: list[VendorError], begin_by: float | None
    ) -> None:
        body = {"merge_fields": {field: value}}

        def call(sdk: Sdk) -> Any:
            return sdk.lists.update_list_member(self._audience, hash_of(email), body, skip_merge_validation=True)

        found = self._api.ask("members.patch", MemberRow, call, failures=failures, begin_by=begin_by)
        if field not in found.merge_fields:  # unknown merge tags are ignored without a word (section 3)
            failures.clear()
            cure = "run `leadbridge apply` to create it"
            raise NeedsOperator(VENDOR, "members.patch", f"the audience has no merge field {field}; {cure}")

    def _trigger(self, journey: MailchimpTrigger, email: str, failures: list[VendorError], begin_by: float) -> None:
        found = TRIGGER.search(journey.trigger or "")
        if found is None:
            raise NeedsOperator(VENDOR, "journeys.trigger", f"the trigger {journey.trigger} names no journey and step")
        number, step = found.groups()

        def call(sdk: Sdk) -> Any:
            return sdk.journeys.trigger(number, step, {"email_address": email})

        self._api.tell("journeys.trigger", call, repeatable=False, failures=failures, begin_by=begin_by)

    # --- was it, and out ---------------------------------------------------------------------------------------------

    def entered(self, name: str, email: str, *, again: bool) -> bool | None:
        """See `EmailPlatform.entered`. A tag or a field can be looked up; who is in a journey cannot (section 9).

        No field tells of the past: one that holds another value by now may have held this one.
        """
        journey = self._journeys.get(name)
        if journey is None or journey.trigger is not None:
            return None
        field, value = _field_of(journey)
        try:
            if journey.tag is not None:
                held = self._has_tag(email, journey.tag)
                other = False
            else:
                now = self._field(email, field)
                held, other = now == value, now not in ("", value)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        if other or (held and again):
            return None
        return held

    def _has_tag(self, email: str, tag: str) -> bool:
        def call(sdk: Sdk) -> Any:
            # All of them: the contact itself shows fifty at most (section 3).
            return sdk.lists.get_list_member_tags(self._audience, hash_of(email), count=1000, fields=["tags.name"])

        held = self._api.ask("members.tags.list", Tags, call)
        wanted = tag.strip().casefold()  # the service has changed the case of names (section 5)
        return any(one.name.strip().casefold() == wanted for one in held.tags)

    def _field(self, email: str, field: str) -> str:
        def call(sdk: Sdk) -> Any:
            paths = ["email_address", "status", "merge_fields"]
            return sdk.lists.get_list_member(self._audience, hash_of(email), fields=paths)

        return self._api.ask("members.get", MemberRow, call).merge_fields.get(field, "")

    def can_leave(self, name: str) -> bool:
        """See `EmailPlatform.can_leave`."""
        journey = self._journeys.get(name)
        return journey is not None and journey.exit_tag is not None

    def leave(self, name: str, email: str) -> Settled:
        """See `EmailPlatform.leave`. Raises VendorError when it cannot be told that the tag is on."""
        journey = self._journeys.get(name)
        exit_tag = journey.exit_tag if journey else None
        if exit_tag is None:
            raise FeatureMissing(VENDOR, "journeys.leave", f"journey {name} has no exit_tag in the configuration")
        try:
            self._tag(email, {exit_tag: True})
        except RecordRefused as refused:
            return Settled(Outcome.GONE if refused.status == 404 else Outcome.REFUSED, refused.problem)
        return Settled(Outcome.WRITTEN)


def _field_of(journey: MailchimpTrigger) -> tuple[str, str]:
    """The merge field that starts it and the value it waits for; both empty when it is started in another journey."""
    field, _, value = (journey.merge_field or "").partition("=")
    return field, value.strip()
