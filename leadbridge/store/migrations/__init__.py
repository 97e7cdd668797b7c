"""How the tables came to be: one dated file per change, run by Alembic, packaged with the code.

Every migration of one run shares one transaction, so that a killed upgrade leaves the store as it was (G31). There is
no way down: the way back is the backup made before.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from leadbridge.errors import StoreError
from leadbridge.store.vault import Vault

HEAD = "20261128_56"
"""Revision of this version of the code; written out, since asking Alembic takes longer than opening the store."""

_STAMP = sa.table("alembic_version", sa.column("version_num", sa.Text))
_FACTS = sa.table("facts", sa.column("name", sa.Text), sa.column("value", sa.Text))
_KEY_CHECK = "key check"
_DIGEST_KEY = "digest key"


def upgrade(tx: Connection, to: str = HEAD) -> None:
    """Run what is missing up to this revision. Raises StoreError for a store that a newer leadbridge has changed."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    if stamp(tx) == to:
        return
    config = Config(attributes={"connection": tx})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise StoreError(
            f"the store was made by another leadbridge, most likely a newer one (tables of {stamp(tx)}; this one knows "
            f"them up to {HEAD}): update leadbridge, or restore a backup from before into a new store"
        ) from error


def stamp(tx: Connection) -> str | None:
    """Revision of the tables; None when there are none yet."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(sa.select(_STAMP.c.version_num)).scalar()


def claim_key(tx: Connection, vault: Vault) -> None:
    """Note which key this store belongs to, once. Raises StoreError when it belongs to another."""
    if _fact(tx, _KEY_CHECK) is None:
        tx.execute(_FACTS.insert().values(name=_KEY_CHECK, value=vault.digest(_KEY_CHECK)))
    _check_key(tx, vault)


def check(tx: Connection, vault: Vault, where: str) -> None:
    """Raise StoreError unless the tables are of this version and the key is theirs."""
    found = stamp(tx)
    if found is None:
        raise StoreError(f"the store {where} has no tables yet; run: leadbridge migrate")
    if found != HEAD:
        older = found < HEAD  # revisions are dates
        cure = "run: leadbridge migrate" if older else "install the leadbridge it was made with, or a newer one"
        raise StoreError(f"the store {where} has tables of {found}, this leadbridge needs {HEAD}; {cure}")
    _check_key(tx, vault)


def keep_digest_key(tx: Connection, vault: Vault) -> None:
    """Keep the key of the digests, sealed under the newest key: from here on the old one may go (`store.rotation`)."""
    tx.execute(_FACTS.delete().where(_FACTS.c.name == _DIGEST_KEY))
    tx.execute(_FACTS.insert().values(name=_DIGEST_KEY, value=vault.sealed_digest_key().hex()))


def _fact(tx: Connection, name: str) -> str | None:
    return tx.execute(sa.select(_FACTS.c.value).where(_FACTS.c.name == name)).scalar()


def _check_key(tx: Connection, vault: Vault) -> None:
    sealed, noted = _fact(tx, _DIGEST_KEY), _fact(tx, _KEY_CHECK)
    fits = noted is not None
    if sealed is not None:
        try:
            vault.take_digest_key(bytes.fromhex(sealed))
        except StoreError:
            fits = False
    if not fits or not vault.find_digest_key(_KEY_CHECK, noted or ""):
        raise StoreError(
            "the key does not belong to this store: with it no suppression would be recognised, so nothing is opened; "
            "give the key the store was made with (LEADBRIDGE_KEY, or its key file)"
        )
