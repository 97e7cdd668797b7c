"""Making custom fields by the Tooling API (vendor page, section 5.1). They stay hidden until granted (5.3)."""

import re

from leadbridge.sandbox.salesforce.answers import Refused, Reply, not_found, saved
from leadbridge.sandbox.salesforce.call import ApiCall
from leadbridge.sandbox.salesforce.fields import from_metadata
from leadbridge.sandbox.salesforce.kinds import KINDS

_NAME = re.compile(r"(\w+)\.([A-Za-z](?:_?[A-Za-z0-9])*__c)", re.ASCII)
_LONGEST_NAME = 43  # 40 and the suffix


def create_field(call: ApiCall) -> Reply:
    body = call.json()
    found = _NAME.fullmatch(str(body.get("FullName", "")))
    kind, name = found.groups() if found else ("", "")
    if kind not in KINDS or not KINDS[kind].recycles or len(name) > _LONGEST_NAME:
        raise Refused(
            400, "FIELD_INTEGRITY_EXCEPTION", f"Invalid fullName: {body.get('FullName')}", fields=["FullName"]
        )
    if name.lower() in {other.lower() for other in call.state.fields(kind)}:
        developer = name.removesuffix("__c")
        message = f"There is already a field named {developer} on {kind}."
        raise Refused(400, "DUPLICATE_DEVELOPER_NAME", message, fields=["DeveloperName"])
    metadata = body.get("Metadata")
    if not isinstance(metadata, dict):
        raise Refused(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", fields=["Metadata"])
    field_id = call.state.new_id("00N")
    try:
        field = from_metadata(name, field_id, metadata)
    except ValueError as error:
        raise Refused(400, "FIELD_INTEGRITY_EXCEPTION", str(error), fields=["Metadata"]) from None
    call.state.custom[kind][name] = field
    call.state.described_at = call.now
    call.act.note("field_defined", type=kind, field=name, id=field_id)
    return Reply(201, saved(field_id, warnings=[], infos=[]))


def delete_field(call: ApiCall, field_id: str) -> Reply:
    for kind, fields in call.state.custom.items():
        for name, field in fields.items():
            if field.custom_id == field_id:
                del fields[name]
                _forget(call, kind, name)
                call.act.note("field_deleted", type=kind, field=name, id=field_id)
                return Reply(204)
    raise not_found()


def _forget(call: ApiCall, kind: str, name: str) -> None:
    """With the field go its permissions and its values; stamps do not move."""
    state = call.state
    state.described_at = call.now
    for row in [r for r in state.live("FieldPermissions") if r.get("Field") == f"{kind}.{name}"]:
        del state.rows["FieldPermissions"][row.id]
    for row in list(state.rows[kind].values()):
        if row.get(name) is not None:
            values = {n: v for n, v in row.values.items() if n != name}
            state.rows[kind][row.id] = type(row)(row.type, row.id, values, row.deleted_at)
