"""The state of one pretended org. Rows are never changed, only replaced, so a snapshot copies dictionaries only."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from leadbridge.sandbox.salesforce import ids, person_accounts
from leadbridge.sandbox.salesforce.answers import RowError, stamp
from leadbridge.sandbox.salesforce.fields import Field
from leadbridge.sandbox.salesforce.kinds import BY_PREFIX, KINDS, standard_fields
from leadbridge.sandbox.world import Effect

ORG_ID = "00Dx0000000BV7zEAG"


@dataclass(frozen=True, slots=True)
class Row:
    """One version of one record. A field without a value is absent."""

    type: str
    id: str
    values: Mapping[str, Any]
    deleted_at: str | None = None

    def get(self, name: str) -> Any:
        return self.values.get(name)


@dataclass(slots=True)
class Act:
    """Somebody doing something: who, when, by which door, and what really came of it."""

    user_id: str
    at: datetime
    api: bool = False  # by API: field security and the rules on writes apply
    silent: bool = False  # seeding: no message, no rule
    auto_assign: bool = False
    allow_duplicates: bool = False
    origin: str = ""  # of change events: the API and the name its client gave itself
    effects: list[Effect] = field(default_factory=list)
    saved: list[tuple[str, str]] = field(default_factory=list)  # type and id of what messages may be about

    def note(self, kind: str, **detail: Any) -> None:
        self.effects.append(Effect(kind, detail))


@dataclass(frozen=True, slots=True)
class Held:
    """A save whose transaction is still open: stamped already, not yet visible (section 3.3)."""

    type: str
    id: str
    values: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """The rest of a query's answer, by id."""

    query: Any  # soql.Query
    ids: tuple[str, ...]
    user_id: str
    made: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A bulk job. ``results`` by name: CSV rows of text, header first."""

    id: str
    kind: str  # "query" or "ingest"
    facts: Mapping[str, Any]  # the JSON of the job, state aside
    state: str
    user_id: str
    polls: int = 0
    data: bytes = b""
    results: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Everything a snapshot must hold."""

    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in KINDS})
    custom: dict[str, dict[str, Field]] = field(default_factory=lambda: {name: {} for name in KINDS})
    counters: dict[str, int] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)
    refusals: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)  # id -> errors its next writes meet
    cursors: dict[str, Cursor] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    purged: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in KINDS})  # id: deleted when
    tracked: frozenset[tuple[str, str]] = frozenset()  # (object, field) whose history is kept
    person_accounts: bool = False  # for good, once an admin has switched them on
    described_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)  # the last change of any describe

    def copy(self) -> "State":
        return State(
            {name: dict(rows) for name, rows in self.rows.items()},
            {name: dict(fields) for name, fields in self.custom.items()},
            dict(self.counters),
            dict(self.held),
            dict(self.refusals),
            dict(self.cursors),
            dict(self.jobs),
            {name: dict(rows) for name, rows in self.purged.items()},
            self.tracked,
            self.person_accounts,
            self.described_at,
        )

    def next(self, counter: str) -> int:
        """The next number of a named sequence: the same story gives the same ids."""
        self.counters[counter] = self.counters.get(counter, 0) + 1
        return self.counters[counter]

    def new_id(self, prefix: str) -> str:
        return ids.make(prefix, self.next(f"id {prefix}"))

    def put(self, row: Row) -> None:
        self.rows[row.type][row.id] = row

    def row(self, record_id: object) -> Row | None:
        """Any row by id, deleted ones included."""
        if not isinstance(record_id, str):
            return None
        kind = BY_PREFIX.get(record_id[:3])
        return self.rows[kind.name].get(record_id) if kind else None

    def live(self, kind: str) -> Iterator[Row]:
        return (row for row in self.rows[kind].values() if row.deleted_at is None)

    def purge(self, row: Row) -> None:
        """Take a deleted row out of the recycle bin: nothing but the feed of deletions knows of it any more."""
        if row.deleted_at is not None:
            self.purged[row.type][row.id] = row.deleted_at
            del self.rows[row.type][row.id]

    def fields(self, kind: str) -> dict[str, Field]:
        found = standard_fields(kind) | self.custom[kind]
        if self.person_accounts:
            contact = standard_fields("Contact") | self.custom["Contact"]
            found |= person_accounts.more_fields(kind, found, contact)
        return found

    def touch(self, row: Row, changes: Mapping[str, Any], at: datetime, user_id: str | None = None) -> Row:
        """Store a new version: ``SystemModstamp`` always moves, ``LastModified*`` only for a user's change."""
        values = {**row.values, **changes, "SystemModstamp": stamp(at)}
        if user_id is not None:
            values |= {"LastModifiedDate": stamp(at), "LastModifiedById": user_id}
        new = replace(row, values={name: value for name, value in values.items() if value is not None})
        self.put(new)
        return new


class Store:
    """The state with its lock, and who may see and edit which field."""

    def __init__(self) -> None:
        self.state = State()
        self.lock = threading.RLock()

    def granted(self, kind: str, user_id: str) -> dict[str, bool]:
        """Fields that permission sets show to a user, and whether one of the sets lets them edit."""
        state = self.state
        sets = {row.get("PermissionSetId") for row in state.live("PermissionSetAssignment")
                if row.get("AssigneeId") == user_id}  # fmt: skip
        found: dict[str, bool] = {}
        for row in state.live("FieldPermissions"):
            if row.get("ParentId") in sets and row.get("SobjectType") == kind and row.get("PermissionsRead"):
                name = str(row.get("Field")).partition(".")[2]
                found[name] = found.get(name, False) or bool(row.get("PermissionsEdit"))
        return found

    def visible(self, kind: str, user_id: str) -> dict[str, Field]:
        """The fields a user sees by API; what field security hides does not exist for them (section 5.3)."""
        granted = self.granted(kind, user_id)
        return {name: one for name, one in self.state.fields(kind).items() if one.visible or name in granted}

    def need(self, kind: str, record_id: str) -> Row:
        """A live row of one object; RowError with Salesforce's code otherwise."""
        found = ids.read(record_id)
        if found is None or found[:3] != KINDS[kind].prefix:
            raise RowError("MALFORMED_ID", f"{kind} ID: id value of incorrect type: {record_id}", ["Id"])
        row = self.state.rows[kind].get(found)
        if row is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", status=404)
        if row.deleted_at is not None:
            raise RowError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return row


# People every org starts with.
INTEGRATION_USER, ADMIN, SALES_REP, RULE_OWNER = (ids.make("005", number) for number in range(1, 5))
