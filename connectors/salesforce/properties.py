"""The fields leadbridge needs: what is missing, its creation, and who may see it (vendors/salesforce.md, section 5).

A field made by API is visible to nobody, its maker included, until a permission set says otherwise. So a field that
our user cannot edit is missing too, and creating is: make it where it is not, then let our user see and edit it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import PropertySpec
from connectors.salesforce.auth import WRITES, Api
from connectors.salesforce.describe import FieldInfo, Objects
from connectors.salesforce.mapping import LONGEST_REASONS, LONGEST_TEXT, Fields
from connectors.salesforce.soql import Where, select
from connectors.salesforce.wire import VENDOR, QueryAnswer, Refused, Saved, shaped
from leadbridge.errors import NeedsOperator

PERMISSION_SET = "Leadbridge"

_TYPES = {
    "number": {"double", "currency", "percent", "int"},
    "text": {"string", "textarea", "picklist", "combobox"},
    "choice": {"picklist", "string", "combobox", "textarea"},
}
"""Our kind to the types of fields that can hold it."""

_THERE = {"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"}
_NOT_ALLOWED = {
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
}


class Properties:
    """The custom fields of leads and contacts."""

    def __init__(self, api: Api, objects: Objects, fields: Fields) -> None:
        self._api = api
        self._objects = objects
        self._fields = fields

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Specs without a field our user may edit, on any of the objects.

        Raises NeedsOperator when a field of that name cannot hold our value.
        """
        lacking = self._lacking(specs)
        return [spec for spec in specs if any(spec.name == name for _, name in lacking)]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        """Create what is missing, alike on every object, and let our user edit it. Repeating changes nothing."""
        lacking = self._lacking(specs)
        if not lacking:
            return
        by_name = {spec.name: spec for spec in specs}
        for kind, name in lacking:
            body = {"FullName": f"{kind}.{name}", "Metadata": self._definition(by_name[name])}
            self._make("tooling/sobjects/CustomField", body)
        permission_set = self._permission_set()
        for kind, name in lacking:
            self._permit(permission_set, kind, name)
        assignee = {"PermissionSetId": permission_set, "AssigneeId": self._api.grant().user}
        self._make("sobjects/PermissionSetAssignment", assignee)
        self._objects.forget()

    def _lacking(self, specs: Sequence[PropertySpec]) -> list[tuple[str, str]]:
        """Object and name of each field that is not there, or not ours to edit."""
        found: list[tuple[str, str]] = []
        wrong: list[str] = []
        self._objects.forget()
        for kind in self._fields.objects if specs else ():
            fields = self._objects.fields(kind)
            for spec in specs:
                field = fields.get(spec.name.lower())
                if field is not None and (fault := _unfit(field, spec)):
                    wrong.append(f"{kind}.{spec.name} {fault}")
                elif field is None or not field.updateable:
                    found.append((kind, spec.name))
        if wrong:
            cure = "name another field under write_back, or change this one in Salesforce"
            raise NeedsOperator(VENDOR, "describe", f"{'; '.join(wrong)}. {cure}")
        return found

    def _permission_set(self) -> str:
        query = select(["Id"], "PermissionSet", Where("Name", "=", PERMISSION_SET))
        known = self._api.ask(
            "permissions.find", lambda library: library.query(query), lambda answer: shaped(QueryAnswer, answer)
        )
        if known.records:
            return str(known.records[0]["Id"])
        made = self._make("sobjects/PermissionSet", {"Name": PERMISSION_SET, "Label": PERMISSION_SET})
        return made or self._permission_set()

    def _permit(self, permission_set: str, kind: str, name: str) -> None:
        grant = {
            "ParentId": permission_set,
            "SobjectType": kind,
            "Field": f"{kind}.{name}",
            "PermissionsRead": True,
            "PermissionsEdit": True,
        }
        self._make("sobjects/FieldPermissions", grant)

    def _make(self, path: str, body: Mapping[str, Any]) -> str | None:
        """The id of what was made; None when it is there already: made before, or by an earlier try."""
        try:
            return self._api.ask(
                f"create.{path.rpartition('/')[2]}",
                lambda library: library.restful(path, method="POST", json=body),
                lambda answer: shaped(Saved, answer),
                spend=WRITES,
            ).id
        except Refused as refused:
            if refused.codes & _THERE:
                return None
            if not refused.codes & _NOT_ALLOWED:
                raise
            problem = refused.problem
        cure = "run `leadbridge apply` with a user who may customize the application and modify metadata"
        raise NeedsOperator(VENDOR, path, f"our user may not make {body.get('FullName') or path}: {problem}; {cure}")

    def _definition(self, spec: PropertySpec) -> dict[str, Any]:
        common = {"label": spec.label[:40], "description": spec.description, "required": False, "trackHistory": False}
        if spec.kind == "number":
            return {**common, "type": "Number", "precision": 9, "scale": 2}
        if self._fields.is_long_text(spec.name):
            return {**common, "type": "LongTextArea", "length": LONGEST_REASONS, "visibleLines": 6}
        if spec.kind == "choice":
            values = [{"fullName": one, "default": False, "label": one} for one in spec.options]
            definition = {"sorted": False, "value": values}
            return {**common, "type": "Picklist", "valueSet": {"restricted": False, "valueSetDefinition": definition}}
        return {**common, "type": "Text", "length": LONGEST_TEXT}


def _unfit(field: FieldInfo, spec: PropertySpec) -> str:
    """Why a field cannot hold our value; "" when it can."""
    if field.calculated:
        return "is a formula, which nobody can write"
    if field.type not in _TYPES[spec.kind]:
        return f"is a {field.type} field, a {spec.kind} one is needed"
    allowed = {choice.value for choice in field.choices if choice.active}
    lacking = [one for one in spec.options if one not in allowed]
    if field.type == "picklist" and field.restricted and lacking:
        return f"is a restricted picklist without {', '.join(lacking)}"
    return ""
