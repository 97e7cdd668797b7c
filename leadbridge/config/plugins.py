"""Systems that other packages connect: their place in the file, and the sections they define for it.

A package offers a CRM or an e-mail platform as an entry point of the group `leadbridge.connectors`. The object named
there is the room's class; its attribute `Connection`, a subclass of `PluginConnection`, says which keys
`connections.plugins.NAME` takes, and so faults in it are told with their line like any other.
"""

from importlib.metadata import entry_points
from typing import Any

from pydantic import ConfigDict

from leadbridge.config.kinds import Section

GROUP = "leadbridge.connectors"


class PluginConnection(Section):
    """What another package connects with; its keys are that package's own."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})


def offered() -> list[str]:
    """Names of the systems that installed packages offer."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load(name: str) -> Any:
    """What an installed package offers under this name; None when none does. Imports the package."""
    return next((point.load() for point in entry_points(group=GROUP, name=name)), None)


def section_of(name: str) -> type[PluginConnection] | None:
    """The keys of `connections.plugins.NAME`; None when no installed package offers the name with a `Connection`."""
    found = getattr(load(name), "Connection", None)
    return found if isinstance(found, type) and issubclass(found, PluginConnection) else None
