"""HubSpot as a CRM: the contract fulfilled, each part by the module that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from connectors.base import (
    ByHand,
    Change,
    Crm,
    Heard,
    Made,
    Page,
    Progress,
    PropertySpec,
    Reading,
    SalesTask,
    Settled,
    TaskState,
)
from connectors.grants import Grants
from connectors.hubspot.agreement import Agreement
from connectors.hubspot.around import Around
from connectors.hubspot.auth import JOURNAL, Api
from connectors.hubspot.counters import counted, in_use, properties_of
from connectors.hubspot.journal import SUBSCRIPTION, Journal
from connectors.hubspot.leads import Leads
from connectors.hubspot.mapping import CONTACT, Fields
from connectors.hubspot.properties import Properties
from connectors.hubspot.streams import Streams
from connectors.hubspot.subscriptions import KIND as WEBHOOK
from connectors.hubspot.subscriptions import Subscriptions
from connectors.hubspot.tasks import Tasks
from connectors.hubspot.wire import VENDOR, Id, Shape
from connectors.hubspot.writing import BATCH, Writes
from leadbridge.budgets import Day
from leadbridge.call import Pace
from leadbridge.config.connections import HubSpotConnection
from leadbridge.config.schema import Config
from leadbridge.errors import Fault
from leadbridge.types import Activity, Lead, RecordRef, Value

_NO_PROPERTIES = (WEBHOOK, SUBSCRIPTION)


class Account(Shape):
    portal_id: Id = Field(alias="portalId")


class HubSpot(Crm):
    """One HubSpot account. Thread-safe; keeps one SDK client and one rate budget, so build one per connection."""

    vendor = VENDOR
    people = frozenset({CONTACT})
    write_batch = BATCH

    keeps_grants = True

    def __init__(
        self, connection: HubSpotConnection, config: Config, *, pace: Pace | None = None, grants: Grants | None = None
    ) -> None:
        self._api = Api(connection, pace, grants)
        self._fields = Fields(config, properties_of(connection.counters))
        lookback = timedelta(seconds=connection.lookback)
        history = timedelta(seconds=connection.history)
        past = history if connection.property_history else None
        self._leads = Leads(self._api, self._fields, lookback, past)
        self._around = Around(self._api, self._fields, self._leads, lookback)
        self._writes = Writes(self._api, self._leads)
        self._properties = Properties(self._api, self._fields)
        self._tasks = Tasks(self._api)
        self._sources = tuple(dict.fromkeys(connection.activities))
        self._streams = Streams(self._api, self._sources, connection.lists, history=history, lookback=lookback)
        self._agreement = Agreement(self._api, self._fields, self._streams, connection.lists, config)

        self._journal: Journal | None = None
        if connection.journal_client_id is not None:
            self.log = JOURNAL
            app = Api(connection, pace, grants, of_app=True)
            companies = self._fields.company_properties
            ours = {target.name for target in self._fields.targets.values()}
            self._journal = Journal(app, connection, self.account, ours, companies)
        self._subscriptions = Subscriptions(self._api, self._fields, connection, config.web.public_url)

    def faults(self) -> list[Fault]:
        found = [*self._agreement.faults(), *self._subscriptions.faults()]
        if self._journal is not None and (fault := self._journal.fault()) is not None:
            found.append(fault)
        return found

    def pull_told(self, progress: Progress | None) -> Iterator[Heard]:
        if self._journal is None:
            return super().pull_told(progress)
        return self._journal.read(progress)

    def by_hand(self) -> Sequence[ByHand]:
        return self._subscriptions.by_hand()

    def account(self) -> str:
        """The account's portal id: to be pinned, so that a wrong token never writes into another account."""
        return self._api.ask("account.details", Account).portal_id

    def pull_leads(self, progress: Progress | None, *, full: bool = False) -> Iterator[Page[Lead]]:
        for page in self._around.pull(progress, full=full):
            self._with_counters(page.rows)
            yield page

    def read_leads(self, refs: Sequence[RecordRef]) -> Reading:
        reading = self._leads.read([ref.record_id for ref in refs])
        self._with_counters(reading.found)
        return reading

    def counted(self, lead: Lead, before: Mapping[str, str]) -> Sequence[Activity]:
        return counted(lead, before, self._streams.told)

    def _with_counters(self, leads: Sequence[Lead]) -> None:
        """Know what sources the account has before anybody asks what was counted: asked for once, and only then."""
        if any(in_use(lead) for lead in leads):
            self._streams.look()

    def people_behind(self, refs: Sequence[RecordRef]) -> Sequence[RecordRef]:
        return self._around.people_behind(refs)

    def count(self, object_type: str, since: datetime, before: datetime) -> int:  # noqa: ARG002 - there is but one
        return self._leads.count(since, before)

    def day(self) -> Day | None:
        return self._api.day()

    def streams(self) -> Sequence[str]:
        return self._sources

    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        return self._streams.pull(stream, progress)

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        return self._fields.changes(wanted, current)

    def write(self, changes: Sequence[Change]) -> Mapping[RecordRef, Settled]:
        return self._writes.write(changes)

    def specs(self) -> list[PropertySpec]:
        told = self._journal.specs() if self._journal else []
        return [*self._fields.specs(), *told, *self._subscriptions.specs()]

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        found = self._properties.missing([one for one in specs if one.kind not in _NO_PROPERTIES])
        found += self._journal.missing(specs) if self._journal else []
        hooks = [spec for spec in specs if spec.kind == WEBHOOK]
        lacking = self._subscriptions.missing() if hooks else set()
        return [*found, *(spec for spec in hooks if spec.name in lacking)]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        self._properties.create([one for one in specs if one.kind not in _NO_PROPERTIES])
        if self._journal is not None:
            self._journal.subscribe(specs)
        if any(spec.kind == WEBHOOK for spec in specs):
            self._subscriptions.make()

    def create_tasks(self, tasks: Sequence[SalesTask]) -> Mapping[str, Made]:
        return self._tasks.create(tasks)

    def read_tasks(self, task_ids: Sequence[str]) -> Mapping[str, TaskState]:
        return self._tasks.read(task_ids)
