"""Deliveries as they came, one row each, until they are cut into events."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import BIG_ID, EXACT_TEXT, NEVER_REUSED

revision = "20261128_11"
down_revision = "20261128_10"


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("account", EXACT_TEXT, nullable=True),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        **NEVER_REUSED,
    )
