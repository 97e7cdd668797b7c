"""The properties leadbridge needs on contacts: what is missing, and its creation (vendors/hubspot.md section 8.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from connectors.base import PropertySpec
from connectors.hubspot.auth import Api
from connectors.hubspot.mapping import Fields
from connectors.hubspot.wire import VENDOR, Listing, Refused, Shape, row
from leadbridge.errors import NeedsOperator

GROUP = "leadbridge"

_TYPES = {
    "number": ("number", "number"),
    "text": ("string", "text"),
    "choice": ("enumeration", "select"),
    "date": ("date", "date"),
}
"""Our kind to HubSpot's type and field type."""


class Option(Shape):
    value: str


class Definition(Shape):
    """A property as HubSpot defines it."""

    name: str
    type: str
    options: list[dict[str, Any]] = Field(default_factory=list)

    def lacks(self, spec: PropertySpec) -> list[str]:
        """Options of the spec that the property does not have."""
        held = {str(option.get("value")) for option in self.options}
        return [one for one in spec.options if one not in held] if spec.kind == "choice" else []


class Named(Shape):
    name: str


class Properties:
    """The contact properties of one account."""

    def __init__(self, api: Api, fields: Fields) -> None:
        self._api = api
        self._fields = fields

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Specs without a property, or whose property lacks one of the options.

        Raises NeedsOperator when a property of that name has another type: its type never changes.
        """
        known = self._known(specs)
        return [spec for spec in specs if spec.name not in known or known[spec.name].lacks(spec)]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        """Create what is missing, the group first. A property that is there is left alone but for missing options."""
        known = self._known(specs)
        new = [spec for spec in specs if spec.name not in known]
        if new:
            self._need_group()
        for spec in new:
            self._unless_there("properties.create", self._definition(spec))
        for spec in specs:
            if spec.name in known and (lacking := known[spec.name].lacks(spec)):
                # `options` replaces the whole list, so what is there is sent along.
                held = known[spec.name].options
                options = [*held, *(_option(one, len(held) + n) for n, one in enumerate(lacking))]
                self._api.ask("properties.update", Named, arguments={"name": spec.name}, body={"options": options})

    def _known(self, specs: Sequence[PropertySpec]) -> dict[str, Definition]:
        """The account's definitions of these names, their types checked."""
        if not specs:
            return {}
        listing = self._api.ask("properties.list", Listing)
        wanted = {spec.name: spec for spec in specs}
        found = {
            definition.name: definition
            for raw in listing.results
            if raw.get("name") in wanted and (definition := row(Definition, raw)) is not None
        }
        wrong = [
            f"{name} is a {found[name].type} property, a {_TYPES[spec.kind][0]} one is needed"
            for name, spec in wanted.items()
            if name in found and found[name].type != _TYPES[spec.kind][0]
        ]
        if wrong:
            cure = "name another property under write_back, or delete this one in HubSpot"
            raise NeedsOperator(VENDOR, "properties.list", f"{'; '.join(wrong)}. {cure}")
        return found

    def _need_group(self) -> None:
        listing = self._api.ask("groups.list", Listing)
        if not any(raw.get("name") == GROUP for raw in listing.results):
            self._unless_there("groups.create", {"name": GROUP, "label": "Leadbridge", "displayOrder": -1})

    def _unless_there(self, operation: str, body: Mapping[str, Any]) -> None:
        try:
            self._api.ask(operation, Named, body=body)
        except Refused as refused:
            if refused.status != 409:  # somebody was faster, or an earlier try arrived after all
                raise

    def _definition(self, spec: PropertySpec) -> dict[str, Any]:
        value_type, field_type = _TYPES[spec.kind]
        if self._fields.is_long_text(spec.name):
            field_type = "textarea"
        definition: dict[str, Any] = {
            "groupName": GROUP,
            "name": spec.name,
            "label": spec.label,
            "type": value_type,
            "fieldType": field_type,
            "description": spec.description,
            "displayOrder": -1,
            "hidden": False,
            "formField": False,
            "hasUniqueValue": False,
        }
        if spec.kind == "choice":
            definition["options"] = [_option(one, n) for n, one in enumerate(spec.options)]
        return definition


def _option(value: str, place: int) -> dict[str, Any]:
    return {"label": value, "value": value, "displayOrder": place, "hidden": False}
