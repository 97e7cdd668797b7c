"""Describe, single records and collections (vendor page, sections 3.4, 4.1, 4.2 and 5.4)."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Any

from werkzeug.http import http_date, parse_date

from leadbridge.sandbox.salesforce import fields as field_module
from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.salesforce.answers import Refused, Reply, RowError, not_found, saved
from leadbridge.sandbox.salesforce.call import ApiCall
from leadbridge.sandbox.salesforce.fields import Field
from leadbridge.sandbox.salesforce.kinds import KINDS, Kind, standard_fields
from leadbridge.sandbox.salesforce.query import Column, attributes
from leadbridge.sandbox.salesforce.saving import same_key
from leadbridge.sandbox.salesforce.soql import Path
from leadbridge.sandbox.salesforce.store import Row
from leadbridge.sandbox.salesforce.values import accept

_MOST_ROWS, _MOST_CHUNKS, _MOST_RETRIEVED = 200, 10, 2_000
_ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)

# Describe: top keys that say nothing about the objects served here
_NEVER_SET = (
    "associateEntityType", "associateParentEntity", "defaultImplementation", "extendedBy", "extendsInterfaces",
    "implementedBy", "implementsInterfaces", "listviewable", "lookupLayoutable", "networkScopeFieldName",
)  # fmt: skip
_NEVER_TRUE = ("deepCloneable", "hasSubtypes", "isInterface", "isSubtype")


def describe_global(call: ApiCall) -> Reply:
    return Reply(
        body={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [_summary(call, k) for k in KINDS.values()]}
    )


def info(call: ApiCall, kind: str) -> Reply:
    return Reply(body={"objectDescribe": _summary(call, call.kind(kind)), "recentItems": []})


def describe(call: ApiCall, kind: str) -> Reply:
    found, at = call.kind(kind), call.state.described_at.replace(microsecond=0)
    headers = {"Last-Modified": http_date(at), "ETag": f'"{int(at.timestamp()):x}"'}
    since = parse_date(call.headers.get("if-modified-since", ""))
    if since is not None and at <= since.astimezone(UTC):
        return Reply(304, headers=headers)
    granted = call.org.store.granted(found.name, call.user_id)
    visible = call.org.store.visible(found.name, call.user_id)
    body = {
        "actionOverrides": [],
        "childRelationships": _children(found),
        **_summary(call, found),
        **dict.fromkeys(_NEVER_SET),
        **dict.fromkeys(_NEVER_TRUE, False),
        "compactLayoutable": found.recycles,
        "namedLayoutInfos": [],
        "searchLayoutable": found.recycles,
        "fields": [
            field_module.describe(field, editable=field.visible or granted.get(name, False))
            for name, field in visible.items()
        ],
        "recordTypeInfos": [_master_record_type(call, found)],
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {found.plural.lower()}", "name": "everything"}],
    }
    return Reply(body=body, headers=headers)


def _summary(call: ApiCall, kind: Kind) -> dict[str, Any]:
    root = f"{call.base}/sobjects/{kind.name}"
    person = kind.name in ("Lead", "Contact", "Account")
    return {
        "activateable": False,
        "createable": kind.writes,
        "custom": False,
        "customSetting": False,
        "deletable": kind.writes and kind.name != "User",
        "deprecatedAndHidden": False,
        "feedEnabled": kind.recycles,
        "keyPrefix": kind.prefix,
        "label": kind.plural.removesuffix("s") if kind.name != "Opportunity" else "Opportunity",
        "labelPlural": kind.plural,
        "layoutable": kind.recycles,
        "mergeable": person,
        "mruEnabled": kind.recycles,
        "name": kind.name,
        "queryable": True,
        "replicateable": kind.replicates,
        "retrieveable": True,
        "searchable": kind.recycles,
        "triggerable": kind.recycles,
        "undeletable": kind.recycles,
        "updateable": kind.writes,
        "urls": {"sobject": root, "describe": f"{root}/describe", "rowTemplate": f"{root}/{{ID}}"},
    }


def _master_record_type(call: ApiCall, kind: Kind) -> dict[str, Any]:
    number = "012000000000000AAA"
    layout = f"{call.base}/sobjects/{kind.name}/describe/layouts/{number}"
    return {
        "active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master", "master": True,
        "name": "Master", "recordTypeId": number, "urls": {"layout": layout},
    }  # fmt: skip


def _children(kind: Kind) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": False, "childSObject": name, "deprecatedAndHidden": False, "field": field.name,
            "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": None, "restrictedDelete": False,
        }
        for name in KINDS
        for field in standard_fields(name).values()
        if kind.name in field.refers_to
    ]  # fmt: skip


# Single records


def create(call: ApiCall, kind: str) -> Reply:
    found = call.kind(kind)
    row = _alone(lambda: call.org.saver.create(found.name, _given(call.json()), call.act))
    return Reply(201, saved(row.id))


def read(call: ApiCall, kind: str, record_id: str) -> Reply:
    row = _row(call, call.kind(kind), record_id)
    return Reply(body=_shown(call, row, call.query.get("fields", "")))


def update(call: ApiCall, kind: str, record_id: str) -> Reply:
    found = call.kind(kind)
    row = _row(call, found, record_id)
    _alone(lambda: call.org.saver.update(found.name, row.id, _given(call.json()), call.act))
    return Reply(204)


def delete(call: ApiCall, kind: str, record_id: str) -> Reply:
    found = call.kind(kind)
    row = _row(call, found, record_id)
    _alone(lambda: call.org.saver.delete(found.name, row.id, call.act))
    return Reply(204)


def read_by_key(call: ApiCall, kind: str, field: str, value: str) -> Reply:
    found = call.kind(kind)
    rows = _by_key(call, found, key_field(call, found, field), value)
    if not rows:
        raise not_found()
    return _ambiguous(call, rows) if len(rows) > 1 else Reply(body=_shown(call, rows[0], call.query.get("fields", "")))


def upsert(call: ApiCall, kind: str, field: str, value: str) -> Reply:
    found = call.kind(kind)
    key, given = key_field(call, found, field), _given(call.json())
    if key.name.lower() in {name.lower() for name in given}:
        message = f"The {key.name} field should not be specified in the sobject data."
        raise Refused(400, "INVALID_FIELD", message, fields=[key.name])
    rows = _by_key(call, found, key, value)
    if len(rows) > 1:
        return _ambiguous(call, rows)
    if not rows and call.query.get("updateOnly", "").lower() == "true":
        raise not_found()
    if not rows:
        row = _alone(lambda: call.org.saver.create(found.name, {**given, key.name: value}, call.act))
        return Reply(201, saved(row.id, created=True))
    _alone(lambda: call.org.saver.update(found.name, rows[0].id, given, call.act))
    return Reply(200, saved(rows[0].id, created=False))


def _alone(save: Callable[[], Any]) -> Any:
    """A single save: its row error is the answer of the call."""
    try:
        return save()
    except RowError as error:
        raise error.as_refusal() from None


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "attributes"}


def _row(call: ApiCall, kind: Kind, record_id: str) -> Row:
    found = ids.read(record_id)
    row = call.state.rows[kind.name].get(found) if found else None
    if row is None:
        raise not_found()
    if row.deleted_at is not None:
        raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted")
    return row


def _shown(call: ApiCall, row: Row, wanted: str) -> dict[str, Any]:
    reader = call.reader()
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    columns = (
        [reader.column(row.type, Path(name, 0), name) for name in names]
        if names
        else [Column((), field) for field in reader.fields(row.type).values()]
    )
    return reader.render(row, columns, call.version)


def key_field(call: ApiCall, kind: Kind, name: str) -> Field:
    """A field that may be an upsert key; 404 for any other (recorded text)."""
    field = next((f for n, f in call.reader().fields(kind.name).items() if n == name.lower()), None)
    if field is None or not (field.external_id or field.id_lookup or field.type == "id"):
        message = f"Provided external ID field does not exist or is not accessible: {name}"
        raise Refused(404, "NOT_FOUND", message)
    return field


def _by_key(call: ApiCall, kind: Kind, field: Field, value: object) -> list[Row]:
    wanted = ids.read(value) if field.type == "id" else accept(field, value)
    return [row for row in call.state.live(kind.name) if same_key(field, row.get(field.name), wanted)]


def _ambiguous(call: ApiCall, rows: Iterable[Row]) -> Reply:
    return Reply(300, [attributes(row, call.version)["url"] for row in rows])


# Collections


def update_many(call: ApiCall) -> Reply:
    return _rows(call, lambda kind, record_id, given: saved(call.org.saver.update(kind, record_id, given, call.act).id))


def create_many(call: ApiCall) -> Reply:
    return _rows(call, lambda kind, _, given: saved(call.org.saver.create(kind, given, call.act).id), new=True)


def upsert_many(call: ApiCall, kind: str, field: str) -> Reply:
    found = call.kind(kind)
    key = key_field(call, found, field)

    def save(name: str, record_id: str, given: dict[str, Any]) -> Mapping[str, Any]:
        if name != found.name:
            raise RowError("INVALID_TYPE", f"all records must be of type {found.name}")
        value = record_id if key.type == "id" else given.get(key.name)
        rows = _by_key(call, found, key, value) if value else []
        if len(rows) > 1:
            raise RowError("DUPLICATE_EXTERNAL_ID", f"{key.name}: more than one record found for external id field")
        if rows:
            changes = {n: v for n, v in given.items() if n != key.name}
            return saved(call.org.saver.update(name, rows[0].id, changes, call.act).id, created=False)
        return saved(call.org.saver.create(name, given, call.act).id, created=True)

    return _rows(call, save, new=True)


def delete_many(call: ApiCall) -> Reply:
    wanted = [one for one in call.query.get("ids", "").split(",") if one]
    call.items = len(wanted)
    _need_at_most(len(wanted), _MOST_ROWS)

    def erase(record_id: str) -> Mapping[str, Any]:
        kind = _kind_of_id(record_id)
        call.org.saver.delete(kind, record_id, call.act)
        return saved(str(ids.read(record_id)))

    whole = call.query.get("allOrNone", "").lower() == "true"
    return _each(call, [lambda one=one: erase(one) for one in wanted], whole=whole)  # type: ignore[misc]


def retrieve_many(call: ApiCall, kind: str) -> Reply:
    """Rows in the order asked, ``null`` where missing; a bad field fails all."""
    found = call.kind(kind)
    if call.body:
        body = call.json()
        wanted, names = body.get("ids"), body.get("fields")
    else:
        wanted, names = ([one for one in call.query.get(n, "").split(",") if one] for n in ("ids", "fields"))
    if not isinstance(wanted, list) or not isinstance(names, list) or not names:
        raise Refused(400, "MISSING_ARGUMENT", "The ids and fields parameters are required")
    call.items = len(wanted)
    _need_at_most(len(wanted), _MOST_RETRIEVED)
    reader = call.reader()
    columns = [reader.column(found.name, Path(str(name), 0), str(name)) for name in names]
    rows = [call.state.rows[found.name].get(ids.read(one) or "") for one in wanted]
    return Reply(
        body=[reader.render(r, columns, call.version) if r is not None and r.deleted_at is None else None for r in rows]
    )


Save = Callable[[str, str, dict[str, Any]], Mapping[str, Any]]


def _rows(call: ApiCall, save: Save, *, new: bool = False) -> Reply:
    """Answer each record in order, 200 whatever became of them (section 4.1)."""
    body = call.json()
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise Refused(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    call.items = len(records)
    _need_at_most(len(records), _MOST_ROWS)
    kinds = [str(found.get("type", "")) if isinstance(found := one.get("attributes"), dict) else "" for one in records]
    chunks = sum(1 for n, name in enumerate(kinds) if n == 0 or name != kinds[n - 1])
    if chunks > _MOST_CHUNKS:
        message = f"The request cannot contain more than {_MOST_CHUNKS} chunks of one type; sort the records by type"
        raise Refused(400, "INVALID_INPUT", message)
    seen: set[str] = set()

    def one_save(name: str, record: dict[str, Any]) -> Mapping[str, Any]:
        kind = next((k for k in KINDS if k.lower() == name.lower()), None)
        if kind is None:
            raise RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        record_id = str(record.get("id") or record.get("Id") or "")
        given = {n: v for n, v in record.items() if n.lower() not in ("id", "attributes")}
        if not record_id and not new:
            raise RowError("MISSING_ARGUMENT", "Id not specified in an update call")
        known = ids.read(record_id)
        if known in seen and known is not None:
            raise RowError("DUPLICATE_VALUE", f"duplicate id specified: {known}")
        seen.add(known or "")
        try:
            return save(kind, record_id, given)
        except RowError as error:
            if error.code == "INVALID_FIELD" and call.org.settings.unknown_field_fails_all:
                raise error.as_refusal() from None
            raise

    jobs = [
        lambda name=name, record=record: one_save(name, record) for name, record in zip(kinds, records, strict=True)
    ]
    return _each(call, jobs, whole=body.get("allOrNone") is True)  # type: ignore[arg-type]


def _each(call: ApiCall, jobs: list[Callable[[], Mapping[str, Any]]], *, whole: bool) -> Reply:
    """Do all; a refused row leaves no trace of itself. ``whole``: one refusal takes back everything."""
    answers: list[Mapping[str, Any]] = []
    failed = -1
    try:
        with call.org.saver.all_or_none(call.act):  # a call that is refused as a whole has done nothing
            for n, job in enumerate(jobs):
                try:
                    answers.append(job())
                except RowError as error:
                    answers.append(error.as_row())
                    if whole:
                        failed = n
                        raise
    except RowError:
        answers = [answers[n] if n == failed else _ROLLED_BACK.as_row() for n in range(len(jobs))]
    return Reply(body=answers)


def _kind_of_id(record_id: str) -> str:
    found = ids.read(record_id)
    kind = next((k for k in KINDS.values() if found and found.startswith(k.prefix)), None)
    if kind is None:
        raise RowError("MALFORMED_ID", f"malformed id {record_id}", ["Id"])
    return kind.name


def _need_at_most(count: int, most: int) -> None:
    if count > most:
        raise Refused(400, "EXCEEDED_MAX_SIZE_REQUEST", f"record count exceeds {most}: {count}")
