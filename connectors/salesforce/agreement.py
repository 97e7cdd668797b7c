"""Do the configuration and the org agree? Asked of describe, before anything is read or written (vendor page, 5.4)."""

from collections.abc import Iterator, Mapping, Sequence

from connectors.salesforce.activities import SOURCES
from connectors.salesforce.auth import Api
from connectors.salesforce.describe import CHECKBOX, FieldInfo, Objects
from connectors.salesforce.mapping import LEAD, OWNER, Fields, Place
from leadbridge.config.conditions import values_of
from leadbridge.config.connections import SalesforceConnection
from leadbridge.config.schema import Config, conditions_of
from leadbridge.errors import Fault, FeatureMissing

_NUMBERS = frozenset({"int", "double", "currency", "percent"})
_FITTING: Mapping[str, frozenset[str]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"date", "datetime"}),
    "datetime": frozenset({"date", "datetime"}),
}
"""Types of fields that a field of ours can be read from."""

_COMPOUND = frozenset({"address", "location"})
_HIDDEN = "is not there, or hidden from leadbridge's user"
_CURE = "check its API name, or let the user read it by field-level security"


class Agreement:
    """Compares one configuration with its org."""

    def __init__(
        self, api: Api, objects: Objects, fields: Fields, connection: SalesforceConnection, config: Config
    ) -> None:
        self._api = api
        self._objects = objects
        self._fields = fields
        self._connection = connection
        self._config = config

    def faults(self) -> list[Fault]:
        """See `Crm.faults`."""
        self._objects.forget()
        if version := list(self._version()):
            return version  # nothing else can be asked
        return [*self._consent(), *self._mapped(), *self._stages(), *self._sources()]

    def _version(self) -> Iterator[Fault]:
        wanted = self._connection.api_version
        served = self._api.versions()
        if wanted not in served:
            newest = served[-1] if served else "unknown"
            yield _fault("api_version", f"{wanted} is not served by this org", f"its newest is {newest}")

    def _consent(self) -> Iterator[Fault]:
        for kind in self._fields.objects:
            box = self._objects.fields(kind).get(self._fields.opt_out.lower())
            if box is None:
                cure = "until it is visible nobody is read, because nobody's consent is known; let the user read it"
                yield _fault("opt_out", f"{kind}.{self._fields.opt_out} {_HIDDEN}", cure)
            elif box.type != CHECKBOX:
                cure = "until it is one nobody is read, because nobody's consent is known; name a checkbox"
                yield _fault("opt_out", f"{kind}.{self._fields.opt_out} is no checkbox but of type {box.type}", cure)

    def _mapped(self) -> Iterator[Fault]:
        """Fields of ours whose places are not there, of another type, or asked for values they cannot have."""
        for name, (mapping, places) in self._fields.mapped.items():
            where = f"fields.{name}.salesforce"
            found = [(place, kind, self._find(place, kind)) for place in places for kind in self._homes(place)]
            for place in places:
                if not any(known for one, _, known in found if one is place):
                    kinds = " and ".join(dict.fromkeys(kind for one, kind, _ in found if one is place))
                    problem = f"{place.name} of {kinds} {_HIDDEN}" if kinds else f"no {place.of} is read"
                    yield Fault(0, where, problem, _CURE)
            for _, kind, known in found:
                if known is None:
                    continue
                if known.type in _COMPOUND:
                    yield Fault(
                        0, where, f"{kind}.{known.name} is a compound of several fields", "name one of its parts"
                    )
                elif not _fits(mapping.type, known.type):
                    problem = f"{kind}.{known.name} is a {known.type} field, and cannot be read as {mapping.type}"
                    yield Fault(0, where, problem, "change type, or name another field")
            if mapping.hubspot is None:  # values of a rule may be another CRM's words
                yield from self._values(name, [known for _, _, known in found if known is not None])

    def _values(self, name: str, known: Sequence[FieldInfo]) -> Iterator[Fault]:
        """Values of conditions that none of the picklists has: such a condition never holds."""
        if not known or any(one.type not in ("picklist", "multipicklist") for one in known):
            return
        offered = {choice.value.casefold() for one in known for choice in one.choices if choice.active}
        for path, condition, _ in conditions_of(self._config):
            for value in values_of(condition, name):
                if value.strip().casefold() not in offered:
                    shown = ", ".join(sorted({choice.value for one in known for choice in one.choices})[:20])
                    where = ".".join(str(part) for part in path)
                    yield Fault(0, where, f"{value!r} is no value of the picklist {known[0].name}", f"it has: {shown}")

    def _stages(self) -> Iterator[Fault]:
        if not self._connection.lead_stages or LEAD not in self._fields.objects:
            return
        status = self._objects.fields(LEAD).get("status")
        offered = {choice.value for choice in status.choices} if status else set()
        for value in self._connection.lead_stages:
            if offered and value not in offered:
                shown = ", ".join(sorted(offered))
                yield _fault("lead_stages", f"{value!r} is no Status of leads", f"there is: {shown}")

    def _sources(self) -> Iterator[Fault]:
        for stream in dict.fromkeys(self._connection.activities):
            kind = SOURCES[stream].kind
            try:
                self._objects.fields(kind, optional=True)
            except FeatureMissing:
                cure = f"let the user read {kind}, or take {stream} out"
                yield _fault("activities", f"{stream} cannot be read: {kind} {_HIDDEN}", cure)

    def _homes(self, place: Place) -> list[str]:
        """Objects at which a place is looked for."""
        if place.of is None:
            return list(self._fields.objects)
        return [place.of] if place.of not in ("Lead", "Contact") or place.of in self._fields.objects else []

    def _find(self, place: Place, kind: str) -> FieldInfo | None:
        if kind == "Owner":
            return OWNER.get(place.name.lower())
        try:
            return self._objects.fields(kind, optional=True).get(place.name.lower())
        except FeatureMissing:
            return None


def _fits(ours: str, theirs: str) -> bool:
    """Can a field of this type be read as ours? Texts may hold anything, and are let pass."""
    typed = theirs in {"boolean", "date", "datetime", *_NUMBERS}
    return ours not in _FITTING or not typed or theirs in _FITTING[ours]


def _fault(key: str, problem: str, cure: str) -> Fault:
    return Fault(0, f"connections.salesforce.{key}", problem, cure)
