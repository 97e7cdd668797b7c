"""Mailchimp as an e-mail platform: the contract fulfilled, each part by the module that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from connectors.base import Consent, EmailPlatform, Entry, Member, OptOut, Page, Progress, PropertySpec, Settled
from connectors.grants import Grants, MemoryGrants
from connectors.mailchimp.agreement import Agreement
from connectors.mailchimp.auth import Api
from connectors.mailchimp.feeds import Feeds
from connectors.mailchimp.hooks import KIND as HOOK
from connectors.mailchimp.hooks import Hooks
from connectors.mailchimp.journeys import Journeys
from connectors.mailchimp.mapping import CAMPAIGNS, Fields
from connectors.mailchimp.members import Members
from connectors.mailchimp.streams import Streams
from connectors.mailchimp.wire import VENDOR, Root
from leadbridge.call import Pace
from leadbridge.config.connections import MailchimpConnection
from leadbridge.config.schema import Config
from leadbridge.errors import Fault
from leadbridge.types import Activity, Value


class Mailchimp(EmailPlatform):
    """One audience of one Mailchimp account. Thread-safe; build one per connection, so that limits are shared."""

    vendor = VENDOR

    keeps_grants = True

    def __init__(
        self, connection: MailchimpConnection, config: Config, *, pace: Pace | None = None, grants: Grants | None = None
    ) -> None:
        self._api = Api(connection, pace, grants)
        self._fields = Fields(config)
        lookback = timedelta(seconds=connection.lookback)
        audience = connection.audience
        self._members = Members(self._api, self._fields, audience, connection.simultaneous, lookback)
        journeys = {name: way.mailchimp for name, way in config.nurture.ways.items() if way.mailchimp is not None}
        self._journeys = Journeys(self._api, audience, journeys)
        secret = connection.webhook_secret.get_secret_value() if connection.webhook_secret else None
        self._hooks = Hooks(self._api, audience, config.web.public_url, secret, grants or MemoryGrants())
        self._sources = tuple(dict.fromkeys(connection.activities))
        history = timedelta(seconds=connection.history)
        self._feeds = Feeds(self._api, audience, connection.simultaneous)
        filled = self._fields.filled()
        self._agreement = Agreement(self._api, self._feeds, filled, audience, config.nurture.journeys)
        self._streams = Streams(self._api, self._feeds, audience, history=history, lookback=lookback)

    def faults(self) -> list[Fault]:
        return self._agreement.faults()

    def account(self) -> str:
        """The account's id: to be pinned, so that a wrong key never touches another account."""
        return self._api.ask("account", Root, lambda sdk: sdk.root.get_root(fields=["account_id"])).account_id

    def read_members(self, emails: Sequence[str]) -> Iterator[Mapping[str, Member]]:
        return self._members.read(emails)

    def repeatable(self, journey: str) -> bool:
        return self._journeys.repeatable(journey)

    def enrol(self, journey: str, email: str, *, again: bool = False) -> tuple[Entry, str]:
        return self._journeys.enrol(journey, email, again=again)

    def entered(self, journey: str, email: str, *, again: bool = False) -> bool | None:
        return self._journeys.entered(journey, email, again=again)

    def can_leave(self, journey: str) -> bool:
        return self._journeys.can_leave(journey)

    def leave(self, journey: str, email: str) -> Settled:
        return self._journeys.leave(journey, email)

    def add_member(self, email: str, fields: Mapping[str, str], consent: Consent | None = None) -> Settled:
        return self._members.add(email, fields, consent)

    def pull_opt_outs(self, progress: Progress | None) -> Iterator[Page[OptOut]]:
        return self._members.opt_outs(progress)

    def streams(self) -> Sequence[str]:
        return self._sources

    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        if stream != CAMPAIGNS:
            raise ValueError(f"Mailchimp has no source {stream!r}; there is {CAMPAIGNS}")
        return self._streams.campaigns(progress)

    def read_activities(
        self, emails: Sequence[str], since: datetime, progress: Progress | None = None
    ) -> Iterator[Page[Activity]]:
        return iter(()) if self._streams.tells_of_journeys() else self._feeds.read(emails, since, progress)

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        return self._fields.changes(wanted, current)

    def write(self, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, Settled]:
        return self._members.write(changes)

    def shows(self) -> bool:
        return bool(self._fields.segment_tags) or super().shows()

    def specs(self) -> list[PropertySpec]:
        return [*self._fields.specs(), *self._journeys.specs(), *self._hooks.specs()]

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        fields = [spec for spec in specs if spec.kind != HOOK]
        hooks = [spec for spec in specs if spec.kind == HOOK]
        return [*self._members.missing(fields), *(hooks if hooks and self._hooks.missing() else ())]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        self._members.create([spec for spec in specs if spec.kind != HOOK])
        if any(spec.kind == HOOK for spec in specs):
            self._hooks.make()
