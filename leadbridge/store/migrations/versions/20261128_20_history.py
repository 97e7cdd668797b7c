"""What was known of people at a past instant, why a stage changed, and the company a person counts for."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import BIG_ID, EXACT_TEXT, NEVER_REUSED

revision = "20261128_20"
down_revision = "20261128_11"


def upgrade() -> None:
    op.create_table(
        "attribute_history",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_attribute_history_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attribute_history"),
        **NEVER_REUSED,
    )
    op.create_index("ix_attribute_history_person_id", "attribute_history", ["person_id", "at"])
    op.add_column("persons", sa.Column("valid_from", sa.BigInteger(), nullable=True))
    op.add_column("stage_history", sa.Column("cause", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("standings", sa.Column("company", EXACT_TEXT, nullable=True))
    op.create_index("ix_standings_company", "standings", ["company"])
    # What is stored already holds since we learned of it: to claim more would let backtests see the future.
    op.execute("UPDATE persons SET valid_from = changed_at WHERE inputs_hash <> ''")
