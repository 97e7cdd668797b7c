"""First tables."""

import sqlalchemy as sa
from alembic import op

from leadbridge.store.engine import BIG_ID, EXACT_TEXT, NEVER_REUSED

revision = "20261122"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        **NEVER_REUSED,
    )
    op.create_table(
        "facts",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("delivery_key", EXACT_TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint("vendor", "delivery_key", name="uq_inbox_vendor"),
        **NEVER_REUSED,
    )
    op.create_index(
        "ix_inbox_done",
        "inbox",
        ["done_at"],
        sqlite_where=sa.text("done_at IS NOT NULL"),
        postgresql_where=sa.text("done_at IS NOT NULL"),
    )
    op.create_index(
        "ix_inbox_pending",
        "inbox",
        ["attempts", "id"],
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "leases",
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "members",
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("address", EXACT_TEXT, nullable=False),
        sa.Column("written", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("written_version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("written_times", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.PrimaryKeyConstraint("vendor", "address", name="pk_members"),
    )
    op.create_table(
        "models",
        sa.Column("hash", EXACT_TEXT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_models"),
    )
    op.create_table(
        "persons",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_canonical", EXACT_TEXT, nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("opted_out", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("lifecycle_stage", sa.Text(), nullable=True),
        sa.Column("inputs_hash", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_persons"),
        **NEVER_REUSED,
    )
    op.create_index("ix_persons_email_canonical", "persons", ["email_canonical"])
    op.create_table(
        "quarantine",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("source", EXACT_TEXT, nullable=False),
        sa.Column("ref", EXACT_TEXT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint("source", "ref", name="uq_quarantine_source"),
        **NEVER_REUSED,
    )
    op.create_table(
        "suppressions",
        sa.Column("digest", EXACT_TEXT, nullable=False),
        sa.Column("reason", EXACT_TEXT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "reason", name="pk_suppressions"),
    )
    op.create_table(
        "watermarks",
        sa.Column("source", EXACT_TEXT, nullable=False),
        sa.Column("stream", EXACT_TEXT, nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "stream", name="pk_watermarks"),
    )
    op.create_table(
        "activities",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("subject", EXACT_TEXT, nullable=False),
        sa.Column("kind", EXACT_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", EXACT_TEXT, nullable=False),
        sa.Column("source_id", EXACT_TEXT, nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_activities_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_activities"),
        sa.UniqueConstraint("source", "source_id", name="uq_activities_source"),
        **NEVER_REUSED,
    )
    op.create_index(
        "ix_activities_orphan",
        "activities",
        ["subject"],
        sqlite_where=sa.text("person_id IS NULL"),
        postgresql_where=sa.text("person_id IS NULL"),
    )
    op.create_index("ix_activities_person_id", "activities", ["person_id", "at"])
    op.create_table(
        "due",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_due_person_id"),
        sa.PrimaryKeyConstraint("person_id", name="pk_due"),
    )
    op.create_index("ix_due_lane", "due", ["lane", "due_at"])
    op.create_table(
        "enrolments",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("journey", EXACT_TEXT, nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("state", EXACT_TEXT, nullable=False),
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("address", EXACT_TEXT, nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=True),
        sa.Column("reason_in", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("called_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_enrolments_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_enrolments"),
        sa.UniqueConstraint("person_id", "journey", "entry", name="uq_enrolments_person_id"),
        **NEVER_REUSED,
    )
    op.create_index(
        "ix_enrolments_called_at",
        "enrolments",
        ["called_at"],
        sqlite_where=sa.text("called_at IS NOT NULL"),
        postgresql_where=sa.text("called_at IS NOT NULL"),
    )
    op.create_index("ix_enrolments_state", "enrolments", ["state", "due_at"])
    op.create_index("ix_enrolments_address", "enrolments", ["address"])
    op.create_table(
        "holdouts",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journey", EXACT_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_holdouts_person_id"),
        sa.PrimaryKeyConstraint("person_id", "journey", name="pk_holdouts"),
    )
    op.create_table(
        "person_keys",
        sa.Column("key", EXACT_TEXT, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_person_keys_person_id"),
        sa.PrimaryKeyConstraint("key", name="pk_person_keys"),
    )
    op.create_index("ix_person_keys_person_id", "person_keys", ["person_id"])
    op.create_table(
        "records",
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("object_type", EXACT_TEXT, nullable=False),
        sa.Column("record_id", EXACT_TEXT, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_canonical", EXACT_TEXT, nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("written_version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("written_times", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_records_person_id"),
        sa.PrimaryKeyConstraint("vendor", "object_type", "record_id", name="pk_records"),
    )
    op.create_index("ix_records_email_canonical", "records", ["email_canonical"])
    op.create_index("ix_records_person_id", "records", ["person_id"])
    op.create_table(
        "score_history",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.SmallInteger(), nullable=True),
        sa.Column("grade", sa.Text(), nullable=True),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("contributions", sa.Text(), nullable=False),
        sa.Column("model", EXACT_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_score_history_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_score_history"),
        **NEVER_REUSED,
    )
    op.create_index("ix_score_history_person_id", "score_history", ["person_id", "name", "version"])
    op.create_table(
        "scores",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", EXACT_TEXT, nullable=False),
        sa.Column("value", sa.SmallInteger(), nullable=True),
        sa.Column("grade", EXACT_TEXT, nullable=True),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("model", EXACT_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_scores_person_id"),
        sa.PrimaryKeyConstraint("person_id", "name", name="pk_scores"),
    )
    op.create_table(
        "stage_history",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", EXACT_TEXT, nullable=True),
        sa.Column("buyer_journey", EXACT_TEXT, nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_stage_history_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stage_history"),
        **NEVER_REUSED,
    )
    op.create_index("ix_stage_history_person_id", "stage_history", ["person_id"])
    op.create_table(
        "standings",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", EXACT_TEXT, nullable=True),
        sa.Column("stage_since", sa.BigInteger(), nullable=True),
        sa.Column("buyer_journey", EXACT_TEXT, nullable=True),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_standings_person_id"),
        sa.PrimaryKeyConstraint("person_id", name="pk_standings"),
    )
    op.create_index("ix_standings_stage", "standings", ["stage"])
    op.create_table(
        "suppressed_people",
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", EXACT_TEXT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_suppressed_people_person_id"),
        sa.PrimaryKeyConstraint("person_id", "reason", name="pk_suppressed_people"),
    )
    op.create_table(
        "write_backs",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("vendor", EXACT_TEXT, nullable=False),
        sa.Column("object_type", EXACT_TEXT, nullable=False),
        sa.Column("record_id", EXACT_TEXT, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", EXACT_TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name="fk_write_backs_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_write_backs"),
        sa.UniqueConstraint("vendor", "object_type", "record_id", name="uq_write_backs_vendor"),
        **NEVER_REUSED,
    )
    op.create_index("ix_write_backs_person_id", "write_backs", ["person_id"])
    op.create_index("ix_write_backs_state", "write_backs", ["state", "vendor", "due_at"])
