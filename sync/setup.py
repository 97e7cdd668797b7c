"""What the accounts lack, and its creation: shown first, then made; repeating changes nothing."""

from dataclasses import asdict, dataclass
from typing import Any

from connectors.base import ByHand, PropertySpec
from leadbridge.errors import Fault
from sync import accounts
from sync.wiring import Parts


@dataclass(frozen=True, slots=True)
class Missing:
    """One property an account lacks."""

    vendor: str
    spec: PropertySpec

    def as_dict(self) -> dict[str, Any]:
        return {"vendor": self.vendor, "property": self.spec.name, "kind": self.spec.kind, "label": self.spec.label}


def plan(parts: Parts) -> list[Missing]:
    """Every property the configuration writes that its account does not have. Reads only."""
    return [Missing(room.vendor, spec) for room in parts.rooms for spec in room.missing(room.specs())]


@dataclass(frozen=True, slots=True)
class Chore:
    """What a person has to set up at one vendor."""

    vendor: str
    what: ByHand

    def as_dict(self) -> dict[str, Any]:
        return {"vendor": self.vendor, **asdict(self.what)}


def by_hand(parts: Parts) -> list[Chore]:
    """What no API lets leadbridge set up, whether it was done already or not. Asks nobody."""
    return [Chore(room.vendor, one) for room in parts.rooms for one in room.by_hand()]


def faults(parts: Parts) -> list[Fault]:
    """Where the accounts and the configuration do not agree, each with its cure. Reads only."""
    return [fault for room in parts.rooms for fault in room.faults()]


def apply(parts: Parts) -> list[Missing]:
    """Create what `plan` shows, and return it."""
    accounts.confirm(parts.store, parts.rooms)
    missing = plan(parts)
    for room in parts.rooms:
        if specs := [line.spec for line in missing if line.vendor == room.vendor]:
            room.create(specs)
    return missing
