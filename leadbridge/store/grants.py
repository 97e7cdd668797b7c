"""Access tokens of vendors and their refresh tokens, sealed (reliability pattern 15, G26)."""

import json
from datetime import datetime

from sqlalchemy import Connection, select

from leadbridge.store.rows import upsert
from leadbridge.store.tables import grants
from leadbridge.store.vault import Vault


def read(tx: Connection, vault: Vault, name: str) -> dict[str, str] | None:
    """What is kept under this name. Raises StoreError when it was sealed under another key."""
    sealed = tx.execute(select(grants.c.sealed).where(grants.c.name == name)).scalar()
    if sealed is None:
        return None
    found: dict[str, str] = json.loads(vault.open(sealed, place(name)))
    return found


def keep(tx: Connection, vault: Vault, name: str, values: dict[str, str], now: datetime) -> None:
    """Keep these under the name, in place of what was there."""
    sealed = vault.seal(json.dumps(values).encode(), place(name))
    upsert(
        tx,
        grants,
        [{"name": name, "sealed": sealed, "changed_at": now}],
        key=["name"],
        change=lambda new: {"sealed": new.sealed, "changed_at": new.changed_at},
    )


def place(name: str) -> str:
    """What binds a sealed grant to its row."""
    return f"grants:{name}"
