"""Which vendor accounts this store belongs to. A store is about one account of each vendor, for good.

A wrong token would otherwise write one company's scores into another company's records (vendors/hubspot.md section 3).
"""

from collections.abc import Sequence

from connectors.base import Crm, EmailPlatform
from leadbridge import clock
from leadbridge.errors import NeedsOperator
from leadbridge.store import watermarks
from leadbridge.store.engine import Store

ACCOUNT = "account"


def confirm(store: Store, rooms: Sequence[Crm | EmailPlatform]) -> None:
    """Ask each vendor whose account this is; the first answer is kept, another one later raises NeedsOperator."""
    for room in rooms:
        answer = room.account()
        known = pinned(store, room.vendor)
        if known is None:
            with store.writing() as tx:
                watermarks.save_progress(tx, room.vendor, ACCOUNT, {"id": answer}, clock.now())
        elif known != answer:
            raise NeedsOperator(
                room.vendor,
                "account",
                f"these credentials belong to account {answer}, but the store is about account {known}; "
                "use the right credentials, or a new store for the other account",
            )


def pinned(store: Store, vendor: str) -> str | None:
    """The vendor's account this store is about; None before the first contact."""
    with store.reading() as tx:
        found = watermarks.progress(tx, vendor, ACCOUNT)
    return found["id"] if found else None
