"""Do the configuration and the account agree? Asked of the property definitions and of the token's scopes
(vendors/hubspot.md sections 3.2 and 8.1).
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from connectors.hubspot.activities import EMAIL, FORMS, LISTS
from connectors.hubspot.auth import Api
from connectors.hubspot.engagements import DEALS, TICKETS
from connectors.hubspot.mapping import COMPANY, LIFECYCLE, Fields
from connectors.hubspot.streams import ListRow, Streams
from connectors.hubspot.wire import Listing, Shape, row
from leadbridge.config.schema import Config
from leadbridge.config.wording import did_you_mean
from leadbridge.errors import Fault, FeatureMissing

_DATES = frozenset({"date", "datetime"})
_FITTING: Mapping[str, frozenset[str]] = {
    "integer": frozenset({"number", "string", "enumeration"}),  # contacts keep some numbers as text (section 8.3)
    "number": frozenset({"number", "string", "enumeration"}),
    "boolean": frozenset({"bool", "enumeration"}),
    "date": _DATES,
    "datetime": _DATES,
}
"""Types of properties that a field of ours can be read from; a text can be read from all."""

_READ, _WRITE = "crm.objects.contacts.read", "crm.objects.contacts.write"
_COMPANIES = "crm.objects.companies.read"
_OF_SOURCES = {
    FORMS: ("forms",),
    EMAIL: ("content",),
    LISTS: ("crm.lists.read",),
    DEALS: ("crm.objects.deals.read",),
    TICKETS: ("tickets", "crm.objects.tickets.read"),
}
"""Scopes of which one opens a source; the others come with contacts (section 3.2)."""


class Rights(Shape):
    read_only: bool = Field(False, alias="readOnlyValue")


class Known(Shape):
    """A property as far as it can disagree."""

    name: str
    type: str = ""
    calculated: bool = False
    rights: Rights = Field(Rights(), alias="modificationMetadata")


class Agreement:
    """Compares one configuration with its account."""

    def __init__(self, api: Api, fields: Fields, streams: Streams, lists: Sequence[str], config: Config) -> None:
        self._api = api
        self._fields = fields
        self._streams = streams
        self._lists = lists
        self._config = config

    def faults(self) -> list[Fault]:
        """See `Crm.faults`."""
        contacts = self._known("properties.list")
        companies = self._known("properties.companies") if self._fields.company_properties else {}
        return [
            *self._scopes(),
            *self._mapped(contacts, companies),
            *self._written(contacts),
            *self._named_lists(),
        ]

    def _scopes(self) -> Iterator[Fault]:
        """What the token may not do although the file wants it; the tier is no matter of the token."""
        granted = self._api.scopes()
        if granted is None:
            return
        wanted = [(_READ, "fields", "contacts cannot be read")]
        if self._fields.targets:
            wanted.append((_WRITE, "write_back", "nothing can be written back"))
        if self._fields.company_properties:
            wanted.append((_COMPANIES, "fields", "what fields read of companies cannot be read"))
        for scope, where, problem in wanted:
            if scope not in granted:
                yield Fault(0, where, f"the token lacks the scope {scope}: {problem}", "grant it in HubSpot")
        for source in self._streams.sources:
            scopes = _OF_SOURCES.get(source, ())
            if scopes and not granted & set(scopes):
                problem = f"the token lacks the scope {' or '.join(scopes)}: {source} cannot be read"
                yield Fault(0, "connections.hubspot.activities", problem, f"grant it in HubSpot, or leave out {source}")

    def _known(self, operation: str) -> dict[str, Known]:
        listing = self._api.ask(operation, Listing)
        return {one.name: one for raw in listing.results if (one := row(Known, raw)) is not None}

    def _mapped(self, contacts: Mapping[str, Known], companies: Mapping[str, Known]) -> Iterator[Fault]:
        for name, mapping in self._config.fields.items():
            if mapping.hubspot is None:
                continue
            of_company = mapping.hubspot.startswith(COMPANY)
            known, prefix = (companies, COMPANY) if of_company else (contacts, "")
            place = mapping.hubspot.removeprefix(prefix)
            where, whose = f"fields.{name}.hubspot", "companies" if of_company else "contacts"
            found = known.get(place)
            if found is None:
                cure = did_you_mean(place, known) or "check its internal name under Settings, Properties"
                yield Fault(0, where, f"{whose} have no property {place}", cure)
            elif mapping.type in _FITTING and found.type not in _FITTING[mapping.type]:
                problem = f"{place} of {whose} is a {found.type} property, and cannot be read as {mapping.type}"
                yield Fault(0, where, problem, "change type, or name another property")

    def _written(self, contacts: Mapping[str, Known]) -> Iterator[Fault]:
        """Properties that are there but take no value of ours. What is not there is told by `missing`."""
        for ours, target in self._fields.targets.items():
            found = contacts.get(target.name)
            if found is not None and target.name != LIFECYCLE and (found.calculated or found.rights.read_only):
                problem = f"{target.name} is read-only in HubSpot"
                yield Fault(0, f"write_back.{ours}.hubspot", problem, "name a property that leadbridge may create")

    def _named_lists(self) -> Iterator[Fault]:
        if not self._lists:
            return
        try:
            rows: list[ListRow] = self._streams.lists_of_contacts()
        except FeatureMissing as missing:
            yield Fault(0, "connections.hubspot.lists", "lists cannot be read", missing.problem)
            return
        names = {one.name.casefold(): one.name for one in rows}
        for wanted in self._lists:
            if wanted.casefold() not in names and wanted not in {one.id for one in rows}:
                cure = did_you_mean(wanted, names.values()) or "name it as HubSpot does, or give its id"
                yield Fault(0, "connections.hubspot.lists", f"there is no list of contacts {wanted!r}", cure)
