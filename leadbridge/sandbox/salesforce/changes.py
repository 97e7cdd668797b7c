"""Change Data Capture: what was done in the org as change events, kept for three days (vendor page, section 6.4)."""

import hashlib
import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from typing import Any

import fastavro

from leadbridge.sandbox.salesforce.fields import Field
from leadbridge.sandbox.salesforce.kinds import KINDS
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import Act, Store
from leadbridge.sandbox.world import World

_NAME_PARTS = ("Salutation", "FirstName", "LastName")
_NUMBERS = {"boolean": "boolean", "int": "int", "double": "double", "currency": "double", "percent": "double"}
_KINDS = ("CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE",
          "GAP_OVERFLOW")  # fmt: skip
_STAMPS = ("LastModifiedDate", "LastModifiedById")
_UNTOLD = {"Id", "SystemModstamp", "IsDeleted"}  # columns that change events do not carry
_NO_RECORD = "000000000000000AAA"


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the feed."""

    number: int
    at: datetime
    entity: str
    id: str
    schema_id: str
    payload: bytes

    @property
    def replay(self) -> bytes:
        return place(self.number)


def place(number: int) -> bytes:
    """A replay id: opaque, and not counting by ones."""
    return (number * 7 + 4_711).to_bytes(10, "big")


class Changes:
    """The feed of one org. It begins when it is first switched on; seeding is never told."""

    def __init__(self, world: World, store: Store, settings: Settings) -> None:
        self._world = world
        self._store = store
        self._settings = settings
        self._numbers = 0
        self._first = 0  # the oldest place that is still known
        self.cuts = 0
        self.kept: list[Change] = []
        self.schemas: dict[str, str] = {}
        self.changed = threading.Condition()

    # What happens

    def saved(self, act: Act) -> None:
        """Tell what an act did: one event for all records of an object that changed alike."""
        told = self._settings.change_objects
        alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        values: dict[tuple[str, str, str], dict[str, Any]] = {}
        for (entity, record_id), (kind, names) in _done(act).items():
            if entity not in told:
                continue
            row = self._store.state.rows[entity].get(record_id)
            changed = {name: row.get(name) if row else None for name in names}
            key = (entity, kind, json.dumps(changed, sort_keys=True, default=str))
            alike[key].append(record_id)
            values[key] = changed
        for entity in dict.fromkeys(entity for entity, _, _ in alike):
            mine = {key: found for key, found in alike.items() if key[0] == entity}
            if sum(map(len, mine.values())) > self._settings.change_overflow_above:
                self.tell(entity, "GAP_OVERFLOW", [_NO_RECORD], {}, act)
                continue
            for key, record_ids in mine.items():
                gap = self._settings.change_gaps
                kind = f"GAP_{key[1]}" if gap else key[1]
                self.tell(entity, kind, record_ids, {} if gap else values[key], act)

    def tell(self, entity: str, kind: str, record_ids: Sequence[str], values: Mapping[str, Any], act: Act) -> None:
        """Publish one event."""
        schema_id, schema = self._schema(entity)
        names = [field["name"] for field in schema["fields"]]
        header = {
            "entityName": entity,
            "recordIds": list(record_ids),
            "changeType": kind,
            "changeOrigin": act.origin,
            "transactionKey": str(uuid.uuid4()),
            "sequenceNumber": 1,
            "commitTimestamp": int(act.at.timestamp() * 1000),
            "commitNumber": self._numbers + 1,
            "commitUser": act.user_id,
            "nulledFields": _bitmaps(names, [name for name, value in values.items() if value is None]),
            "diffFields": [],
            "changedFields": _bitmaps(names, values) if kind == "UPDATE" else [],
        }
        record: dict[str, Any] = {"ChangeEventHeader": header}
        parts = {name: values[name] for name in _NAME_PARTS if name in values}
        fields = self._store.state.fields(entity)
        record |= {name: _cell(fields[name], values[name]) for name in values if name in names and name != "Name"}
        if parts and "Name" in names:
            record["Name"] = parts
        payload = BytesIO()
        fastavro.schemaless_writer(payload, fastavro.parse_schema(schema), record)
        with self.changed:
            self._numbers += 1
            one = Change(self._numbers, act.at, entity, str(uuid.uuid4()), schema_id, payload.getvalue())
            every = self._settings.change_duplicate_every
            self.kept += [one, one] if every and self._numbers % every == 0 else [one]
            self.changed.notify_all()

    def tell_bytes(self, entity: str, payload: bytes) -> None:
        """Publish an event that no reader of its schema understands."""
        schema_id, _ = self._schema(entity)
        with self.changed:
            self._numbers += 1
            self.kept.append(
                Change(self._numbers, self._world.clock.now(), entity, str(uuid.uuid4()), schema_id, payload)
            )
            self.changed.notify_all()

    def expire(self) -> None:
        """No place given out so far can be gone on from."""
        with self.changed:
            self._numbers += 1
            self._first = self._numbers
            self.kept.clear()

    def cut(self) -> None:
        """Break every open stream."""
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    # What is told

    @property
    def newest(self) -> int:
        return self._numbers

    @property
    def oldest(self) -> int:
        """The place before the oldest event there is."""
        self._forget()
        return self._first

    def number_of(self, replay: bytes) -> int | None:
        """The number behind a replay id; None when it is unknown or too old."""
        self._forget()
        number, rest = divmod(int.from_bytes(replay, "big") - 4_711, 7)
        return number if len(replay) == 10 and not rest and self._first <= number <= self._numbers else None

    def after(self, number: int, entity: str | None, most: int) -> list[Change]:
        """The next events of one object, or of all, in order; repeats of the last one told are left out."""
        with self.changed:
            mine = (one for one in self.kept if one.number > number and entity in (None, one.entity))
            return [one for one, _ in zip(mine, range(most), strict=False)]

    def _forget(self) -> None:
        oldest = self._world.clock.now() - timedelta(hours=self._settings.change_hours)
        with self.changed:
            gone = [one for one in self.kept if one.at < oldest]
            if gone:
                self._first = gone[-1].number
                self.kept = self.kept[len(gone) :]

    def _schema(self, entity: str) -> tuple[str, dict[str, Any]]:
        """The schema of an object's events as the object is now, and its id."""
        fields = [one for name, one in self._store.state.fields(entity).items() if name not in _UNTOLD]
        text = _schema_text(entity, tuple((one.name, one.type) for one in fields))
        schema_id = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        self.schemas[schema_id] = text
        return schema_id, json.loads(text)

    # State as a whole

    def snapshot(self) -> tuple[int, int, list[Change]]:
        with self.changed:
            return self._numbers, self._first, list(self.kept)

    def restore(self, snapshot: tuple[int, int, list[Change]]) -> None:
        with self.changed:
            self._numbers, self._first, self.kept = snapshot[0], snapshot[1], list(snapshot[2])
            self.changed.notify_all()


def _done(act: Act) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """What became of each record, and which fields moved: the last word where an act did several things to one."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    if act.silent:
        return found
    for effect in act.effects:
        detail = effect.detail
        key = (str(detail.get("type")), str(detail.get("id")))
        kind, names = found.get(key, ("UPDATE", [*_STAMPS]))
        if effect.kind == "record_created":
            found[key] = ("CREATE", names)
        elif effect.kind in ("field_changed", "owner_assigned"):
            found[key] = (kind, [*names, str(detail.get("field", "OwnerId"))])
        elif effect.kind == "record_touched":
            found[key] = (kind, names)
        elif effect.kind == "record_deleted":
            found[key] = ("DELETE", [])
    return found


def _bitmaps(names: Sequence[str], changed: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Bit n from the right is field n; the parts of a name have a bitmap of their own."""
    bits = sum(1 << names.index(name) for name in set(changed) & set(names) - {"Name"})
    parts = sum(1 << place for place, name in enumerate(_NAME_PARTS) if name in changed)
    found = [f"0x{bits:X}"] if bits else []
    return [*found, f"{names.index('Name')}-0x{parts:X}"] if parts and "Name" in names else found


def _cell(field: Field, value: Any) -> Any:
    if value is None:
        return None
    kind = _NUMBERS.get(field.type)
    return value if kind == "boolean" else float(value) if kind == "double" else int(value) if kind else str(value)


@cache
def _schema_text(entity: str, fields: tuple[tuple[str, str], ...]) -> str:
    """An Avro schema as GetSchema shows it."""
    person = {"FirstName", "LastName"} <= {name for name, _ in fields}
    return json.dumps(
        {
            "type": "record",
            "name": f"{entity}ChangeEvent",
            "namespace": "com.sforce.eventbus",
            "fields": [{"name": "ChangeEventHeader", "type": _header()}, *_columns(fields, person=person)],
        }
    )


def _columns(fields: tuple[tuple[str, str], ...], *, person: bool) -> Iterator[dict[str, Any]]:
    for name, kind in fields:
        if person and name in _NAME_PARTS:
            continue
        told: Any = _NUMBERS.get(kind, "string")
        if person and name == "Name":
            parts = [{"name": part, "type": ["null", "string"], "default": None} for part in _NAME_PARTS]
            told = {"type": "record", "name": "Switchable_PersonName", "fields": parts}
        yield {"name": name, "type": ["null", told], "default": None}


def _header() -> dict[str, Any]:
    texts = {"type": "array", "items": "string"}
    kinds = {"type": "enum", "name": "ChangeType", "symbols": list(_KINDS)}
    columns: dict[str, Any] = {
        "entityName": "string", "recordIds": texts, "changeType": kinds, "changeOrigin": "string",
        "transactionKey": "string", "sequenceNumber": "int", "commitTimestamp": "long", "commitNumber": "long",
        "commitUser": "string", "nulledFields": texts, "diffFields": texts, "changedFields": texts,
    }  # fmt: skip
    fields = [{"name": name, "type": kind} for name, kind in columns.items()]
    return {"type": "record", "name": "ChangeEventHeader", "fields": fields}


def known(entity: str) -> bool:
    """Is this an object that change events may be about?"""
    return entity in KINDS
