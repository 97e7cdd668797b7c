"""Property definitions, groups and deal pipelines over HTTP (vendor page, sections 8.1 and 8.4)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leadbridge.sandbox.hubspot.answers import NOT_FOUND, Refused, Reply, batch, iso_ms
from leadbridge.sandbox.hubspot.call import ApiCall
from leadbridge.sandbox.hubspot.definitions import Option, Property
from leadbridge.sandbox.hubspot.kinds import Kind
from leadbridge.sandbox.hubspot.store import Act, Table

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
FIELD_TYPES = {
    "bool": {"booleancheckbox", "calculation_equation"},
    "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "number": {"number", "calculation_equation"},
    "string": {"text", "textarea", "html", "file", "phonenumber", "calculation_equation"},
    "phone_number": {"phonenumber"},
}
_PATCHED = {
    "label": "label",
    "description": "description",
    "groupName": "group",
    "displayOrder": "display_order",
    "hidden": "hidden",
    "formField": "form_field",
    "fieldType": "field_type",
}


def _exists(name: str) -> Refused:
    return Refused(
        409,
        f"A property named '{name}' already exists.",
        category="OBJECT_ALREADY_EXISTS",
        subCategory="Properties.PROPERTY_WITH_NAME_EXISTS",
    )


def _unknown(name: str) -> Refused:
    return Refused(404, f"Property {name} does not exist", category=NOT_FOUND, context={"propertyName": [name]})


def _options(given: Mapping[str, Any]) -> tuple[Option, ...]:
    try:
        return tuple(
            Option(
                str(o["label"]),
                str(o["value"]),
                int(o.get("displayOrder", n)),
                bool(o.get("hidden", False)),
                o.get("description"),
            )
            for n, o in enumerate(given.get("options") or [])
        )
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "Every option needs a label, a value, a displayOrder and hidden") from None


def define(table: Table, given: Mapping[str, Any], act: Act) -> Property:
    """Add a definition; a name archived before comes back with the values its records had (section 8.1)."""
    name, value_type, field_type = (str(given.get(key) or "") for key in ("name", "type", "fieldType"))
    known = table.definitions.get(name)
    if known is not None and not known.archived:
        raise _exists(name)
    if not _NAME.fullmatch(name):
        raise Refused(400, f"Property name {name!r} is not valid: lowercase letters, digits, underscore")
    if field_type not in FIELD_TYPES.get(value_type, ()):
        raise Refused(400, f"Property {name}: fieldType {field_type!r} does not fit type {value_type!r}")
    group = str(given.get("groupName") or "")
    if group not in table.groups:
        raise Refused(400, f"Property group {group!r} does not exist for {table.kind.name}")
    options = _options(given)
    if value_type == "bool" and {option.value for option in options} != {"true", "false"}:
        raise Refused(
            400,
            "Boolean properties need exactly the options true and false",
            errors=[{"message": "Invalid boolean options", "code": "INVALID_BOOLEAN_OPTION"}],
        )
    stamp = iso_ms(act.at_ms)
    prop = Property(
        name,
        str(given.get("label") or name),
        value_type,
        field_type,
        group,
        str(given.get("description") or ""),
        options,
        hidden=bool(given.get("hidden", False)),
        unique=bool(given.get("hasUniqueValue", False)),
        form_field=bool(given.get("formField", False)),
        display_order=int(given.get("displayOrder", -1)),
        external_options=bool(given.get("externalOptions", False)),
        sensitivity=str(given.get("dataSensitivity") or "non_sensitive"),
        created=known.created if known else stamp,
        updated=stamp,
    )
    table.definitions[name] = prop
    if prop.unique:
        table.unique[name] = {r.properties[name].lower(): r.id for r in table.records.values() if name in r.properties}
    if not act.silent:
        act.note("property_defined", object=table.kind.name, name=name)
    return prop


def define_group(table: Table, given: Mapping[str, Any], act: Act) -> dict[str, Any]:
    name = str(given.get("name") or "")
    if not _NAME.fullmatch(name):
        raise Refused(400, f"Group name {name!r} is not valid: lowercase letters, digits, underscore")
    if name in table.groups:
        raise Refused(409, f"A group named '{name}' already exists.", category="OBJECT_ALREADY_EXISTS")
    table.groups[name] = str(given.get("label") or name)
    if not act.silent:
        act.note("group_defined", object=table.kind.name, name=name)
    return _group_json(table, name)


def _group_json(table: Table, name: str) -> dict[str, Any]:
    if name not in table.groups:
        raise Refused(404, f"Property group {name} does not exist", category=NOT_FOUND)
    return {"name": name, "label": table.groups[name], "displayOrder": -1, "archived": False}


def _known(call: ApiCall, kind: Kind, name: str) -> Property:
    prop = call.table(kind).definitions.get(name)
    if prop is None or prop.archived:
        raise _unknown(name)
    return prop


def list_(call: ApiCall, kind: Kind) -> Reply:
    """All definitions at once; this endpoint never pages."""
    archived, sensitivity = call.flag("archived"), call.text("dataSensitivity", "non_sensitive")
    found = call.table(kind).definitions.values()
    return Reply(
        200,
        {"results": [p.as_json() for p in found if p.archived == archived and p.sensitivity == sensitivity]},
    )


def get(call: ApiCall, kind: Kind, name: str) -> Reply:
    return Reply(200, _known(call, kind, name).as_json())


def create(call: ApiCall, kind: Kind) -> Reply:
    prop = define(call.table(kind), call.json(), call.act)
    root = f"/crm/properties/{call.version}" if call.dated else "/crm/v3/properties"
    return Reply(201, prop.as_json(), {"Location": f"{root}/{kind.name}/{prop.name}"})


def update(call: ApiCall, kind: Kind, name: str) -> Reply:
    """What is left out stays; ``options`` replaces the whole list; uniqueness and sensitivity never change."""
    prop, given = _known(call, kind, name), call.json()
    if prop.hubspot_defined and set(given) - {"options"}:
        raise Refused(400, f"Property {name} is read only: HubSpot defined it")
    changes: dict[str, Any] = {
        ours: given[theirs] for theirs, ours in _PATCHED.items() if given.get(theirs) is not None
    }
    if "options" in given:
        changes["options"] = _options(given)
    changed = replace(prop, **changes, updated=iso_ms(call.act.at_ms))
    call.table(kind).definitions[name] = changed
    call.act.note("property_redefined", object=kind.name, name=name)
    return Reply(200, changed.as_json())


def _archive(call: ApiCall, kind: Kind, name: str) -> None:
    prop = _known(call, kind, name)
    if prop.hubspot_defined:
        raise Refused(400, f"Property {name} cannot be archived: HubSpot defined it")
    call.table(kind).definitions[name] = replace(prop, archived=True, updated=iso_ms(call.act.at_ms))
    call.act.note("property_archived", object=kind.name, name=name)


def archive(call: ApiCall, kind: Kind, name: str) -> Reply:
    _archive(call, kind, name)
    return Reply(204)


def batch_read(call: ApiCall, kind: Kind) -> Reply:
    names = [str(one.get("name", "")) for one in call.inputs()]
    archived = bool(call.json().get("archived", False))
    definitions = call.table(kind).definitions
    found = [name for name in names if name in definitions and definitions[name].archived == archived]
    errors = [_unknown(name).as_item(name=[name]) for name in names if name not in found]
    return batch([definitions[name].as_json() for name in found], errors, call.now)


def batch_create(call: ApiCall, kind: Kind) -> Reply:
    """Each definition for itself: those that exist are errors of a 207."""
    results, errors = [], []
    for one in call.inputs():
        try:
            results.append(define(call.table(kind), one, call.act).as_json())
        except Refused as refused:
            errors.append(refused.as_item(name=[str(one.get("name", ""))]))
    return batch(results, errors, call.now, status=201)


def batch_archive(call: ApiCall, kind: Kind) -> Reply:
    """204 whatever the names are."""
    for one in call.inputs():
        try:
            _archive(call, kind, str(one.get("name", "")))
        except Refused:
            continue
    return Reply(204)


def list_groups(call: ApiCall, kind: Kind) -> Reply:
    table = call.table(kind)
    return Reply(200, {"results": [_group_json(table, name) for name in table.groups]})


def get_group(call: ApiCall, kind: Kind, name: str) -> Reply:
    return Reply(200, _group_json(call.table(kind), name))


def create_group(call: ApiCall, kind: Kind) -> Reply:
    return Reply(201, define_group(call.table(kind), call.json(), call.act))


def update_group(call: ApiCall, kind: Kind, name: str) -> Reply:
    table = call.table(kind)
    _group_json(table, name)
    table.groups[name] = str(call.json().get("label") or table.groups[name])
    return Reply(200, _group_json(table, name))


def archive_group(call: ApiCall, kind: Kind, name: str) -> Reply:
    """Refused while the group has active properties."""
    table = call.table(kind)
    _group_json(table, name)
    if any(p.group == name and not p.archived for p in table.definitions.values()):
        raise Refused(400, f"Group {name} cannot be archived: it has active properties")
    del table.groups[name]
    return Reply(204)


_STAGES = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"),
    ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
    ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"),
    ("closedlost", "Closed Lost", "0.0"),
)


def pipelines(_: ApiCall, kind: Kind) -> Reply:
    """The one sales pipeline; only deals have any here."""
    stamp = "2019-08-06T02:41:08.204Z"
    common = {"archived": False, "createdAt": stamp, "updatedAt": stamp}
    stages = [
        {
            "id": value,
            "label": label,
            "displayOrder": n,
            "metadata": {"isClosed": str(value.startswith("closed")).lower(), "probability": probability},
            **common,
        }
        for n, (value, label, probability) in enumerate(_STAGES)
    ]
    results = [{"id": "default", "label": "Sales Pipeline", "displayOrder": 0, "stages": stages, **common}]
    return Reply(200, {"results": results if kind.name == "deals" else []})
