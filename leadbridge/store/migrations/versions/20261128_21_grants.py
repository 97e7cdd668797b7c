"""Access tokens of vendors and their refresh tokens, sealed."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import EXACT_TEXT

revision = "20261128_21"
down_revision = "20261128_20"


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_grants"),
    )
