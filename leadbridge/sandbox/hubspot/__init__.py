"""A stand-in of one HubSpot account, served over HTTP in both version families (vendor page, section 15).

The methods here are for seeding and for what people do in HubSpot's own screens. Seeding leaves no trace in the
journal and tells no webhook; editing, merging, archiving, restoring and erasing are acts of a person and tell all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from leadbridge.sandbox.hubspot import properties as definitions_api
from leadbridge.sandbox.hubspot.activity import add_email_event, add_event, add_form, add_submission, all_events
from leadbridge.sandbox.hubspot.acts import Acts
from leadbridge.sandbox.hubspot.answers import fault_body, iso, to_ms
from leadbridge.sandbox.hubspot.app import App
from leadbridge.sandbox.hubspot.call import Account
from leadbridge.sandbox.hubspot.definitions import STAGE_LABELS
from leadbridge.sandbox.hubspot.kinds import KINDS
from leadbridge.sandbox.hubspot.routes import operation_of
from leadbridge.sandbox.hubspot.search import Searches
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.hubspot.store import Act, Record, State, Store
from leadbridge.sandbox.hubspot.tokens import Limits, Tokens
from leadbridge.sandbox.hubspot.webhooks import Waiting, Webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from leadbridge.sandbox.world import World

CLIENT_ID = "sandbox-hubspot-client"
REFRESH_TOKEN = "sandbox-hubspot-refresh"  # noqa: S105 - a pretended secret, printed in the documentation
_UI_USER = "userId:9586504"
# They tell when and how often something was done, not what.
_VOLATILE = {kind.modified for kind in KINDS.values()} | {f"hs_lifecyclestage_{s}_date" for s in STAGE_LABELS}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole account at one instant."""

    state: State
    tokens: Tokens
    waiting: tuple[list[Waiting], int]


class HubSpot:
    """One account. ``token`` may do everything; more credentials through ``tokens``, switches in ``settings``."""

    name = "hubspot"
    fault_content_type = "application/json;charset=utf-8"
    roots: tuple[str, ...] = ()  # whatever no other vendor answers
    acts = frozenset(
        {
            "add_company", "add_contact", "add_deal", "add_email_event", "add_engagement", "add_event", "add_form",
            "add_form_submission", "add_list", "add_list_member", "add_owner", "add_property", "add_ticket",
            "archive_contact", "edit_company", "edit_contact", "edit_deal", "gdpr_delete", "merge", "restore_contact",
            "stamp_contacts", "track",
        }
    )  # fmt: skip

    def __init__(
        self,
        world: World,
        *,
        token: str = "sandbox-hubspot-token",  # noqa: S107 - a pretended secret
        client_secret: str = "sandbox-hubspot-secret",  # noqa: S107
        portal_id: int = 62515,
        index_delay: float = 0.0,
    ) -> None:
        self.world = world
        self.token = token
        self.portal_id = portal_id
        self.settings = Settings(index_delay=index_delay)
        self.webhooks = Webhooks(world, self.settings, portal_id, client_secret)
        self.tokens = Tokens(world, self.settings, CLIENT_ID, client_secret, portal_id)
        self.client_secret = client_secret
        self.tokens.add(token)
        self.tokens.refresh_tokens[REFRESH_TOKEN] = self.tokens.known[token].scopes
        self._limits = Limits(world, self.settings)
        self._store = Store(world.clock)
        self._acts = Acts(self._store, self.settings, self.webhooks)
        self._app = App(
            world,
            Account(
                self._store, self._acts, self.tokens, self._limits, Searches(), self.settings, portal_id,
                self.webhooks.journal, self.webhooks,
            ),
        )  # fmt: skip

    @property
    def state(self) -> State:
        """Everything the account holds, for whoever makes one too large to be seeded row by row."""
        return self._store.state

    @property
    def app(self) -> WSGIApplication:
        return self._app

    def operation_of(self, method: str, path: str) -> str:
        return operation_of(method, path)

    def fault_body(self, status: int) -> dict[str, Any]:
        return fault_body(status)

    def close(self) -> None:
        """End the background deliveries."""
        self.webhooks.set_target(None)

    # Seeding

    def add_company(self, properties: Mapping[str, str]) -> str:
        return self._add("companies", properties)

    def add_contact(
        self,
        properties: Mapping[str, str],
        *,
        company_id: str | None = None,
        created_at: datetime | None = None,
        modified_at: datetime | None = None,
    ) -> str:
        """A contact, read-only properties allowed; ``company_id`` becomes its primary company."""
        contact_id = self._add("contacts", properties, created_at, modified_at or created_at)
        if company_id is not None:
            self._link("contacts", contact_id, "companies", company_id)
        return contact_id

    def add_deal(self, properties: Mapping[str, str], contact_ids: Sequence[str] = ()) -> str:
        deal_id = self._add("deals", properties)
        for contact_id in contact_ids:
            self._link("deals", deal_id, "contacts", contact_id)
        return deal_id

    def add_ticket(self, properties: Mapping[str, str], contact_ids: Sequence[str] = ()) -> str:
        ticket_id = self._add("tickets", properties)
        for contact_id in contact_ids:
            self._link("tickets", ticket_id, "contacts", contact_id)
        return ticket_id

    def add_engagement(self, object_type: str, contact_id: str, properties: Mapping[str, str]) -> str:
        """A meeting, call, email, note, task or communication of one contact."""
        engagement_id = self._add(object_type, properties)
        self._link(object_type, engagement_id, "contacts", contact_id)
        return engagement_id

    def add_event(self, contact_id: str, event_type: str, occurred_at: datetime, properties: Mapping[str, str]) -> str:
        with self._store.lock:
            self._need("contacts", contact_id)
            return add_event(self._store.state, contact_id, event_type, occurred_at, dict(properties))

    def add_form(self, name: str) -> str:
        with self._store.lock:
            return add_form(self._store.state, name, self.world.clock.now())

    def add_form_submission(
        self, form_guid: str, submitted_at: datetime, values: Mapping[str, str], page_url: str = ""
    ) -> str:
        with self._store.lock:
            return add_submission(self._store.state, form_guid, submitted_at, dict(values), page_url)

    def add_email_event(
        self,
        kind: str,
        recipient: str,
        created_at: datetime,
        *,
        campaign_id: int = 1,
        url: str | None = None,
        filtered: bool = False,
    ) -> str:
        with self._store.lock:
            return add_email_event(
                self._store.state, self.portal_id, kind, recipient, created_at, campaign_id, url, filtered
            )

    def add_list(self, name: str, *, processing_type: str = "MANUAL") -> str:
        with self._store.lock:
            state, stamp = self._store.state, iso(self.world.clock.now())
            list_id = str(state.next("list"))
            state.lists[list_id] = {
                "listId": list_id,
                "listVersion": 1,
                "name": name,
                "objectTypeId": "0-1",
                "processingType": processing_type,
                "processingStatus": "COMPLETE",
                "createdAt": stamp,
                "updatedAt": stamp,
            }
            state.members[list_id] = {}
            return list_id

    def add_list_member(self, list_id: str, contact_id: str, at: datetime) -> None:
        with self._store.lock:
            self._need("contacts", contact_id)
            self._store.state.members[list_id][contact_id] = to_ms(at)

    def add_owner(self, email: str, first: str, last: str) -> str:
        """An owner whose ``id`` and ``userId`` differ, as they do in real accounts."""
        with self._store.lock:
            state, stamp = self._store.state, iso(self.world.clock.now())
            number = state.next("owner")
            owner_id, user_id = str(41_629_778 + number), 9_586_503 + number
            state.owners.append(
                {
                    "id": owner_id,
                    "email": email,
                    "type": "PERSON",
                    "firstName": first,
                    "lastName": last,
                    "userId": user_id,
                    "userIdIncludingInactive": user_id,
                    "createdAt": stamp,
                    "updatedAt": stamp,
                    "archived": False,
                    "teams": [],
                }
            )
            return owner_id

    def add_property(self, object_type: str, definition: Mapping[str, Any]) -> str:
        """A custom property as the API would take it; its group is made if it is missing."""
        with self._store.lock:
            table = self._store.state.tables[object_type]
            group = str(definition.get("groupName") or "custom")
            table.groups.setdefault(group, group)
            return definitions_api.define(table, {**definition, "groupName": group}, self._seed()).name

    def stamp_contacts(self, contact_ids: Sequence[str], at: datetime) -> None:
        """One modified instant for many, as HubSpot's own bulk jobs leave it: the test of a cursor (section 6.1)."""
        with self._store.lock:
            for contact_id in contact_ids:
                record = self._need("contacts", contact_id)
                self._acts.stamp(KINDS["contacts"], record, to_ms(at))

    # What people do in HubSpot's screens

    def edit_contact(self, contact_id: str, properties: Mapping[str, str]) -> None:
        self._edit("contacts", contact_id, properties)

    def edit_company(self, company_id: str, properties: Mapping[str, str]) -> None:
        self._edit("companies", company_id, properties)

    def edit_deal(self, deal_id: str, properties: Mapping[str, str]) -> None:
        self._edit("deals", deal_id, properties)

    def track(self, contact_id: str, properties: Mapping[str, str]) -> None:
        """What HubSpot's own tracking writes: read-only values too, such as the number of page views."""
        with self._store.lock:
            record = self._need("contacts", contact_id)
            values = self._acts.judge(KINDS["contacts"], properties, record, self._seed())
            self._acts.change(KINDS["contacts"], record, values, self._person())

    def _edit(self, object_type: str, record_id: str, properties: Mapping[str, str]) -> None:
        with self._store.lock:
            act, kind = self._person(), KINDS[object_type]
            record = self._need(object_type, record_id)
            self._acts.change(kind, record, self._acts.judge(kind, properties, record, act), act)

    def merge(self, primary: str, other: str) -> str:
        """Two contacts become one new one; its id."""
        with self._store.lock:
            first, second = self._need("contacts", primary), self._need("contacts", other)
            return self._acts.merge(KINDS["contacts"], first, second, self._person()).id

    def archive_contact(self, contact_id: str) -> None:
        with self._store.lock:
            self._acts.archive(KINDS["contacts"], self._need("contacts", contact_id), self._person())

    def restore_contact(self, contact_id: str) -> None:
        with self._store.lock:
            record = self._store.state.tables["contacts"].records[contact_id]
            self._acts.restore(KINDS["contacts"], record, self._person())

    def gdpr_delete(self, contact_id: str) -> None:
        with self._store.lock:
            self._acts.erase(self._store.state.tables["contacts"].records[contact_id], self._person())

    # State as a whole

    def dump(self) -> dict[str, Any]:
        """Everything two runs can compare; modified dates and the like are left out."""
        with self._store.lock:
            state = self._store.state
            return {
                "objects": {
                    name: {
                        record.id: {
                            "archived": record.archived_ms is not None,
                            "properties": {n: v for n, v in sorted(record.properties.items()) if n not in _VOLATILE},
                        }
                        for record in (table.records[str(n)] for n in table.ids)
                    }
                    for name, table in state.tables.items()
                },
                "aliases": {name: dict(sorted(table.aliases.items())) for name, table in state.tables.items()},
                "properties": {
                    name: {
                        p.name: {"type": p.type, "fieldType": p.field_type, "group": p.group, "archived": p.archived}
                        for p in sorted(table.definitions.values(), key=lambda p: p.name)
                        if not p.hubspot_defined
                    }
                    for name, table in state.tables.items()
                },
                "associations": {
                    f"{kind}/{record_id}/{other}": {to: sorted(types) for to, types in sorted(linked.items())}
                    for (kind, record_id, other), linked in sorted(state.links.items())
                    if linked
                },
                "owners": state.owners,
                "lists": {
                    list_id: {"name": row["name"], "members": sorted(state.members[list_id], key=int)}
                    for list_id, row in state.lists.items()
                },
                "events": [row for _, _, row in all_events(state)],
                "forms": {guid: row["name"] for guid, row in sorted(state.forms.items())},
                "submissions": {guid: [row for _, _, row in rows] for guid, rows in sorted(state.submissions.items())},
                "email_events": [row for _, _, row in state.email_events],
                "blocked_emails": sorted(set(state.blocked_emails)),
            }

    def snapshot(self) -> Snapshot:
        with self._store.lock:
            return Snapshot(self._store.state.copy(), self.tokens.copy(), self.webhooks.snapshot())

    def restore(self, snapshot: Snapshot) -> None:
        """The account as it was; rate windows start empty, switches stay as they are."""
        with self._store.lock:
            self._store.state = snapshot.state.copy()
            self.tokens.take(snapshot.tokens)
            self.webhooks.restore(snapshot.waiting)
            self._limits.forget()

    def _seed(self) -> Act:
        return Act("SEED", "seed", to_ms(self.world.clock.now()))

    def _person(self) -> Act:
        return Act("CRM_UI", _UI_USER, to_ms(self.world.clock.now()))

    def _add(
        self,
        object_type: str,
        given: Mapping[str, str],
        created_at: datetime | None = None,
        modified_at: datetime | None = None,
    ) -> str:
        with self._store.lock:
            act, kind = self._seed(), KINDS[object_type]
            values = self._acts.judge(kind, given, None, act)
            record = self._acts.create(
                kind,
                values,
                act,
                created_ms=to_ms(created_at) if created_at else None,
                modified_ms=to_ms(modified_at) if modified_at else None,
            )
            return record.id

    def _link(self, source: str, from_id: str, target: str, to_id: str) -> None:
        with self._store.lock:
            self._need(source, from_id)
            self._need(target, to_id)
            self._acts.link(KINDS[source], from_id, KINDS[target], to_id, self._seed())

    def _need(self, object_type: str, record_id: str) -> Record:
        record = self._store.state.tables[object_type].resolve(record_id)
        if record is None:
            raise KeyError(f"no {KINDS[object_type].singular} {record_id}")
        return record


__all__ = ["CLIENT_ID", "REFRESH_TOKEN", "HubSpot", "Settings", "Snapshot"]
