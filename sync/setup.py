"""What the accounts lack, and its creation: shown first, then made; repeating changes nothing."""

from dataclasses import dataclass
from typing import Any

from connectors.base import PropertySpec
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
