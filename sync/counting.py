"""Adding up what several turns of one step did."""

from dataclasses import fields
from typing import Any


def add(total: Any, more: Any) -> None:
    """Count what another turn did to what those before it did. Both are of one dataclass, whose fields can be added."""
    for one in fields(total):
        setattr(total, one.name, getattr(total, one.name) + getattr(more, one.name))
