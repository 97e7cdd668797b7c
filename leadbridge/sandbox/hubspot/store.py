"""The state of one pretended HubSpot account.

Records are never changed, only replaced: a snapshot is a copy of the dictionaries that hold them, and the search index
can keep showing an older version of a record for as long as it lags behind (vendor page, section 6).
"""

import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from leadbridge.sandbox.hubspot.answers import iso_ms
from leadbridge.sandbox.hubspot.definitions import GROUPS, Property, stock
from leadbridge.sandbox.hubspot.kinds import KINDS, Kind
from leadbridge.sandbox.hubspot.timeline import Entry
from leadbridge.sandbox.world import Clock, Effect

_VERSIONS = count()  # of every index there is: equal numbers mean equal content, also after a restore


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a property's history."""

    value: str
    at_ms: int
    source: str
    source_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one record. A property without a value is absent."""

    id: str
    properties: Mapping[str, str]
    created_ms: int
    modified_ms: int
    history: Mapping[str, tuple[Change, ...]]
    archived_ms: int | None = None


@dataclass(slots=True)
class Act:
    """Somebody doing something: who, when, and what really came of it."""

    source: str  # the webhook's changeSource
    source_id: str
    at_ms: int
    version: str = "v3"
    effects: list[Effect] = field(default_factory=list)
    warnings: list[dict[str, object]] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Seeding is not an event of the account's life: nobody is told."""
        return self.source == "SEED"

    def note(self, kind: str, **detail: Any) -> None:
        self.effects.append(Effect(kind, detail))


class Table:
    """All records of one kind, their definitions, and their search index."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.records: dict[str, Record] = {}
        self.ids: list[int] = []  # ascending: the order of the list endpoint
        self.next_id = kind.first_id
        self.aliases: dict[str, str] = {}  # merged away -> surviving id
        self.definitions: dict[str, Property] = dict(stock(kind.name))
        self.groups: dict[str, str] = {
            name: name.replace("_", " ").capitalize()
            for name in GROUPS.get(kind.name, ()) + tuple({p.group for p in self.definitions.values()})
        }
        self.unique: dict[str, dict[str, str]] = {n: {} for n, p in self.definitions.items() if p.unique}
        self.index: dict[str, Record] = {}
        self.index_version = next(_VERSIONS)
        self._lagging: deque[tuple[float, str, Record | None]] = deque()

    def copy(self) -> "Table":
        twin = object.__new__(Table)
        twin.kind, twin.next_id, twin.index_version = self.kind, self.next_id, self.index_version
        twin.records, twin.index = dict(self.records), dict(self.index)
        twin.ids, twin.aliases = list(self.ids), dict(self.aliases)
        twin.definitions, twin.groups = dict(self.definitions), dict(self.groups)
        twin.unique = {name: dict(values) for name, values in self.unique.items()}
        twin._lagging = deque(self._lagging)
        return twin

    def new_id(self) -> str:
        self.next_id += 1
        return str(self.next_id - 1)

    def live(self, record_id: str) -> Record | None:
        record = self.records.get(record_id)
        return record if record is not None and record.archived_ms is None else None

    def resolve(self, record_id: str) -> Record | None:
        """A live record by its id or by the id of a record merged into it."""
        return self.live(self.aliases.get(record_id, record_id))

    def find(self, id_property: str, value: str) -> Record | None:
        """A live record by a unique property; an e-mail address also by the additional ones."""
        record_id = self.unique.get(id_property, {}).get(value.strip().lower())
        return self.live(record_id) if record_id is not None else None

    def page(self, after: int, archived: bool) -> Iterator[Record]:
        """Records with id >= ``after`` in the order of ids."""
        for n in range(bisect_left(self.ids, after), len(self.ids)):
            record = self.records[str(self.ids[n])]
            if (record.archived_ms is not None) == archived:
                yield record

    def put(self, record: Record, due: float | None = None) -> None:
        """Store a version; search sees it at ``due``, or at once."""
        old = self.records.get(record.id)
        if old is None:
            insort(self.ids, int(record.id))
        self._claim(old, record)
        self.records[record.id] = record
        self._show(record.id, record if record.archived_ms is None else None, due)

    def drop(self, record_id: str, due: float | None = None) -> None:
        """Remove for good."""
        old = self.records.pop(record_id)
        del self.ids[bisect_left(self.ids, int(record_id))]
        self._claim(old, None)
        self._show(record_id, None, due)

    def catch_up(self, now: float) -> None:
        """Let the index see what is due."""
        while self._lagging and self._lagging[0][0] <= now:
            _, record_id, record = self._lagging.popleft()
            self._index(record_id, record)

    def _show(self, record_id: str, record: Record | None, due: float | None) -> None:
        if due is not None:
            self._lagging.append((due, record_id, record))
            return
        if self._lagging:  # an older version must not come later
            self._lagging = deque(late for late in self._lagging if late[1] != record_id)
        self._index(record_id, record)

    def _index(self, record_id: str, record: Record | None) -> None:
        self.index_version = next(_VERSIONS)
        if record is None:
            self.index.pop(record_id, None)
        else:
            self.index[record_id] = record

    def _claim(self, old: Record | None, new: Record | None) -> None:
        for name, owners in self.unique.items():
            before, after = unique_values(old, name), unique_values(new, name)
            for value in before - after:
                if old is not None and owners.get(value) == old.id:
                    del owners[value]
            if new is not None:
                owners.update(dict.fromkeys(after, new.id))


def unique_values(record: Record | None, name: str) -> set[str]:
    """Every value of a unique property that leads to this record; archived records give theirs up."""
    if record is None or record.archived_ms is not None:
        return set()
    found = {record.properties.get(name, "").lower()}
    if name == "email":
        found.update(part.strip().lower() for part in record.properties.get("hs_additional_emails", "").split(";"))
    return found - {""}


@dataclass(slots=True)
class State:
    """Everything a snapshot must hold. Lists of plain dicts are append-only or replaced as a whole."""

    tables: dict[str, Table] = field(default_factory=lambda: {name: Table(kind) for name, kind in KINDS.items()})
    # (kind, id, other kind) -> other id -> type ids; inner dicts are replaced, never changed
    links: dict[tuple[str, str, str], dict[str, frozenset[int]]] = field(default_factory=dict)
    owners: list[dict[str, Any]] = field(default_factory=list)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, dict[str, int]] = field(default_factory=dict)  # list -> record -> joined, ms
    events: dict[str, list[Entry]] = field(default_factory=dict)  # by type
    forms: dict[str, dict[str, Any]] = field(default_factory=dict)
    submissions: dict[str, list[Entry]] = field(default_factory=dict)
    email_events: list[Entry] = field(default_factory=list)
    blocked_emails: list[str] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "State":
        return State(
            {name: table.copy() for name, table in self.tables.items()},
            dict(self.links),
            list(self.owners),
            dict(self.lists),
            {name: dict(members) for name, members in self.members.items()},
            {event_type: list(entries) for event_type, entries in self.events.items()},
            dict(self.forms),
            {guid: list(entries) for guid, entries in self.submissions.items()},
            list(self.email_events),
            list(self.blocked_emails),
            dict(self.counters),
        )

    def next(self, counter: str, first: int = 1) -> int:
        """The next number of a named sequence: the same story gives the same ids."""
        self.counters[counter] = self.counters.get(counter, first - 1) + 1
        return self.counters[counter]

    def linked(self, kind: str, record_id: str, other: str) -> dict[str, frozenset[int]]:
        return self.links.get((kind, record_id, other), {})


class Store:
    """The state with its lock and the delay of its index."""

    def __init__(self, clock: Clock) -> None:
        self.state = State()
        self.lock = threading.RLock()
        self.clock = clock

    def table(self, kind: Kind) -> Table:
        return self.state.tables[kind.name]

    def due(self, act: Act, delay: float) -> float | None:
        """When search may see a change of this act. What was seeded has been there for long."""
        return None if act.silent or delay <= 0 else self.clock.ticks() + delay


def automatic(kind: Kind, record_id: str, created_ms: int, act: Act) -> dict[str, str]:
    """The properties a record is born with."""
    found = {
        kind.created: iso_ms(created_ms),
        "hs_object_id": record_id,
        "hs_object_source": "INTEGRATION" if act.source != "CRM_UI" else "CRM_UI",
        "hs_object_source_id": act.source_id,
        "hs_object_source_label": "INTEGRATION" if act.source != "CRM_UI" else "CRM_UI",
    }
    if kind.name == "contacts":
        found |= {
            "hs_all_contact_vids": record_id,
            "hs_is_contact": "true",
            "hs_is_unworked": "true",
            "hs_pipeline": "contacts-lifecycle-pipeline",
        }
    return found
