"""Saving rows: what is refused, what follows by itself, what the journal gets (vendor page, sections 2 and 4)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from leadbridge.sandbox.salesforce import person_accounts
from leadbridge.sandbox.salesforce.answers import RowError, stamp
from leadbridge.sandbox.salesforce.fields import Field
from leadbridge.sandbox.salesforce.kinds import BY_PREFIX, KINDS, STAGES
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import RULE_OWNER, Act, Row, Store
from leadbridge.sandbox.salesforce.values import accept

CONVERTED = ("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
_PERMISSIONS = {"PermissionSet", "FieldPermissions", "PermissionSetAssignment"}  # they change what describe shows
# Deleting a row deletes these with it: object, field that points to it.
_CHILDREN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Lead": (("CampaignMember", "LeadId"), ("Task", "WhoId"), ("Event", "WhoId")),
    "Contact": (("CampaignMember", "ContactId"), ("OpportunityContactRole", "ContactId")),
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId")),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("OpportunityHistory", "OpportunityId")),
    "Campaign": (("CampaignMember", "CampaignId"),),
    "PermissionSet": (
        ("FieldPermissions", "ParentId"),
        ("ObjectPermissions", "ParentId"),
        ("PermissionSetAssignment", "PermissionSetId"),
    ),
}  # fmt: skip


class Saver:
    """Creates, updates and deletes single rows. The caller holds the store's lock."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self.settings = settings

    def create(self, kind: str, given: Mapping[str, Any], act: Act) -> Row:
        self._may_write(kind)
        person = kind == "Account" and person_accounts.is_person(given)
        if person:
            given = {**given, "Name": person_accounts.full_name(given)}
        changes = self.judge(kind, given, act, creating=True)
        state, fields = self._store.state, self._store.state.fields(kind)
        values = {name: field.default for name, field in fields.items() if field.default is not None}
        values |= {name: False for name, field in fields.items() if field.type == "boolean"}
        if "OwnerId" in fields:
            values["OwnerId"] = act.user_id
        values |= {name: value for name, value in changes.items() if value is not None}
        missing = [name for name, field in fields.items() if field.required and values.get(name) is None]
        if missing:
            raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
        self._check(kind, None, values, act)
        record_id = state.new_id(KINDS[kind].prefix)
        now = stamp(act.at)
        values = {
            "CreatedDate": now, "CreatedById": act.user_id, "LastModifiedDate": now, "LastModifiedById": act.user_id,
            "SystemModstamp": now, **values, "Id": record_id,
        }  # fmt: skip
        values |= _derived(kind, values, None, act)
        row = Row(kind, record_id, {name: value for name, value in values.items() if value is not None})
        state.put(row)
        act.note("record_created", type=kind, id=record_id)
        if person:
            self._add_contact(row, act)
        self._assign(row, act)
        self._after(row, act)
        return state.rows[kind][record_id]

    def update(self, kind: str, record_id: str, given: Mapping[str, Any], act: Act) -> Row:
        self._may_write(kind)
        row = self._store.need(kind, record_id)
        self._scripted(row, act)
        if act.api and row.get("IsConverted"):
            raise RowError(*CONVERTED)
        changes = self.judge(kind, given, act, creating=False)
        self._check(kind, row, {**row.values, **changes}, act)
        new = self.change(row, changes, act)
        self._assign(new, act)
        self._after(new, act)
        return self._store.state.rows[kind][row.id]

    def change(self, row: Row, changes: Mapping[str, Any], act: Act) -> Row:
        """Replace values without asking: what follows is derived, stamped and journalled."""
        changes = {**changes, **_derived(row.type, {**row.values, **changes}, row, act)}
        fields = self._store.state.fields(row.type)
        moved = {n: v for n, v in changes.items() if row.values.get(n, fields[n].empty) != v}
        for name, value in moved.items():
            act.note("field_changed", type=row.type, id=row.id, field=name, old=row.get(name), new=value)
            if (row.type, name) in self._store.state.tracked:
                self._keep_change(row, name, value, act)
        if not moved:
            act.note("record_touched", type=row.type, id=row.id)  # an equal write moves the stamp all the same
        new = self._store.state.touch(row, changes, act.at, act.user_id)
        if row.get("IsPersonAccount"):
            self._mirror(new, changes, act)
        return new

    def _add_contact(self, account: Row, act: Act) -> None:
        """The contact that comes with a person account."""
        quiet = replace(act, api=False, silent=True)  # nobody asked for it: no rule and no field security
        contact = self.create("Contact", {**person_accounts.as_contact(account.values), "AccountId": account.id}, quiet)
        state, yes = self._store.state, {"IsPersonAccount": True}
        state.touch(contact, yes, act.at)
        state.touch(state.rows["Account"][account.id], {**yes, "PersonContactId": contact.id}, act.at)

    def _mirror(self, row: Row, changes: Mapping[str, Any], act: Act) -> None:
        """Whoever edits one row of a person account edits the other, whose stamp moves too."""
        account = row.type == "Account"
        other = self._store.state.row(row.get("PersonContactId" if account else "AccountId"))
        if other is None:
            return
        same = person_accounts.as_contact(changes) if account else person_accounts.as_account(changes)
        known = self._store.state.fields(other.type)
        if account and same:
            same["Name"] = person_accounts.full_name({**other.values, **same})
        same = {name: value for name, value in same.items() if name in known}
        self._store.state.touch(other, same, act.at, act.user_id)
        act.saved.append((other.type, other.id))

    def delete(self, kind: str, record_id: str, act: Act) -> None:
        self._may_write(kind)
        row = self._store.need(kind, record_id)
        self._scripted(row, act)
        self.bin(row, act)

    def bin(self, row: Row, act: Act, **more: Any) -> None:
        """Into the recycle bin, with all that hangs on the row; objects without one lose it at once."""
        state = self._store.state
        if KINDS[row.type].recycles:
            new = state.touch(row, {"IsDeleted": True, **more}, act.at, act.user_id)
            state.put(replace(new, deleted_at=stamp(act.at)))
        else:
            del state.rows[row.type][row.id]
            if row.type in _PERMISSIONS:
                state.described_at = act.at
        act.note("record_deleted", type=row.type, id=row.id)
        for child, field in _CHILDREN.get(row.type, ()):
            for below in [one for one in state.live(child) if one.get(field) == row.id]:
                self.bin(below, act)

    @contextmanager
    def all_or_none(self, act: Act) -> Iterator[None]:
        """Undo every save when the block raises."""
        state, effects, saved = self._store.state, len(act.effects), len(act.saved)
        rows = {name: dict(found) for name, found in state.rows.items()}
        try:
            yield
        except (RowError, ValueError):
            state.rows = rows
            del act.effects[effects:]
            del act.saved[saved:]
            raise

    def judge(self, kind: str, given: Mapping[str, Any], act: Act, *, creating: bool) -> dict[str, Any]:
        """The values as rows hold them; RowError for what this user may not set, or what does not fit."""
        fields = self._store.visible(kind, act.user_id) if act.api else self._store.state.fields(kind)
        granted = self._store.granted(kind, act.user_id) if act.api else {}
        by_fold = {name.lower(): field for name, field in fields.items()}
        found: dict[str, Any] = {}
        refused: list[str] = []
        for name, value in given.items():
            field = by_fold.get(name.lower())
            if field is None:
                raise RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind}")
            settable = field.createable if creating else field.updateable
            if not act.silent and not (settable and (field.visible or granted.get(field.name, not act.api))):
                refused.append(field.name)
                continue
            found[field.name] = accept(field, value)
        if refused:
            raise RowError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of this "
                "field and verify that it is read/write for your profile or permission set.",
                refused,
            )
        nulled = [n for n, v in found.items() if v is None and not creating and not fields[n].nillable]
        if nulled:
            raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(nulled)}]", nulled)
        return found

    def _may_write(self, kind: str) -> None:
        if not KINDS[kind].writes:
            raise RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {kind}")

    def _scripted(self, row: Row, act: Act) -> None:
        """Trouble a test has ordered for this record."""
        refusals = self._store.state.refusals
        waiting = refusals.get(row.id, ()) if act.api else ()
        if waiting:
            refusals[row.id] = waiting[1:]
            raise RowError(*waiting[0])

    def _check(self, kind: str, old: Row | None, values: Mapping[str, Any], act: Act) -> None:
        fields = self._store.state.fields(kind)
        for name, value in values.items():
            field = fields[name]
            if value is not None and (old is None or old.get(name) != value):
                self._refers(field, value)
                if field.unique or field.external_id:
                    self._unique(kind, old, field, value)
        if kind in ("FieldPermissions", "PermissionSetAssignment", "PermissionSet"):
            self._permissions(kind, old, values)
        if kind in ("Lead", "Contact") and act.api and self.settings.duplicate_rule != "off":
            self._duplicates(kind, old, values, act)

    def _refers(self, field: Field, value: Any) -> None:
        if field.type != "reference" or value[:3] not in BY_PREFIX:
            return
        row = self._store.state.row(value)
        if row is None or row.deleted_at is not None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [field.name])

    def _unique(self, kind: str, old: Row | None, field: Field, value: Any) -> None:
        if not field.unique:
            return
        for row in self._store.state.live(kind):
            if (old is None or row.id != old.id) and same_key(field, row.get(field.name), value):
                message = f"duplicate value found: {field.name} duplicates value on record with id: {row.id}"
                raise RowError("DUPLICATE_VALUE", message, [field.name])

    def _permissions(self, kind: str, old: Row | None, values: Mapping[str, Any]) -> None:
        keys = {
            "FieldPermissions": ("ParentId", "Field"),
            "PermissionSetAssignment": ("PermissionSetId", "AssigneeId"),
            "PermissionSet": ("Name",),
        }[kind]
        for row in self._store.state.live(kind):
            if (old is None or row.id != old.id) and all(row.get(key) == values.get(key) for key in keys):
                message = f"duplicate value found: <unknown> duplicates value on record with id: {row.id}"
                raise RowError("DUPLICATE_VALUE", message)
        if kind != "FieldPermissions":
            return
        target, _, name = str(values["Field"]).partition(".")
        field = self._store.state.fields(target).get(name) if target in KINDS else None
        if field is None or target != values["SobjectType"]:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ["Field"])
        if not field.permissionable and field.visible:
            raise RowError("FIELD_INTEGRITY_EXCEPTION", f"You cannot set permissions for {values['Field']}", ["Field"])
        if values.get("PermissionsEdit") and not values.get("PermissionsRead"):
            raise RowError("FIELD_INTEGRITY_EXCEPTION", "Edit depends on Read", ["PermissionsRead"])

    def _duplicates(self, kind: str, old: Row | None, values: Mapping[str, Any], act: Act) -> None:
        if self.settings.duplicate_rule == "alert" and act.allow_duplicates:
            return
        email = str(values.get("Email") or "").casefold()
        for row in self._store.state.live(kind):
            same = email and str(row.get("Email") or "").casefold() == email
            if same and (old is None or row.id != old.id) and not row.get("IsConverted"):
                raise RowError(
                    "DUPLICATES_DETECTED",
                    "You're creating a duplicate record. We recommend you use an existing record instead."
                    if old is None
                    else "Use one of these records?",
                )

    def _assign(self, row: Row, act: Act) -> None:
        """An assignment rule moves the owner (section 4.3)."""
        if not (act.api and act.auto_assign and self.settings.assignment_rules and KINDS[row.type].assigns):
            return
        if row.get("OwnerId") == RULE_OWNER:
            return
        act.note("owner_assigned", type=row.type, id=row.id, old=row.get("OwnerId"), new=RULE_OWNER)
        self._store.state.touch(row, {"OwnerId": RULE_OWNER}, act.at)

    def _after(self, row: Row, act: Act) -> None:
        act.saved.append((row.type, row.id))
        if row.type in _PERMISSIONS:
            self._store.state.described_at = act.at
        if row.type == "Opportunity":
            self._keep_stage(row, act)
        day = row.get("ActivityDate")
        counts = row.type == "Event" or (row.type == "Task" and row.get("IsClosed"))
        person = self._store.state.row(row.get("WhoId")) if day and counts else None
        if person is not None and (person.get("LastActivityDate") or "") < str(day):
            # Not an edit of the person, but the stamp moves (section 3.3).
            self._store.state.touch(person, {"LastActivityDate": day}, act.at)
            act.note("field_changed", type=person.type, id=person.id, field="LastActivityDate",
                     old=person.get("LastActivityDate"), new=day)  # fmt: skip

    def _keep_change(self, row: Row, name: str, value: Any, act: Act) -> None:
        """A row of the field history (section 2.4): values longer than 255 characters are not kept."""
        kind, state = f"{row.type}History", self._store.state
        kept = {side: one for side, one in (("OldValue", row.get(name)), ("NewValue", value))
                if one is not None and len(str(one)) <= 255}  # fmt: skip
        record_id = state.new_id(KINDS[kind].prefix)
        system = {"Id": record_id, f"{row.type}Id": row.id, "Field": name, "CreatedDate": stamp(act.at),
                  "CreatedById": act.user_id, "IsDeleted": False}  # fmt: skip
        state.put(Row(kind, record_id, {**kept, **system}))

    def _keep_stage(self, row: Row, act: Act) -> None:
        """A row of the deal's history for each stage it is in, with the values of then (section 2.4)."""
        state = self._store.state
        kept = [one for one in state.live("OpportunityHistory") if one.get("OpportunityId") == row.id]
        if kept and kept[-1].get("StageName") == row.get("StageName"):
            return
        names = ("StageName", "Amount", "Probability", "CloseDate", "ForecastCategory")
        held = {name: row.get(name) for name in names if row.get(name) is not None}
        record_id, at = state.new_id(KINDS["OpportunityHistory"].prefix), stamp(act.at)
        system = {"Id": record_id, "OpportunityId": row.id, "CreatedDate": at, "CreatedById": act.user_id,
                  "SystemModstamp": at}  # fmt: skip
        state.put(Row("OpportunityHistory", record_id, {**held, **system}))


def same_key(field: Field, held: Any, value: Any) -> bool:
    """Whether two external keys are one; a missing key is never one."""
    if held is None or value is None:
        return False
    return bool(held == value if field.case_sensitive else str(held).casefold() == str(value).casefold())


def _derived(kind: str, values: Mapping[str, Any], old: Row | None, act: Act) -> dict[str, Any]:
    """The read-only fields that follow from others."""
    if kind == "Account" and values.get("LastName") is not None:
        return {"Name": person_accounts.full_name(values)}
    if kind in ("Lead", "Contact", "User"):
        found: dict[str, Any] = {"Name": " ".join(filter(None, (values.get("FirstName"), values.get("LastName"))))}
        if kind == "Contact":
            found["IsEmailBounced"] = values.get("EmailBouncedDate") is not None
        return found
    if kind == "Opportunity":
        stage, amount, chance = values.get("StageName"), values.get("Amount"), values.get("Probability")
        moved = old is not None and old.get("StageName") != stage
        if chance is None or moved:
            chance = _probability(str(stage))
        found = {
            "IsClosed": stage in STAGES[-2:],
            "IsWon": stage == "Closed Won",
            "Probability": chance,
            "ExpectedRevenue": None if amount is None else amount * chance / 100,
            "ForecastCategory": {"Closed Won": "Closed", "Closed Lost": "Omitted"}.get(str(stage), "Pipeline"),
        }
        return found | ({"LastStageChangeDate": stamp(act.at)} if moved else {})
    if kind == "CampaignMember":
        responded = values.get("Status") == "Responded"
        first = values.get("FirstRespondedDate") or (stamp(act.at)[:10] if responded else None)
        return {
            "HasResponded": responded,
            "FirstRespondedDate": first,
            "LeadOrContactId": values.get("ContactId") or values.get("LeadId"),
        }
    if kind == "Task":
        closed = values.get("Status") == "Completed"
        done = (values.get("CompletedDateTime") or stamp(act.at)) if closed else None
        return {"IsClosed": closed, "CompletedDateTime": done}
    if kind == "EmailMessage":
        return {"IsOpened": values.get("FirstOpenedDate") is not None}
    return {}


def _probability(stage: str) -> float:
    """The percentages of a new org, in the order of its stages."""
    chances = (10.0, 10.0, 20.0, 50.0, 60.0, 70.0, 75.0, 90.0, 100.0, 0.0)
    return chances[STAGES.index(stage)] if stage in STAGES else 10.0
