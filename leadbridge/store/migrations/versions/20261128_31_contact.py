"""Tracks, exits and reasons of enrolments; consent, objections, offers, the forgotten, the stop switch, policies."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import BIG_ID, EXACT_TEXT, NEVER_REUSED

revision = "20261128_31"
down_revision = "20261128_21"


def upgrade() -> None:
    for column in (
        sa.Column("track", EXACT_TEXT, nullable=False, server_default=sa.text("'main'")),
        sa.Column("lane", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("grounds", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("stage", EXACT_TEXT, nullable=True),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("reason_out", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("exit_state", EXACT_TEXT, nullable=True),
    ):
        op.add_column("enrolments", column)
    where = sa.text("exit_state = 'wanted'")
    op.create_index("ix_enrolments_exit", "enrolments", ["id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "consents",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", EXACT_TEXT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_consents_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.UniqueConstraint("person_id", "digest", name="uq_consents_person_id"),
        **NEVER_REUSED,
    )
    op.create_table(
        "objections",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_objections_person_id"),
        sa.PrimaryKeyConstraint("person_id", name="pk_objections"),
    )
    op.create_table(
        "offers",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("asset", EXACT_TEXT, nullable=False),
        sa.Column("journey", EXACT_TEXT, nullable=True),
        sa.Column("offered_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_offers_person_id"),
        sa.PrimaryKeyConstraint("person_id", "asset", name="pk_offers"),
    )
    op.create_index("ix_offers_asset", "offers", ["asset"])
    op.create_table(
        "forgotten",
        sa.Column("digest", EXACT_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_forgotten"),
    )
    op.create_table(
        "stops",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stops"),
    )
    op.create_table(
        "policies",
        sa.Column("digest", EXACT_TEXT, nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )
