"""What an object has, as our user sees it (vendors/salesforce.md, section 5.4).

A field that is not described does not exist or is hidden by field security: nobody but a set-up user can tell which.
"""

import threading
from collections.abc import Mapping

from pydantic import Field, ValidationError

from connectors.salesforce.auth import Api
from connectors.salesforce.wire import OPTIONAL, Shape, shaped

KEPT = 3600.0
"""Seconds a description is believed; it is dropped at once when a field turns out to be gone."""


CHECKBOX = "boolean"
"""The type of a checkbox."""


class Choice(Shape):
    value: str = ""
    active: bool = True


class FieldInfo(Shape):
    """A field, as far as it matters to us."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    updateable: bool = False
    calculated: bool = False
    restricted: bool = Field(False, alias="restrictedPicklist")
    choices: list[Choice] = Field(default_factory=list, alias="picklistValues")
    relationship: str | None = Field(None, alias="relationshipName")


class _Described(Shape):
    name: str
    fields: list[dict[str, object]]
    replicates: bool = Field(False, alias="replicateable")


class Objects:
    """The objects of one org. Thread-safe."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, _Described, dict[str, FieldInfo]]] = {}

    def fields(self, kind: str, *, optional: bool = False) -> Mapping[str, FieldInfo]:
        """The fields of an object by their name in lower case, which Salesforce does not mind.

        Raises FeatureMissing instead of refusing when `optional` and the org or the user lacks the object.
        """
        return self._described(kind, optional)[2]

    def has_person_accounts(self) -> bool:
        """May an account of this org be a person, with a contact of its own?"""
        return "ispersonaccount" in self.fields("Contact")

    def replicates(self, kind: str) -> bool:
        """Does the object have change feeds?"""
        return self._described(kind, optional=True)[1].replicates

    def forget(self) -> None:
        """Believe no description any more."""
        with self._lock:
            self._known.clear()

    def _described(self, kind: str, optional: bool) -> tuple[float, _Described, dict[str, FieldInfo]]:
        now = self._api.pace.ticks()
        with self._lock:
            known = self._known.get(kind)
        if known is not None and now - known[0] < KEPT:
            return known
        operation = f"{OPTIONAL if optional else ''}describe.{kind}"
        described = self._api.ask(
            operation,
            lambda library: library.restful(f"sobjects/{kind}/describe"),
            lambda answer: shaped(_Described, answer),
        )
        fields = {one.name.lower(): one for raw in described.fields if (one := _field(raw)) is not None}
        with self._lock:
            self._known[kind] = (now, described, fields)
            return self._known[kind]


def _field(raw: Mapping[str, object]) -> FieldInfo | None:
    try:
        return FieldInfo.model_validate(raw)
    except ValidationError:
        return None
