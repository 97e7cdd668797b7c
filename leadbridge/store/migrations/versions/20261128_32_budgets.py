"""Limits that all workers share, one row each."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import EXACT_TEXT

revision = "20261128_32"
down_revision = "20261128_31"


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("quiet_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_budgets"),
    )
