"""People handed over to people, and who was told."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import BIG_ID, EXACT_TEXT, NEVER_REUSED

revision = "20261128_40"
down_revision = "20261128_32"


def upgrade() -> None:
    op.create_table(
        "hand_offs",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", EXACT_TEXT, nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("key", EXACT_TEXT, nullable=False),
        sa.Column("state", EXACT_TEXT, nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=True),
        sa.Column("fits", sa.Text(), nullable=False),
        sa.Column("route", EXACT_TEXT, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("task", EXACT_TEXT, nullable=False),
        sa.Column("task_vendor", EXACT_TEXT, nullable=True),
        sa.Column("task_id", EXACT_TEXT, nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=True),
        sa.Column("touched_at", sa.BigInteger(), nullable=True),
        sa.Column("touched_by", sa.Text(), nullable=True),
        sa.Column("breached_at", sa.BigInteger(), nullable=True),
        sa.Column("raised", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", EXACT_TEXT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rest_until", sa.BigInteger(), nullable=True),
        sa.Column("again_at", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        *_lease(),
        sa.PrimaryKeyConstraint("id", name="pk_hand_offs"),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_hand_offs_person_id"),
        sa.UniqueConstraint("person_id", "rule", "entry", name="uq_hand_offs_person_id"),
        sa.UniqueConstraint("key", name="uq_hand_offs_key"),
        **NEVER_REUSED,
    )
    op.create_index("ix_hand_offs_state", "hand_offs", ["state", "due_at"])
    op.create_index(
        "ix_hand_offs_opened_at",
        "hand_offs",
        ["opened_at"],
        sqlite_where=sa.text("opened_at IS NOT NULL"),
        postgresql_where=sa.text("opened_at IS NOT NULL"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("hand_off_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", EXACT_TEXT, nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.SmallInteger(), nullable=False),
        sa.Column("state", EXACT_TEXT, nullable=False),
        sa.Column("words", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        *_lease(),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.ForeignKeyConstraint(["hand_off_id"], ["hand_offs.id"], name="fk_alerts_hand_off_id"),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_alerts_person_id"),
        sa.UniqueConstraint("hand_off_id", "kind", "round", "channel", name="uq_alerts_hand_off_id"),
        **NEVER_REUSED,
    )
    op.create_index("ix_alerts_person_id", "alerts", ["person_id"])
    op.create_index("ix_alerts_state", "alerts", ["state", "due_at"])


def _lease() -> list[sa.Column[object]]:
    return [
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    ]
