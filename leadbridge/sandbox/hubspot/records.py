"""CRM objects over HTTP: list, get, create, update, archive, batches, merge, gdpr-delete (vendor page, section 5)."""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leadbridge.sandbox.hubspot.answers import (
    NOT_FOUND,
    Refused,
    Reply,
    batch,
    iso_ms,
    not_found,
    paging,
)
from leadbridge.sandbox.hubspot.call import ApiCall, need_unique
from leadbridge.sandbox.hubspot.kinds import KINDS, LINKS, Kind, kind_of, link_of
from leadbridge.sandbox.hubspot.store import Record, Table

if TYPE_CHECKING:
    from leadbridge.sandbox.hubspot.acts import Claims

_UI_HOST = "https://app.hubspot.com"
# What a write answers besides the written properties (section 5.2).
_ECHOED = (
    "hs_all_contact_vids",
    "hs_email_domain",
    "hs_is_contact",
    "hs_is_unworked",
    "hs_pipeline",
    "hs_object_source",
    "hs_object_source_id",
    "hs_object_source_label",
    "lifecyclestage",
)
_shuffle = random.Random(5).shuffle


def as_json(
    call: ApiCall, kind: Kind, record: Record, names: Sequence[str] = (), history: Sequence[str] = ()
) -> dict[str, Any]:
    """One record as read: the asked for properties that exist (empty = null) and the automatic ones."""
    table = call.table(kind)
    stored = record.properties
    shown: dict[str, str | None] = {
        name: stored.get(name) for name in names or kind.defaults if name in table.definitions
    }
    for name in kind.automatic:
        shown[name] = stored.get(name)
    answer = _frame(call, kind, record, shown)
    if history:
        answer["propertiesWithHistory"] = {
            name: [
                {
                    "value": change.value,
                    "timestamp": iso_ms(change.at_ms),
                    "sourceType": change.source,
                    "sourceId": change.source_id,
                    "sourceLabel": None,
                }
                for change in record.history.get(name, ())
            ]
            for name in history
            if name in table.definitions
        }
    return answer


def written(call: ApiCall, kind: Kind, record: Record, names: Mapping[str, object]) -> dict[str, Any]:
    """One record as a write answers it: only what was written, and automatic properties."""
    stored = record.properties
    shown = {name: stored.get(name, "") for name in names}
    shown |= {name: stored[name] for name in (*_ECHOED, *kind.automatic) if name in stored}
    return _frame(call, kind, record, shown)


def _frame(call: ApiCall, kind: Kind, record: Record, shown: Mapping[str, str | None]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": record.id,
        "properties": dict(sorted(shown.items())),
        "createdAt": record.properties[kind.created],
        "updatedAt": record.properties[kind.modified],
        "archived": record.archived_ms is not None,
        "url": f"{_UI_HOST}/contacts/{call.account.portal_id}/record/{kind.type_id}/{record.id}",
    }
    if record.archived_ms is not None:
        answer["archivedAt"] = iso_ms(record.archived_ms)
    return answer


def _associations(call: ApiCall, kind: Kind, record: Record, others: Sequence[str]) -> dict[str, Any]:
    """Associations inside a read: the same id once per type."""
    found = {}
    for other in map(kind_of, others):
        base = f"{kind.singular}_to_{other.singular}"
        primary = link_of(kind, other).primary
        plain = base if primary is None else f"{base}_unlabeled"
        rows = [
            {"id": other_id, "type": base if type_id == primary else plain}
            for other_id, types in call.state.linked(kind.name, record.id, other.name).items()
            for type_id in sorted(types)
        ]
        if rows:
            found[other.name] = {"results": rows}
    return {"associations": found} if found else {}


def _read(call: ApiCall, kind: Kind, record: Record) -> dict[str, Any]:
    answer = as_json(call, kind, record, call.words("properties"), call.words("propertiesWithHistory"))
    others = call.words("associations")
    return answer | _associations(call, kind, record, others) if others else answer


def list_(call: ApiCall, kind: Kind) -> Reply:
    """A page in the order of ids; ``after`` is the id of the next record."""
    limit = call.number("limit", 10, 50 if call.words("propertiesWithHistory") else 100)
    rows: list[Record] = []
    after = None
    for record in call.table(kind).page(call.offset(), call.flag("archived")):
        if len(rows) == limit:
            after = record.id
            break
        rows.append(record)
    return Reply(200, {"results": [_read(call, kind, record) for record in rows], **paging(after)})


def locate(call: ApiCall, kind: Kind, record_id: str, id_property: str) -> Record:
    """The record a path means, by id (old ids of merged records too) or by a unique property; 404 otherwise."""
    table = call.table(kind)
    if id_property and id_property != "hs_object_id":
        _need_unique_property(table, id_property)
        record = table.find(id_property, record_id)
    else:
        if not record_id.isdigit():
            raise Refused(
                404,
                "Object not found.  objectId are usually numeric.",
                category=NOT_FOUND,
                context={"id": [record_id]},
            )
        record = table.resolve(record_id)
    if record is None:
        raise not_found()
    return record


def _need_unique_property(table: Table, name: str) -> None:
    if name not in table.unique:
        raise Refused(
            400, f"Unable to perform update/upsert by non-unique {table.kind.type_id} property {name}", category=None
        )


def get(call: ApiCall, kind: Kind, record_id: str) -> Reply:
    if call.flag("archived"):
        found = call.table(kind).records.get(record_id)
        if found is None or found.archived_ms is None:
            raise not_found()
        return Reply(200, _read(call, kind, found))
    return Reply(200, _read(call, kind, locate(call, kind, record_id, call.text("idProperty"))))


def _properties(given: Mapping[str, Any]) -> dict[str, object]:
    found = given.get("properties")
    if not isinstance(found, dict):
        raise Refused(400, "Invalid input JSON: properties must be an object")
    return found


def _warned(call: ApiCall, answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"warnings": call.act.warnings} if call.act.warnings else answer


def create(call: ApiCall, kind: Kind) -> Reply:
    given = call.json()
    raw = _properties(given)
    links = _wanted_links(call, kind, given)
    values = call.account.acts.judge(kind, raw, None, call.act)
    record = _created(call, kind, values, links)
    return Reply(201, _warned(call, written(call, kind, record, values)))


def _created(
    call: ApiCall, kind: Kind, values: Mapping[str, str], links: Sequence[tuple[Kind, str, frozenset[int]]]
) -> Record:
    record = call.account.acts.create(kind, values, call.act)
    for other, other_id, type_ids in links:
        call.account.acts.link(kind, record.id, other, other_id, call.act, type_ids)
    return call.table(kind).records[record.id]


def _wanted_links(call: ApiCall, kind: Kind, given: Mapping[str, Any]) -> list[tuple[Kind, str, frozenset[int]]]:
    """The associations a create asks for: the other kind follows from the type id."""
    found = []
    for wanted in given.get("associations") or []:
        type_ids = frozenset(int(t["associationTypeId"]) for t in wanted["types"])
        other = next(
            (
                KINDS[two]
                for (one, two), link in LINKS.items()
                if one == kind.name and type_ids <= {link.default, link.primary}
            ),
            None,
        )
        other_id = str(wanted["to"]["id"])
        if other is None or call.table(other).live(other_id) is None:
            raise Refused(400, f"Invalid association to {other_id}: no such record or type")
        found.append((other, other_id, type_ids))
    return found


def update(call: ApiCall, kind: Kind, record_id: str) -> Reply:
    record = locate(call, kind, record_id, call.text("idProperty"))
    values = call.account.acts.judge(kind, _properties(call.json()), record, call.act)
    record = call.account.acts.change(kind, record, values, call.act)
    return Reply(200, _warned(call, written(call, kind, record, values)))


def archive(call: ApiCall, kind: Kind, record_id: str) -> Reply:
    """204, also when repeated; 404 for an id that never was."""
    record = call.table(kind).records.get(record_id)
    if record is None:
        raise not_found()
    if record.archived_ms is None:
        call.account.acts.archive(kind, record, call.act)
    return Reply(204)


def _missing(kind: Kind, ids: Sequence[str], traces: Sequence[str] = ()) -> dict[str, Any]:
    """One error stands for all unknown ids of a batch (section 14.4)."""
    context = {"ids": list(ids)}
    if traces:
        context["objectWriteTraceId"] = list(traces)
    return {
        "status": "error",
        "category": NOT_FOUND,
        "message": f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. "
        "Check that ids are valid.",
        "context": context,
    }


def batch_read(call: ApiCall, kind: Kind) -> Reply:
    """Found records in any order; unknown ids make it a 207. Old ids of merged records count as unknown."""
    given = call.json()
    ids = [str(one.get("id", "")) for one in call.inputs(50 if given.get("propertiesWithHistory") else 100)]
    table = call.table(kind)
    id_property = given.get("idProperty") or "hs_object_id"
    if id_property != "hs_object_id":
        _need_unique_property(table, id_property)
    archived = call.flag("archived")
    found: dict[str, Record] = {}
    missing = []
    for one in ids:
        record = table.records.get(one) if id_property == "hs_object_id" else table.find(id_property, one)
        if record is None or (record.archived_ms is not None) != archived:
            missing.append(one)
        else:
            found[record.id] = record
    names, history = given.get("properties") or (), given.get("propertiesWithHistory") or ()
    results = [as_json(call, kind, record, names, history) for record in found.values()]
    _shuffle(results)
    errors = [_missing(kind, missing)] if missing else []
    return batch(results, errors, call.now, partial=call.partial_status)


def _traced(inputs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every input carries its own trace id, the condition for a partial success."""
    traces = [one.get("objectWriteTraceId") for one in inputs]
    return bool(traces) and all(traces) and len(set(traces)) == len(traces)


def batch_create(call: ApiCall, kind: Kind) -> Reply:
    """All or nothing, unless every input carries a trace id."""
    inputs = call.inputs()
    traced = _traced(inputs)
    claims: Claims = {}
    plan = []
    errors = []
    for one in inputs:
        try:
            links = _wanted_links(call, kind, one)
            plan.append((call.account.acts.judge(kind, _properties(one), None, call.act, claims), links))
        except Refused as refused:
            if not traced:
                # The whole batch is told without the id (section 14.3).
                if refused.status == 409:
                    refused.body["message"] = refused.body["message"].partition(". ")[0]
                raise
            errors.append(refused.as_item(objectWriteTraceId=[one["objectWriteTraceId"]]))
    results = [written(call, kind, _created(call, kind, values, links), values) for values, links in plan]
    return _batch_written(call, results, errors, 201)


def _batch_written(
    call: ApiCall, results: list[dict[str, Any]], errors: Sequence[Mapping[str, Any]], status: int = 200
) -> Reply:
    _shuffle(results)
    reply = batch(results, errors, call.now, status=status, partial=call.partial_status)
    if call.act.warnings:
        reply.body["warnings"] = call.act.warnings
    return reply


def batch_update(call: ApiCall, kind: Kind) -> Reply:
    """Unknown ids are left out (207); a value that is not taken rejects everything unless inputs are traced."""
    inputs = call.inputs()
    table = call.table(kind)
    need_unique(str(one.get("id", "")) for one in inputs)
    traced = _traced(inputs) and call.account.settings.traced_updates
    claims: Claims = {}
    plan: list[tuple[Record, dict[str, str]]] = []
    missing: list[Mapping[str, Any]] = []
    errors = []
    for one in inputs:
        id_property = one.get("idProperty") or "hs_object_id"
        if id_property != "hs_object_id":
            _need_unique_property(table, id_property)
        key = str(one.get("id", ""))
        record = table.live(key) if id_property == "hs_object_id" else table.find(id_property, key)
        if record is None:
            missing.append(one)
            continue
        try:
            plan.append((record, call.account.acts.judge(kind, _properties(one), record, call.act, claims)))
        except Refused as refused:
            if not traced:
                raise
            errors.append(refused.as_item(objectWriteTraceId=[one["objectWriteTraceId"]], id=[key]))
    need_unique(record.id for record, _ in plan)
    if missing:
        traces = [one["objectWriteTraceId"] for one in missing] if traced else []
        errors.append(_missing(kind, [str(one.get("id", "")) for one in missing], traces))
    acts = call.account.acts
    results = [written(call, kind, acts.change(kind, record, values, call.act), values) for record, values in plan]
    return _batch_written(call, results, errors)


def batch_upsert(call: ApiCall, kind: Kind) -> Reply:
    """Update or create by a unique property; each result says ``new``. Not partial with ``email``."""
    inputs = call.inputs()
    table = call.table(kind)
    need_unique(str(one.get("id", "")).lower() for one in inputs)
    traced = _traced(inputs) and all(one.get("idProperty") != "email" for one in inputs)
    claims: Claims = {}
    plan: list[tuple[Record | None, dict[str, str]]] = []
    errors = []
    for one in inputs:
        id_property, key = one.get("idProperty") or "hs_object_id", str(one.get("id", ""))
        raw = _properties(one)
        if id_property == "hs_object_id":
            record = table.live(key)
            if record is None:
                errors.append(_missing(kind, [key]))
                continue
        else:
            _need_unique_property(table, id_property)
            record = table.find(id_property, key)
            raw = raw if record else {id_property: key, **raw}
        try:
            plan.append((record, call.account.acts.judge(kind, raw, record, call.act, claims)))
        except Refused as refused:
            if not traced:
                raise
            errors.append(refused.as_item(objectWriteTraceId=[one["objectWriteTraceId"]]))
    results = []
    for known, values in plan:
        if known is None:
            record = call.account.acts.create(kind, values, call.act)
        else:
            record = call.account.acts.change(kind, known, values, call.act)
        results.append({**written(call, kind, record, values), "new": known is None})
    return _batch_written(call, results, errors)


def batch_archive(call: ApiCall, kind: Kind) -> Reply:
    """204 whatever the ids are."""
    for one in call.inputs():
        record = call.table(kind).live(str(one.get("id", "")))
        if record is not None:
            call.account.acts.archive(kind, record, call.act)
    return Reply(204)


def merge(call: ApiCall, kind: Kind) -> Reply:
    given = call.json()
    ids = [str(given.get(name, "")) for name in ("primaryObjectId", "objectIdToMerge")]
    primary, other = (locate(call, kind, one, "") for one in ids)
    if primary.id == other.id:
        raise Refused(400, "Cannot merge an object with itself")
    merged = call.account.acts.merge(kind, primary, other, call.act)
    return Reply(200, as_json(call, kind, merged, sorted(merged.properties)))


def gdpr_delete(call: ApiCall, kind: Kind) -> Reply:
    """Erase for good. An unknown address is put on the block list, and that is a 204 too."""
    given = call.json()
    key, id_property = str(given.get("objectId", "")), given.get("idProperty") or ""
    table = call.table(kind)
    if id_property == "email":
        record = table.find("email", key)
        call.state.blocked_emails.append(key.lower())
    else:
        record = table.records.get(key) or table.resolve(key)
        if record is None:
            raise not_found()
    if record is not None:
        call.account.acts.erase(record, call.act)
    return Reply(204)
