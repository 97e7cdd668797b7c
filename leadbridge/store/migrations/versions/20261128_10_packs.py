"""Activities packed in columns for bulk reading, and the passes over everybody that are due by span."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_10"
down_revision = "20261122"


def upgrade() -> None:
    op.create_table(
        "activity_packs",
        sa.Column("span", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("span", name="pk_activity_packs"),
    )
    op.create_table(
        "activity_changes",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_activity_changes"),
    )
    op.create_table(
        "passes",
        sa.Column("span", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("span", name="pk_passes"),
    )
