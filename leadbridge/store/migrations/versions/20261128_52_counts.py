"""Counters of all processes together."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import EXACT_TEXT

revision = "20261128_52"
down_revision = "20261128_51"


def upgrade() -> None:
    op.create_table(
        "counts",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("labels", EXACT_TEXT, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name="pk_counts"),
    )
