"""Starting journeys (vendors/mailchimp.md sections 5 and 9).

By tag, preferred: setting a tag that is set already changes nothing, so the call may be repeated and can be proved.
It also starts nothing a second time: a tag that is there already, from an earlier entry or set by hand, is *not* taken
off and put on again, so a journey started by tag is entered once for each contact.

By trigger: 204 means accepted, not entered, and a second call may enter the contact a second time. It is sent once,
and repeated only when it is proven that the first one did nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

from connectors.base import Entry
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.mapping import hash_of
from connectors.mailchimp.wire import Refused, Tags
from leadbridge.config.nurture import Journey
from leadbridge.errors import NeedsOperator, RecordRefused, Unknown, VendorError

_TRIGGER = re.compile(r"journeys/(\d+)/steps/(\d+)")


class Journeys:
    """The configured journeys of one audience."""

    def __init__(self, api: Api, audience: str, journeys: Mapping[str, Journey]) -> None:
        self._api = api
        self._audience = audience
        self._journeys = journeys

    def repeatable(self, name: str) -> bool:
        """See `EmailPlatform.repeatable`. A journey no longer configured is not."""
        return self._tag(name) is not None

    def enrol(self, name: str, email: str) -> tuple[Entry, str]:
        """See `EmailPlatform.enrol`.

        Any 4xx but 429 is final (section 9): not in the audience, in a compliance state, forgotten, wrong step.
        Raises NeedsOperator, and then nothing happened: the call was turned away at the door (401, 403).
        """
        journey = self._journeys.get(name)
        if journey is None:
            return Entry.REFUSED, "the journey is not in the configuration any more"
        failures: list[VendorError] = []
        try:
            self._start(journey, email, failures)
        except VendorError as error:
            return self._meaning(error, failures)
        return Entry.ENTERED, "accepted"

    def _meaning(self, error: VendorError, failures: list[VendorError]) -> tuple[Entry, str]:
        """What the last error says about the person, seeing that an earlier try may have arrived."""
        if any(isinstance(one, Unknown) for one in failures):
            return Entry.UNCERTAIN, error.problem
        if isinstance(error, NeedsOperator):
            raise error
        if isinstance(error, RecordRefused):
            return Entry.REFUSED, error.problem
        return Entry.NOTHING_HAPPENED, error.problem

    def _start(self, journey: Journey, email: str, failures: list[VendorError]) -> None:
        tag = journey.mailchimp.tag
        if tag is not None:
            body = {"tags": [{"name": tag, "status": "active"}], "is_syncing": False}  # true would start nothing

            def set_tag(sdk: Sdk) -> Any:
                return sdk.lists.update_list_member_tags(self._audience, hash_of(email), body)

            self._api.tell("members.tags", set_tag, repeatable=True, failures=failures)
            return
        found = _TRIGGER.search(journey.mailchimp.trigger or "")
        if found is None:
            raise NeedsOperator(
                "mailchimp", "journeys.trigger", f"journey {journey.name}: its trigger names no journey and step"
            )
        number, step = found.groups()

        def trigger(sdk: Sdk) -> Any:
            return sdk.journeys.trigger(number, step, {"email_address": email})

        self._api.tell("journeys.trigger", trigger, repeatable=False, failures=failures)

    def entered(self, name: str, email: str) -> bool | None:
        """See `EmailPlatform.entered`. A tag can be looked up; who is in a journey cannot (section 9)."""
        tag = self._tag(name)
        if tag is None:
            return None

        def call(sdk: Sdk) -> Any:
            # All of them: the contact itself shows fifty at most (section 3).
            return sdk.lists.get_list_member_tags(self._audience, hash_of(email), count=1000, fields=["tags.name"])

        try:
            held = self._api.ask("members.tags.list", Tags, call)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        wanted = tag.strip().casefold()  # the service has changed the case of names (section 5)
        return any(one.name.strip().casefold() == wanted for one in held.tags)

    def _tag(self, name: str) -> str | None:
        journey = self._journeys.get(name)
        return journey.mailchimp.tag if journey else None
