"""Rooms for a dry run: they read, and refuse everything else (reliability G24)."""

from typing import Any, TypeVar, cast

from connectors.base import Crm, EmailPlatform
from leadbridge.errors import LeadbridgeError

Room = TypeVar("Room", Crm, EmailPlatform)

READS = frozenset(
    """
    vendor people write_batch read_batch bulk_above account pull_leads read_leads streams pull_activities changes
    missing specs counted people_behind topic listen log pull_told faults by_hand read_tasks day count
    read_members repeatable entered can_leave pull_opt_outs read_activities shows
    """.split()  # noqa: SIM905 - as words they can be read
)
"""What a room only reads, or works out by itself. What is not listed here may change something at the vendor."""


class DryRunError(LeadbridgeError):
    """Something was to be changed at a vendor during a dry run. It was not."""


def read_only(room: Room) -> Room:
    """The same room without the means to change anything at the vendor: raises DryRunError instead."""
    return cast("Room", _ReadOnly(room))


class _ReadOnly:
    def __init__(self, room: Crm | EmailPlatform) -> None:
        self._room = room

    def __getattr__(self, name: str) -> Any:
        if name not in READS:
            raise DryRunError(f"a dry run changes nothing: {self._room.vendor}.{name} was not called")
        return getattr(self._room, name)
