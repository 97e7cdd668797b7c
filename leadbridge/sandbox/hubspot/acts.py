"""Everything that can happen to records, with its checks, effects and events (vendor page, sections 5.2 to 5.4, 8.5).

The HTTP surface and the seeding methods both come through here, so that a record cannot tell who made it.
"""

from collections.abc import Mapping
from dataclasses import replace

from leadbridge.sandbox.hubspot.answers import CONFLICT, BadValue, Refused, broken_rules, invalid_values, iso_ms
from leadbridge.sandbox.hubspot.kinds import KINDS, LINKS, Kind, link_of
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.hubspot.store import Act, Change, Record, Store, Table, automatic, unique_values
from leadbridge.sandbox.hubspot.values import NotTaken, as_text, checked, moves_back
from leadbridge.sandbox.hubspot.webhooks import Webhooks

_NEEDS_ONE_OF = {"contacts": ("email", "firstname", "lastname"), "companies": ("name", "domain")}
_KEPT_VERSIONS = 20  # HubSpot keeps a limited number; which is unknown
# Counts HubSpot keeps by itself: (kind, other kind) -> property of the first
_COUNTS = {
    ("contacts", "deals"): "num_associated_deals",
    ("companies", "deals"): "num_associated_deals",
    ("companies", "contacts"): "num_associated_contacts",
    ("deals", "contacts"): "num_associated_contacts",
}
Claims = dict[tuple[str, str], str]  # (property, value) -> id: unique values taken earlier in one batch


class Acts:
    """The verbs of the account."""

    def __init__(self, store: Store, settings: Settings, webhooks: Webhooks) -> None:
        self._store = store
        self._settings = settings
        self._webhooks = webhooks

    # Judging

    def judge(
        self, kind: Kind, raw: Mapping[str, object], record: Record | None, act: Act, claims: Claims | None = None
    ) -> dict[str, str]:
        """The values to store for one record (None = a new one); raises the 400 or 409 that HubSpot answers."""
        table = self._store.table(kind)
        values: dict[str, str] = {}
        bad: list[BadValue] = []
        for name, given in raw.items():
            text = as_text(given)
            prop = table.definitions.get(name)
            if prop is None or prop.archived:
                bad.append(BadValue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif prop.read_only and not act.silent:
                bad.append(BadValue(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; it cannot be set.'))
            elif text is not None:
                stored = record.properties.get(name, "") if record else ""
                try:
                    values[name], warning = checked(prop, text, stored, lenient_dates=act.version == "2026-09")
                except NotTaken as no:
                    bad.append(no.bad)
                else:
                    if warning is not None:
                        act.warnings.append(warning.as_json())
                    refuses = name == "lifecyclestage" and self._settings.stage_back_refused
                    if refuses and moves_back(prop, {name: stored}, text):
                        bad.append(BadValue(name, "INVALID_LIFECYCLE_STAGE", f"{text} is behind {stored}"))
        if bad:
            raise invalid_values(bad)
        if record is None:
            self._complete(kind, values)
        self._unclaimed(table, values, record, claims if claims is not None else {})
        if act.version == "2026-09":
            self._obey_admin(kind, values, record)
        return values

    def _complete(self, kind: Kind, values: Mapping[str, str]) -> None:
        needed = _NEEDS_ONE_OF.get(kind.name, ())
        if needed and not any(values.get(name) for name in needed):
            raise Refused(400, f"Error creating {kind.type_id}: one of [{', '.join(needed)}] is required")

    def _unclaimed(self, table: Table, values: Mapping[str, str], record: Record | None, claims: Claims) -> None:
        own = record.id if record else f"new record {len(claims)}"
        for name in table.unique.keys() & values.keys():
            value = values[name].lower()
            if not value:
                continue
            owner = table.unique[name].get(value) or claims.get((name, value))
            if owner is not None and owner != own:
                what = table.kind.singular.capitalize()
                raise Refused(
                    409,
                    f"{what} already exists. Existing ID: {owner}",
                    category=CONFLICT,
                    context={"existingId": [owner]},
                )
            claims[name, value] = own

    def _obey_admin(self, kind: Kind, values: Mapping[str, str], record: Record | None) -> None:
        after = {**(record.properties if record else {}), **values}
        bad = [
            BadValue(
                name,
                "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
                f"{name} is required because of a conditional property rule based on [{because}]",
            )
            for name, because in self._settings.conditional_rules.get(kind.name, {}).items()
            if after.get(because) and not after.get(name)
        ]
        if record is None:
            bad += [
                BadValue(name, "MISSING_REQUIRED_PROPERTY", f"A value for {name} must be provided")
                for name in self._settings.create_required.get(kind.name, [])
                if not after.get(name)
            ]
        if bad:
            raise broken_rules(bad)

    # Doing

    def create(
        self,
        kind: Kind,
        values: Mapping[str, str],
        act: Act,
        *,
        created_ms: int | None = None,
        modified_ms: int | None = None,
    ) -> Record:
        """A new record of judged values."""
        table = self._store.table(kind)
        record_id = table.new_id()
        born = act.at_ms if created_ms is None else created_ms
        properties = automatic(kind, record_id, born, act)
        blank = Record(record_id, properties, born, born if modified_ms is None else modified_ms, {})
        if not act.silent:
            act.note("created", object=kind.name, id=record_id)
            self._webhooks.emit(act, kind, "creation", objectId=int(record_id), changeFlag="NEW")
        return self.change(kind, blank, values, act, born=True)

    def change(self, kind: Kind, record: Record, values: Mapping[str, str], act: Act, *, born: bool = False) -> Record:
        """Store judged values. A backward lifecycle stage is dropped without a word."""
        table = self._store.table(kind)
        properties, history = dict(record.properties), dict(record.history)
        moved = False
        for name, value in values.items():
            old = properties.get(name, "")
            detail = {"object": kind.name, "id": record.id, "name": name, "old": old, "new": value}
            if value == old:
                if not born:
                    act.note("property_written_equal", **detail)
                continue
            if name == "lifecyclestage" and moves_back(table.definitions[name], properties, value):
                act.note("property_dropped", **detail)
                continue
            moved = True
            self._set(properties, history, name, value, act)
            self._calculate(kind, properties, history, name, value, act)
            if not act.silent:
                act.note("property_changed", **detail)
                self._webhooks.emit(
                    act, kind, "propertyChange", objectId=int(record.id), propertyName=name, propertyValue=value
                )
        modified = record.modified_ms
        if not act.silent and not born and (moved or self._settings.equal_write_bumps):
            modified = max(modified, act.at_ms)
        properties[kind.modified] = iso_ms(modified)
        return self._keep(kind, replace(record, properties=properties, history=history, modified_ms=modified), act)

    def _set(
        self, properties: dict[str, str], history: dict[str, tuple[Change, ...]], name: str, value: str, act: Act
    ) -> None:
        if value:
            properties[name] = value
        else:
            properties.pop(name, None)
        entry = Change(value, act.at_ms, act.source, act.source_id)
        history[name] = (entry, *history.get(name, ()))[:_KEPT_VERSIONS]

    def _calculate(
        self,
        kind: Kind,
        properties: dict[str, str],
        history: dict[str, tuple[Change, ...]],
        name: str,
        value: str,
        act: Act,
    ) -> None:
        if kind.name == "contacts" and name == "email":
            self._set(properties, history, "hs_email_domain", value.rpartition("@")[2], act)
        elif name == "lifecyclestage" and value:
            dated = f"hs_lifecyclestage_{value}_date"
            if dated in self._store.table(kind).definitions and dated not in properties:
                self._set(properties, history, dated, iso_ms(act.at_ms), act)

    def _keep(self, kind: Kind, record: Record, act: Act) -> Record:
        self._store.table(kind).put(record, self._store.due(act, self._settings.index_delay))
        return record

    def _touch(self, kind: Kind, record_id: str, values: Mapping[str, str], act: Act) -> None:
        """Calculated values: no history, no event, but the modified date moves."""
        record = self._store.table(kind).records.get(record_id)
        if record is None:
            return
        properties = {**record.properties, **values}
        for name in [name for name, value in values.items() if not value]:
            del properties[name]
        if properties == record.properties:
            return
        modified = record.modified_ms if act.silent else max(record.modified_ms, act.at_ms)
        properties[kind.modified] = iso_ms(modified)
        self._keep(kind, replace(record, properties=properties, modified_ms=modified), act)

    def stamp(self, kind: Kind, record: Record, modified_ms: int) -> None:
        """Move a modified date and nothing else, without an event."""
        properties = {**record.properties, kind.modified: iso_ms(modified_ms)}
        self._store.table(kind).put(replace(record, properties=properties, modified_ms=modified_ms))

    def archive(self, kind: Kind, record: Record, act: Act) -> None:
        """Into the recycle bin, where it stays restorable."""
        self._keep(kind, replace(record, archived_ms=act.at_ms), act)
        act.note("archived", object=kind.name, id=record.id)
        self._webhooks.emit(act, kind, "deletion", objectId=int(record.id), changeFlag="DELETED")

    def restore(self, kind: Kind, record: Record, act: Act) -> None:
        self._keep(kind, replace(record, archived_ms=None, modified_ms=act.at_ms), act)
        act.note("restored", object=kind.name, id=record.id)
        self._webhooks.emit(act, kind, "restore", objectId=int(record.id))

    def erase(self, record: Record, act: Act) -> None:
        """A privacy deletion: the contact and all personal traces are gone for good (section 5.4)."""
        kind, state = KINDS["contacts"], self._store.state
        addresses = unique_values(replace(record, archived_ms=None), "email")
        self._unlink_all(kind, record.id, act)
        self._store.table(kind).drop(record.id, self._store.due(act, self._settings.index_delay))
        for event_type, entries in state.events.items():
            state.events[event_type] = [e for e in entries if e[2]["objectId"] != record.id]
        state.email_events = [e for e in state.email_events if e[2]["recipient"].lower() not in addresses]
        for members in state.members.values():
            members.pop(record.id, None)
        for guid, entries in state.submissions.items():
            state.submissions[guid] = [
                e for e in entries if not any(v["value"].lower() in addresses for v in e[2]["values"])
            ]
        act.note("erased", object=kind.name, id=record.id)
        self._webhooks.emit(act, kind, "privacyDeletion", objectId=int(record.id))
        self._webhooks.emit(act, kind, "deletion", objectId=int(record.id), changeFlag="DELETED")

    def merge(self, kind: Kind, primary: Record, other: Record, act: Act) -> Record:
        """Both become one *new* record; both old ids become aliases (section 5.3)."""
        table = self._store.table(kind)
        fresh = automatic(kind, table.new_id(), min(primary.created_ms, other.created_ms), act)
        properties = {**other.properties, **primary.properties, **fresh}
        merged = {part for r in (primary, other) for part in r.properties.get("hs_merged_object_ids", "").split(";")}
        properties["hs_merged_object_ids"] = ";".join(sorted((merged - {""}) | {primary.id, other.id}, key=int))
        if kind.name == "contacts":
            properties |= self._merged_contact(primary, other, fresh["hs_object_id"], properties, act)
        properties[kind.modified] = iso_ms(act.at_ms)
        survivor = Record(
            fresh["hs_object_id"],
            properties,
            min(primary.created_ms, other.created_ms),
            act.at_ms,
            {**other.history, **primary.history},
        )
        due = self._store.due(act, self._settings.index_delay)
        table.drop(primary.id, due)
        table.drop(other.id, due)
        table.put(survivor, due)
        losers = {primary.id, other.id}
        table.aliases = {old: survivor.id if now in losers else now for old, now in table.aliases.items()}
        table.aliases |= dict.fromkeys(losers, survivor.id)
        for loser in (primary.id, other.id):
            self._move_links(kind, loser, survivor.id)
        moved = sum(1 for name, value in other.properties.items() if primary.properties.get(name) != value)
        act.note("merged", object=kind.name, id=survivor.id, primary=primary.id, other=other.id)
        self._webhooks.emit(
            act,
            kind,
            "merge",
            primaryObjectId=int(primary.id),
            mergedObjectIds=[int(other.id)],
            newObjectId=int(survivor.id),
            numberOfPropertiesMoved=moved,
        )
        if self._settings.merge_deletes:
            for loser in (primary.id, other.id):
                self._webhooks.emit(act, kind, "deletion", objectId=int(loser), changeFlag="DELETED")
        return survivor

    def _merged_contact(
        self, primary: Record, other: Record, new_id: str, properties: Mapping[str, str], act: Act
    ) -> dict[str, str]:
        addresses = unique_values(primary, "email") | unique_values(other, "email")
        extra = sorted(addresses - {properties.get("email", "").lower()})
        found = {
            "hs_all_contact_vids": ";".join([new_id, *properties["hs_merged_object_ids"].split(";")]),
            "hs_calculated_merged_vids": f"{primary.id}:{act.at_ms};{other.id}:{act.at_ms}",
        }
        return found | ({"hs_additional_emails": ";".join(extra)} if extra else {})

    # Associations

    def link(
        self, source: Kind, from_id: str, target: Kind, to_id: str, act: Act, type_ids: frozenset[int] | None = None
    ) -> None:
        """Associate two records, both ways. The first company of a contact becomes its primary one."""
        forth, back = link_of(source, target), link_of(target, source)
        links = self._store.state.links
        wanted = type_ids or frozenset({forth.default})
        if forth.primary is not None and not self._primary(source.name, from_id, target.name, forth.primary):
            wanted |= {forth.primary} if source.name == "contacts" else frozenset()
        elif forth.primary is not None and forth.primary in wanted:
            self._demote(source.name, from_id, target.name, forth.primary)
        wanted |= {forth.default}
        reverse = frozenset({back.default}) | (
            {back.primary} if back.primary is not None and forth.primary in wanted else frozenset()
        )
        for one, one_id, two, two_id, types in (
            (source, from_id, target, to_id, wanted),
            (target, to_id, source, from_id, reverse),
        ):
            known = links.get((one.name, one_id, two.name), {})
            links[one.name, one_id, two.name] = {**known, two_id: known.get(two_id, frozenset()) | types}
        self._tell_link(source, from_id, target, to_id, act, primary=forth.primary in wanted, removed=False)

    def unlink(self, source: Kind, from_id: str, target: Kind, to_id: str, act: Act) -> None:
        """End every association between two records; nothing happens where there is none."""
        links = self._store.state.links
        known = links.get((source.name, from_id, target.name), {})
        if to_id not in known:
            return
        primary = LINKS[source.name, target.name].primary in known[to_id]
        for one, one_id, two, two_id in (
            (source.name, from_id, target.name, to_id),
            (target.name, to_id, source.name, from_id),
        ):
            links[one, one_id, two] = {k: v for k, v in links.get((one, one_id, two), {}).items() if k != two_id}
        self._tell_link(source, from_id, target, to_id, act, primary=primary, removed=True)

    def _primary(self, kind: str, record_id: str, other: str, type_id: int) -> str | None:
        found = self._store.state.linked(kind, record_id, other)
        return next((other_id for other_id, types in found.items() if type_id in types), None)

    def _demote(self, kind: str, record_id: str, other: str, type_id: int) -> None:
        """There is at most one primary."""
        links, back = self._store.state.links, LINKS[other, kind].primary
        links[kind, record_id, other] = {
            other_id: types - {type_id} for other_id, types in links[kind, record_id, other].items()
        }
        for other_id in links[kind, record_id, other]:
            seen = links[other, other_id, kind]
            links[other, other_id, kind] = {**seen, record_id: frozenset(t for t in seen[record_id] if t != back)}

    def _tell_link(
        self, source: Kind, from_id: str, target: Kind, to_id: str, act: Act, *, primary: bool, removed: bool
    ) -> None:
        for one, one_id, two, two_id in ((source, from_id, target, to_id), (target, to_id, source, from_id)):
            linked = self._store.state.linked(one.name, one_id, two.name)
            values = {}
            if (one.name, two.name) in _COUNTS:
                values[_COUNTS[one.name, two.name]] = str(len(linked)) if linked else ""
            if (one.name, two.name) == ("contacts", "companies"):
                values["associatedcompanyid"] = self._primary("contacts", one_id, "companies", 1) or ""
            self._touch(one, one_id, values, act)
            # A primary association is told twice, once as primary and once unlabelled (section 10.2).
            for is_primary in (True, False) if primary else (False,):
                self._webhooks.emit(
                    act,
                    one,
                    "associationChange",
                    associationType=f"{one.singular}_to_{two.singular}".upper(),
                    fromObjectId=int(one_id),
                    toObjectId=int(two_id),
                    associationRemoved=removed,
                    isPrimaryAssociation=is_primary,
                )
        act.note(
            "association_removed" if removed else "associated",
            **{"from": source.name, "from_id": from_id, "to": target.name, "to_id": to_id},
        )

    def _unlink_all(self, kind: Kind, record_id: str, act: Act) -> None:
        for other in KINDS.values():
            for other_id in list(self._store.state.linked(kind.name, record_id, other.name)):
                self.unlink(kind, record_id, other, other_id, act)

    def _move_links(self, kind: Kind, loser: str, survivor: str) -> None:
        links = self._store.state.links
        for other in KINDS.values():
            gone = links.pop((kind.name, loser, other.name), {})
            if not gone:
                continue
            kept = links.get((kind.name, survivor, other.name), {})
            primary = LINKS[kind.name, other.name].primary
            has_primary = any(primary in types for types in kept.values())
            for other_id, types in gone.items():
                moved = types - {primary} if has_primary and primary is not None else types
                kept = {**kept, other_id: kept.get(other_id, frozenset()) | moved}
                back = dict(links[other.name, other_id, kind.name])
                back[survivor] = back.get(survivor, frozenset()) | back.pop(loser)
                links[other.name, other_id, kind.name] = back
            links[kind.name, survivor, other.name] = kept
