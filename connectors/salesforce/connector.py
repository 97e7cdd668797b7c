"""Salesforce as a CRM: the contract fulfilled, each part by the module that knows it."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

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
from connectors.salesforce.agreement import Agreement
from connectors.salesforce.auth import Api
from connectors.salesforce.describe import Objects
from connectors.salesforce.leads import Leads
from connectors.salesforce.mapping import CONTACT, LEAD, Fields
from connectors.salesforce.properties import Properties
from connectors.salesforce.stream import Stream, require_extra
from connectors.salesforce.streams import Streams
from connectors.salesforce.tasks import Tasks
from connectors.salesforce.walk import PAGE, Walks
from connectors.salesforce.wire import VENDOR
from connectors.salesforce.writing import BATCH, Writes
from leadbridge.budgets import Day
from leadbridge.call import Pace
from leadbridge.config.connections import SalesforceConnection
from leadbridge.config.schema import Config
from leadbridge.errors import Fault, VendorError
from leadbridge.types import Activity, Lead, RecordRef, Value

MAP_FIELDS = "so that a score survives conversion at once: Setup, Object Manager, Lead, Map Lead Fields"


class Salesforce(Crm):
    """One Salesforce org. Thread-safe; keeps one session and one set of budgets, so build one per connection."""

    vendor = VENDOR
    write_batch = BATCH
    read_batch = PAGE

    keeps_grants = True

    def __init__(
        self,
        connection: SalesforceConnection,
        config: Config,
        *,
        pace: Pace | None = None,
        grants: Grants | None = None,
    ) -> None:
        self.people = frozenset(connection.objects)
        self.bulk_above = connection.bulk_write_above
        self._api = Api(connection, pace, grants)
        self._fields = Fields(connection, config)
        lookback, history = timedelta(seconds=connection.lookback), timedelta(seconds=connection.history)
        self._sources = tuple(dict.fromkeys(connection.activities))
        objects = Objects(self._api)
        walks = Walks(self._api, objects, lookback, connection.bulk_read_above)
        self._leads = Leads(objects, walks, self._fields, lookback)
        self._writes = Writes(self._api, objects, self._leads, self._fields)
        self._properties = Properties(self._api, objects, self._fields)
        self._streams = Streams(objects, walks, self._fields, self._sources, history=history, lookback=lookback)
        self._tasks = Tasks(self._api, walks)
        self._stream: Stream | None = None
        if connection.change_events:
            require_extra()
            self.topic = connection.change_topic
            self._stream = Stream(self._api, connection, {spec.name for spec in self._fields.specs()})
        self._agreement = Agreement(self._api, objects, self._fields, connection, config)

    def account(self) -> str:
        """The organisation's id: to be pinned, so that a wrong token never writes into another org."""
        return self._api.grant().organization

    def pull_leads(self, progress: Progress | None, *, full: bool = False) -> Iterator[Page[Lead]]:
        return self._leads.pull(progress, full=full)

    def read_leads(self, refs: Sequence[RecordRef]) -> Reading:
        return self._leads.read(refs)

    def people_behind(self, refs: Sequence[RecordRef]) -> Sequence[RecordRef]:
        return self._leads.behind(refs)

    def listen(self, progress: Progress | None, stop: threading.Event) -> Generator[Heard, None, None]:
        return self._stream.listen(progress, stop) if self._stream else super().listen(progress, stop)

    def count(self, object_type: str, since: datetime, before: datetime) -> int:
        return self._leads.count(object_type, since, before)

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

    def write_many(self, changes: Sequence[Change], meanwhile: Callable[[], None]) -> Mapping[RecordRef, Settled]:
        return self._writes.write_many(changes, meanwhile)

    def specs(self) -> list[PropertySpec]:
        return self._fields.specs()

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        return self._properties.missing(specs)

    def create(self, specs: Sequence[PropertySpec]) -> None:
        self._properties.create(specs)

    def faults(self) -> list[Fault]:
        found = self._agreement.faults()
        if self._stream is not None:
            try:
                self._stream.check()
            except VendorError as error:
                what, _, cure = error.problem.partition("; ")
                found.append(Fault(0, "connections.salesforce.change_topic", what, cure or "try again later"))
        return found

    def by_hand(self) -> Sequence[ByHand]:
        """Without these a lead's score is lost on conversion until it is written to the contact (section 2.3)."""
        names = tuple(sorted({target.name for target in self._fields.targets.values()}))
        if self.people < {LEAD, CONTACT} or not names:
            return ()
        return (ByHand("lead fields to map", MAP_FIELDS, tuple(f"Lead.{one} to Contact.{one}" for one in names)),)

    def create_tasks(self, tasks: Sequence[SalesTask]) -> Mapping[str, Made]:
        return self._tasks.create(tasks)

    def read_tasks(self, task_ids: Sequence[str]) -> Mapping[str, TaskState]:
        return self._tasks.read(task_ids)
