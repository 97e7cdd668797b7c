"""The kinds of record HubSpot keeps and how they may be associated (vendor page, sections 2, 5.1 and 7)."""

from dataclasses import dataclass

from leadbridge.sandbox.hubspot.answers import Refused


@dataclass(frozen=True, slots=True)
class Kind:
    """One CRM object type: its names, ids, automatic properties and the scope that opens it."""

    name: str  # "contacts"
    singular: str  # "contact"
    type_id: str  # "0-1"
    first_id: int  # crosses a change of length early, so that ids compared as text go wrong in a test
    defaults: tuple[str, ...]
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"
    scope: str = "contacts"  # activities are opened by the contact scopes (section 3.2)

    @property
    def automatic(self) -> tuple[str, ...]:
        """Properties every answer carries, requested or not."""
        return (self.created, "hs_object_id", self.modified)


_ACTIVITY = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")
_ALL = (
    Kind(
        "contacts",
        "contact",
        "0-1",
        951,
        ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
        "createdate",
        "lastmodifieddate",
    ),
    Kind(
        "companies",
        "company",
        "0-2",
        9_000_000_951,
        ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
        "createdate",
        scope="companies",
    ),
    Kind(
        "deals",
        "deal",
        "0-3",
        18_000_000_951,
        (
            "amount",
            "closedate",
            "createdate",
            "dealname",
            "dealstage",
            "hs_lastmodifieddate",
            "hs_object_id",
            "pipeline",
        ),
        "createdate",
        scope="deals",
    ),
    Kind(
        "tickets",
        "ticket",
        "0-5",
        27_951,
        ("createdate", "hs_lastmodifieddate", "hs_object_id", "hs_pipeline", "hs_pipeline_stage", "subject"),
        "createdate",
        scope="tickets",
    ),
    Kind("communications", "communication", "0-18", 21_951, _ACTIVITY),
    Kind("tasks", "task", "0-27", 22_951, _ACTIVITY),
    Kind("notes", "note", "0-46", 23_951, _ACTIVITY),
    Kind("meetings", "meeting", "0-47", 24_951, _ACTIVITY),
    Kind("calls", "call", "0-48", 25_951, _ACTIVITY),
    Kind("emails", "email", "0-49", 26_951, _ACTIVITY),
)
KINDS = {kind.name: kind for kind in _ALL}
_NAMES = {name: kind for kind in _ALL for name in (kind.name, kind.singular, kind.type_id)}


def kind_of(word: str) -> Kind:
    """The kind a caller means: singular or plural, any case, or the type id; otherwise 400 without a category."""
    kind = _NAMES.get(word.lower())
    if kind is None:
        raise Refused(400, f"Unable to infer object type from: {word}", category=None)
    return kind


@dataclass(frozen=True, slots=True)
class Link:
    """The type ids of one direction of an association; ``primary`` exists only where HubSpot has primaries."""

    default: int
    primary: int | None = None


LINKS: dict[tuple[str, str], Link] = {
    ("contacts", "companies"): Link(279, 1),
    ("companies", "contacts"): Link(280, 2),
    ("contacts", "deals"): Link(4),
    ("deals", "contacts"): Link(3),
    ("companies", "deals"): Link(342, 6),
    ("deals", "companies"): Link(341, 5),
} | {
    pair: Link(type_id)
    for activity, to_contact, to_company, to_deal in (
        ("calls", 194, 182, 206),
        ("emails", 198, 186, 210),
        ("meetings", 200, 188, 212),
        ("notes", 202, 190, 214),
        ("tasks", 204, 192, 216),
    )
    for other, type_id in (("contacts", to_contact), ("companies", to_company), ("deals", to_deal))
    # The way back has the next smaller id in HubSpot's whole table.
    for pair, type_id in (((activity, other), type_id), ((other, activity), type_id - 1))
}
LINKS |= {
    ("communications", "contacts"): Link(81),
    ("contacts", "communications"): Link(82),
    ("contacts", "tickets"): Link(15),
    ("tickets", "contacts"): Link(16),
    ("communications", "companies"): Link(87),
    ("companies", "communications"): Link(88),
}


def link_of(source: Kind, target: Kind) -> Link:
    """The association types from one kind to another; 400 where HubSpot has none."""
    link = LINKS.get((source.name, target.name))
    if link is None:
        raise Refused(400, f"No association types exist between {source.type_id} and {target.type_id}")
    return link
