"""A stand-in of one Salesforce org, served over HTTP below ``/services`` (vendor page, section 9).

The methods here are for seeding and for what people do in Salesforce's own screens. Seeding leaves no trace in the
journal and sends no message; editing, converting, merging and deleting are acts of a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from leadbridge.sandbox.salesforce import ids, people
from leadbridge.sandbox.salesforce.answers import JSON, fault_body, stamp
from leadbridge.sandbox.salesforce.app import App
from leadbridge.sandbox.salesforce.call import Org, Usage
from leadbridge.sandbox.salesforce.fields import from_metadata
from leadbridge.sandbox.salesforce.kinds import KINDS
from leadbridge.sandbox.salesforce.messages import Callout, Messages
from leadbridge.sandbox.salesforce.routes import operation_of
from leadbridge.sandbox.salesforce.saving import Saver
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import (
    ADMIN,
    INTEGRATION_USER,
    ORG_ID,
    RULE_OWNER,
    SALES_REP,
    Act,
    Held,
    Row,
    State,
    Store,
)
from leadbridge.sandbox.salesforce.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIApplication

    from leadbridge.sandbox.salesforce.changes import Changes
    from leadbridge.sandbox.salesforce.pubsub import PubSub
    from leadbridge.sandbox.world import World

# They tell when something was done, not what.
_VOLATILE = {"CreatedDate", "LastModifiedDate", "SystemModstamp"}
_LOCKED = "unable to obtain exclusive access to this record or 1 records: {id}"
# What a scripted record may answer (section 4.4).
_REFUSALS = {
    "UNABLE_TO_LOCK_ROW": _LOCKED,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "The record is under review; leave it alone.",
    "DUPLICATES_DETECTED": "Use one of these records?",
    "INSUFFICIENT_ACCESS_OR_READONLY": "insufficient access rights on object id",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "LeadTrigger: execution of AfterUpdate caused by: System.DmlException",
    "ENTITY_IS_LOCKED": "the entity is locked for editing",
}
_USERS = (
    ("Integration", "leadbridge", "integration@acme.example"),
    ("Ada", "Admin", "admin@acme.example"),
    ("Sam", "Sales", "sales@acme.example"),
    ("Assignment", "Rule", "leads@acme.example"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole org at one instant."""

    state: State
    tokens: Any
    messages: Any
    changes: Any = None


class Salesforce:
    """One org. Sign in with ``CLIENT_ID`` and ``CLIENT_SECRET``, or take a session from `sign_in`."""

    name = "salesforce"
    fault_content_type = JSON
    roots: tuple[str, ...] = ("/services",)
    acts = frozenset(
        {
            "add", "add_field", "begin_save", "commit_save", "convert", "cut_streams", "delete", "deliver", "edit",
            "empty_bin", "enable_person_accounts", "end_sessions", "expire_positions", "field_id", "grant_field",
            "merge", "refuse", "send_callouts", "send_outbound_messages", "serve_events", "set_jwt_key", "sign_in",
            "stamp_rows", "tell_gap", "tell_garbage", "track_field", "waiting",
        }
    )  # fmt: skip

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = Settings()
        self.organization_id = ORG_ID
        self._store = Store()
        self._saver = Saver(self._store, self.settings)
        self.tokens = Tokens(world, self._store, self.settings)
        self.usage = Usage(world.clock, self.settings)
        self.messages = Messages(world, self._store, self.settings)
        org = Org(self._store, self._saver, self.tokens, self.usage, self.settings)
        self._changes: Changes | None = None
        self._pubsub: PubSub | None = None
        self._app = App(world, org, self._saved)
        self._found()

    def _found(self) -> None:
        """The people every org starts with, in the order of their constants."""
        for first, last, email in _USERS:
            self.add(
                "User", {"FirstName": first, "LastName": last, "Username": email, "Email": email, "IsActive": True}
            )
        self._store.state.put(Row("Organization", ORG_ID, {"Id": ORG_ID, "Name": "Acme", "IsSandbox": False}))

    @property
    def app(self) -> WSGIApplication:
        return self._app

    def operation_of(self, method: str, path: str) -> str:
        return operation_of(method, path)

    def fault_body(self, status: int) -> list[dict[str, Any]]:
        return fault_body(status)

    def close(self) -> None:
        """End the background deliveries."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
        self.messages.set_target(None)
        self.messages.set_callout(None)

    # Seeding

    def add(self, kind: str, values: Mapping[str, Any], modified_at: datetime | None = None) -> str:
        """A record, read-only fields allowed; ``modified_at`` is its stamp. Its id."""
        with self._store.lock:
            at = modified_at or self.world.clock.now()
            return self._saver.create(kind, values, Act(ADMIN, at, silent=True)).id

    def add_field(self, kind: str, name: str, metadata: Mapping[str, Any], *, granted: bool = True) -> None:
        """A custom field as the Metadata API defines it; ``granted``: the integration user may read and edit it."""
        with self._store.lock:
            state = self._store.state
            state.custom[kind][name] = from_metadata(name, state.new_id("00N"), metadata)
            state.described_at = self.world.clock.now()
            if granted:
                self.grant_field(kind, name)

    def grant_field(self, kind: str, name: str, *, edit: bool = True) -> None:
        """A permission set of the integration user shows a field of an object (section 5.3)."""
        with self._store.lock:
            act = Act(ADMIN, self.world.clock.now(), silent=True)
            title = "Sandbox_Edit" if edit else "Sandbox_Read"
            sets = [row.id for row in self._store.state.live("PermissionSet") if row.get("Name") == title]
            if not sets:
                sets = [self._saver.create("PermissionSet", {"Name": title, "Label": title}, act).id]
                assigned = {"PermissionSetId": sets[0], "AssigneeId": INTEGRATION_USER}
                self._saver.create("PermissionSetAssignment", assigned, act)
            row = {"ParentId": sets[0], "SobjectType": kind, "Field": f"{kind}.{name}"}
            self._saver.create("FieldPermissions", {**row, "PermissionsRead": True, "PermissionsEdit": edit}, act)

    def track_field(self, kind: str, name: str) -> None:
        """Keep the history of a field of Lead or Contact from now on; the rows are there whoever changes it."""
        with self._store.lock:
            self._store.state.tracked |= {(kind, name)}

    def enable_person_accounts(self) -> None:
        """An admin switches person accounts on, for good: a lead needs no company, an account may be a person."""
        with self._store.lock:
            self._store.state.person_accounts = True
            self._store.state.described_at = self.world.clock.now()

    def field_id(self, kind: str, name: str) -> str:
        """The id of a custom field's definition; KeyError when there is none."""
        with self._store.lock:
            return self._store.state.custom[kind][name].custom_id

    def stamp_rows(self, record_ids: Sequence[str], at: datetime) -> None:
        """One stamp for many rows, as bulk loads leave it: the test of a watermark (section 3.3)."""
        with self._store.lock:
            for record_id in record_ids:
                self._store.state.touch(self._row(record_id), {}, at)

    # Trouble

    def refuse(self, record_id: str, code: str, message: str = "", times: int = 1) -> None:
        """The next API writes of this record are refused with a code of section 4.4."""
        with self._store.lock:
            row = self._row(record_id)
            text = message or _REFUSALS[code].format(id=row.id)
            refusals = self._store.state.refusals
            refusals[row.id] = refusals.get(row.id, ()) + ((code, text),) * times

    def begin_save(self, record_id: str, values: Mapping[str, Any]) -> int:
        """A person's save that is stamped now and stays invisible until `commit_save`; its number.

        Until then ``latestDateCovered`` does not pass this instant (section 3.3).
        """
        with self._store.lock:
            state, row, at = self._store.state, self._row(record_id), self.world.clock.now()
            number = state.next("held")
            state.held[number] = Held(row.type, row.id, dict(values), at)
            return number

    def commit_save(self, number: int) -> None:
        """The save becomes visible, with the stamp of its beginning."""
        with self._store.lock:
            held = self._store.state.held.pop(number)
            act = Act(SALES_REP, held.at)
            self._saver.update(held.type, held.id, held.values, act)
        self._saved(act)

    # What people do in Salesforce's screens

    def edit(self, record_id: str, values: Mapping[str, Any]) -> None:
        with self._person() as act:
            row = self._row(record_id)
            self._saver.update(row.type, row.id, values, act)

    def delete(self, record_id: str) -> None:
        with self._person() as act:
            row = self._row(record_id)
            self._saver.delete(row.type, row.id, act)

    def empty_bin(self) -> None:
        """What was deleted is in no query any more; the feed of deletions tells of it for fifteen days."""
        with self._store.lock:
            state = self._store.state
            for row in [row for rows in state.rows.values() for row in rows.values() if row.deleted_at is not None]:
                state.purge(row)

    def convert(
        self,
        lead_id: str,
        *,
        contact_id: str | None = None,
        account_id: str | None = None,
        opportunity: str | None = None,
        field_map: Mapping[str, str] | None = None,
    ) -> Mapping[str, str | None]:
        """Convert a lead, into an existing contact or account where given; the ids it was converted to."""
        with self._person() as act:
            return people.convert(
                self._store,
                self._saver,
                self._store.need("Lead", lead_id),
                act,
                contact_id=contact_id,
                account_id=account_id,
                opportunity=opportunity,
                field_map=field_map or {},
            )

    def merge(self, winner: str, losers: Sequence[str]) -> None:
        """One or two records into another of the same object."""
        with self._person() as act:
            people.merge(self._store, self._saver, self._row(winner).type, winner, losers, act)

    # Sessions and messages

    def sign_in(self, user_id: str = INTEGRATION_USER) -> str:
        """An access token of a fresh session."""
        return self.tokens.issue(user_id)

    def end_sessions(self) -> None:
        self.tokens.end_all()

    def set_jwt_key(self, pem: str) -> None:
        self.tokens.set_key(pem)

    def send_outbound_messages(
        self,
        url: str | None,
        kind: str = "Lead",
        fields: Sequence[str] = ("Email", "Status"),
        *,
        own_writes: bool = False,
        background: bool = True,
    ) -> None:
        """Tell ``url`` of every save of an object from now on; None ends deliveries, what waits stays."""
        if url is not None:
            self.messages.watch(kind, fields, own_writes=own_writes)
        self.messages.set_target(url, background=background)

    def send_callouts(
        self,
        url: str | None,
        secret: str = "",
        *,
        kind: Literal["apex", "flow"] = "apex",
        header: str = "X-Leadbridge-Secret",
        background: bool = True,
    ) -> None:
        """Tell ``url`` the ids of saved rows of every watched object, once each, signed as Apex or Flow can."""
        callout = Callout(url, secret, kind, header) if url is not None else None
        self.messages.set_callout(callout, background=background)

    def deliver(self) -> dict[str, int]:
        """Send everything that waits, once and now; what became of it."""
        tally = self.messages.deliver()
        return {name: getattr(tally, name) for name in tally.__slots__}

    def waiting(self) -> int:
        return self.messages.waiting()

    # Change events

    def serve_events(self, port: int = 0) -> str:
        """Tell changes from now on, over the Pub/Sub API; its host and port. Raises ImportError without the extra."""
        from leadbridge.sandbox.salesforce.changes import Changes
        from leadbridge.sandbox.salesforce.pubsub import PubSub

        with self._store.lock:
            self._changes = self._changes or Changes(self.world, self._store, self.settings)
        self._pubsub = self._pubsub or PubSub(self.world, self._changes, self.tokens, self.settings, port)
        return self._pubsub.address

    def tell_gap(self, kind: str, change: str, record_ids: Sequence[str]) -> None:
        """A GAP_ event; ``record_ids`` may hold a wildcard such as ``001*``."""
        self._feed().tell(kind, change, record_ids, {}, Act(SALES_REP, self.world.clock.now()))

    def tell_garbage(self, kind: str) -> None:
        """An event that its schema does not fit."""
        self._feed().tell_bytes(kind, b"\xff" * 9)

    def expire_positions(self) -> None:
        """Every replay id given out is too old, as after three days."""
        self._feed().expire()

    def cut_streams(self) -> None:
        """Every open stream breaks."""
        self._feed().cut()

    def _feed(self) -> Changes:
        if self._changes is None:
            raise ValueError("change events are not served; call serve_events first")
        return self._changes

    def _saved(self, act: Act) -> None:
        self.messages.saved(act)
        if self._changes is not None:
            with self._store.lock:
                self._changes.saved(act)

    # State as a whole

    def row(self, record_id: str) -> dict[str, Any]:
        """Every value of a record as it is, deleted or not, whatever field security says."""
        with self._store.lock:
            return dict(self._row(record_id).values)

    def dump(self) -> dict[str, Any]:
        """Everything two runs can compare; instants of saves are left out."""
        with self._store.lock:
            state = self._store.state
            return {
                "records": {
                    kind: {
                        row.id: {name: value for name, value in sorted(row.values.items()) if name not in _VOLATILE}
                        for row in sorted(rows.values(), key=lambda row: row.id)
                    }
                    for kind, rows in state.rows.items()
                },
                "fields": {
                    kind: {name: field.type for name, field in sorted(fields.items())}
                    for kind, fields in state.custom.items()
                    if fields
                },
            }

    def snapshot(self) -> Snapshot:
        with self._store.lock:
            told = self._changes.snapshot() if self._changes is not None else None
            return Snapshot(self._store.state.copy(), self.tokens.snapshot(), self.messages.snapshot(), told)

    def restore(self, snapshot: Snapshot) -> None:
        """The org as it was; usage starts from nothing, switches stay as they are."""
        with self._store.lock:
            self._store.state = snapshot.state.copy()
            self.tokens.restore(snapshot.tokens)
            self.messages.restore(snapshot.messages)
            if self._changes is not None and snapshot.changes is not None:
                self._changes.restore(snapshot.changes)
            self.usage.forget()

    @contextmanager
    def _person(self) -> Iterator[Act]:
        """An act of the sales representative: whole or not at all, told when done."""
        act = Act(SALES_REP, self.world.clock.now())
        with self._store.lock, self._saver.all_or_none(act):
            yield act
        self._saved(act)

    def _row(self, record_id: str) -> Row:
        found = self._store.state.row(ids.read(record_id))
        if found is None:
            raise KeyError(f"no record {record_id}")
        return found


__all__ = [
    "CLIENT_ID", "CLIENT_SECRET", "INTEGRATION_USER", "KINDS", "ORG_ID", "REFRESH_TOKEN", "RULE_OWNER", "SALES_REP",
    "Salesforce", "Settings", "Snapshot", "stamp",
]  # fmt: skip
