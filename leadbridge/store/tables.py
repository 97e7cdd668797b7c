"""The tables. Changed only together with a dated file in `migrations/versions`; a test compares the two.

Times are whole microseconds UTC, JSON is text, ids are never used twice. What refers to a person says so to the
database: a row for somebody merged away in the meantime is refused, never stored beside the person (G19, G20).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from leadbridge.store.columns import CleanText, Instant, Json, Key
from leadbridge.store.engine import BIG_ID, NEVER_REUSED, partial_index

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

FREE = datetime(1970, 1, 1, tzinfo=UTC)
"""`lease_until` of a row nobody holds."""


def _id() -> Column[Any]:
    return Column("id", BIG_ID, primary_key=True, autoincrement=True)


def _person(*, primary_key: bool = False, nullable: bool = False, name: str = "person_id") -> Column[Any]:
    return Column(
        name, BigInteger, ForeignKey("persons.id"), primary_key=primary_key, nullable=nullable, autoincrement=False
    )


def _lease() -> tuple[Column[Any], ...]:
    """Who works on the row (reliability pattern 4); see `leases.py`."""
    return (
        Column("lease_owner", CleanText),
        Column("lease_token", BigInteger, nullable=False, server_default=text("0")),
        Column("lease_until", Instant, nullable=False, server_default=text("0")),
    )


def _must(name: str, kind: Any, default: str | None = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=None if default is None else text(default))


# --- people --------------------------------------------------------------------------------------------------------

persons = Table(
    "persons",
    metadata,
    _id(),
    _must("created_at", Instant),  # when a CRM first knew the person, else when we did
    Column("email", CleanText),
    Column("email_canonical", Key, index=True),
    _must("attributes", Json, "'{}'"),
    Column("opted_out", Boolean, nullable=False, server_default=text("false")),
    Column("lifecycle_stage", CleanText),  # as the CRM says, in our words
    _must("inputs_hash", CleanText, "''"),
    _must("changed_at", Instant),
    Column("valid_from", Instant),  # since when the above is so, as the CRM says; none: nothing is known yet
    **NEVER_REUSED,
)

attribute_history = Table(
    "attribute_history",
    metadata,
    _id(),
    _person(),
    _must("at", Instant),  # since when it was so
    _must("until", Instant),  # when we learned that it no longer was
    Column("email", CleanText),
    _must("attributes", Json),
    Column("opted_out", Boolean, nullable=False),
    **NEVER_REUSED,
)
Index("ix_attribute_history_person_id", attribute_history.c.person_id, attribute_history.c.at)

person_keys = Table("person_keys", metadata, Column("key", Key, primary_key=True), _person())
Index("ix_person_keys_person_id", person_keys.c.person_id)

records = Table(
    "records",
    metadata,
    Column("vendor", Key, primary_key=True),
    Column("object_type", Key, primary_key=True),
    Column("record_id", Key, primary_key=True),
    _person(),
    Column("email", CleanText),
    Column("email_canonical", Key, index=True),
    _must("attributes", Json),
    Column("opted_out", Boolean, nullable=False),
    Column("created_at", Instant),
    _must("modified_at", Instant),
    _must("read_at", Instant),
    _must("written", Json, "'{}'"),  # our properties as the vendor last confirmed them
    _must("written_version", BigInteger, "0"),
    _must("written_times", Json, "'[]'"),  # of the newest writes, for the cap per hour (G17)
    Column("gone_at", Instant),
    _must("counters", Json, "'{}'"),  # numbers the vendor only counts up, as last read
    Column("values_at", Instant),  # when attributes, e-mail or opt-out last changed; none: at modified_at
)
Index("ix_records_person_id", records.c.person_id)

members = Table(
    "members",
    metadata,
    Column("vendor", Key, primary_key=True),
    Column("address", Key, primary_key=True),  # canonical
    _must("written", Json, "'{}'"),  # our merge fields as the platform last confirmed them
    _must("written_version", BigInteger, "0"),
    _must("written_times", Json, "'[]'"),
)

grants = Table(
    "grants",
    metadata,
    Column("name", Key, primary_key=True),  # of the connection
    _must("sealed", LargeBinary),  # access and refresh token (store.grants)
    _must("changed_at", Instant),
)

activities = Table(
    "activities",
    metadata,
    _id(),
    _person(nullable=True),  # none: nobody has the subject's key yet
    _must("subject", Key),
    _must("kind", Key),
    _must("at", Instant),
    _must("source", Key),
    _must("source_id", Key),
    _must("attributes", Json),
    _must("stored_at", Instant),  # what was known when: training must not look ahead
    UniqueConstraint("source", "source_id"),
    **NEVER_REUSED,
)
Index("ix_activities_person_id", activities.c.person_id, activities.c.at)
partial_index("ix_activities_orphan", activities.c.subject, where=activities.c.person_id.is_(None))

# Derived from the activities, and of no other use than to read those of many people fast (`packs.py`). No foreign key:
# a person who is no more has a change to tell as well.
activity_packs = Table(
    "activity_packs",
    metadata,
    Column("span", BigInteger, primary_key=True, autoincrement=False),  # person ids // packs.SPAN
    _must("version", BigInteger),
    Column("body", LargeBinary),  # none: emptied, because somebody is to be forgotten
)

activity_changes = Table(
    "activity_changes",
    metadata,
    Column("person_id", BigInteger, primary_key=True, autoincrement=False),
    _must("version", BigInteger),
)

# --- work ----------------------------------------------------------------------------------------------------------

passes = Table(
    "passes",
    metadata,
    Column("span", BigInteger, primary_key=True, autoincrement=False),  # as in packs.py
    _must("asked_at", Instant),
    *_lease(),
    _must("attempts", BigInteger, "0"),  # claims without an end
)

due = Table(
    "due",
    metadata,
    _person(primary_key=True),
    _must("due_at", Instant),
    _must("lane", SmallInteger),
    _must("version", BigInteger),
    *_lease(),
    _must("attempts", BigInteger, "0"),  # claims since anything last came of one
)
Index("ix_due_lane", due.c.lane, due.c.due_at)

write_backs = Table(
    "write_backs",
    metadata,
    _id(),
    _must("vendor", Key),
    _must("object_type", Key),
    _must("record_id", Key),
    _person(),
    _must("wanted", Json),
    _must("version", BigInteger),
    _must("state", Key),
    _must("attempts", BigInteger, "0"),
    _must("due_at", Instant),
    *_lease(),
    _must("lane", SmallInteger, "1"),  # that of the person when it was wished (`due.Lane`)
    UniqueConstraint("vendor", "object_type", "record_id"),
    **NEVER_REUSED,
)
Index("ix_write_backs_person_id", write_backs.c.person_id)
Index("ix_write_backs_lane", *(write_backs.c[name] for name in ("state", "vendor", "lane", "due_at")))

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    _must("vendor", Key),
    Column("account", Key),  # the vendor's account we work for; none while it is not known
    _must("events", BigInteger),
    _must("body", LargeBinary),  # sealed
    _must("received_at", Instant),
    **NEVER_REUSED,
)

inbox = Table(
    "inbox",
    metadata,
    _id(),
    _must("vendor", Key),
    _must("delivery_key", Key),
    Column("body", LargeBinary),  # sealed; none once worked
    _must("received_at", Instant),
    _must("due_at", Instant),
    _must("attempts", BigInteger, "0"),
    Column("done_at", Instant),
    *_lease(),
    UniqueConstraint("vendor", "delivery_key"),
    **NEVER_REUSED,
)
partial_index("ix_inbox_pending", inbox.c.attempts, inbox.c.id, where=inbox.c.done_at.is_(None))
partial_index("ix_inbox_done", inbox.c.done_at, where=inbox.c.done_at.is_not(None))

quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    _must("source", Key),
    Column("ref", Key),
    _must("reason", CleanText),
    _must("body", LargeBinary),  # sealed
    _must("attempts", BigInteger),
    _must("first_at", Instant),
    _must("last_at", Instant),
    UniqueConstraint("source", "ref"),
    **NEVER_REUSED,
)

leases = Table(
    "leases",
    metadata,
    Column("name", Key, primary_key=True),
    *_lease(),
)

budgets = Table(
    "budgets",
    metadata,
    Column("name", Key, primary_key=True),  # vendor, account, which limit
    _must("next_at", Instant),  # when the next call may go
    _must("quiet_until", Instant),  # the vendor's own wish
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("source", Key, primary_key=True),
    Column("stream", Key, primary_key=True),
    _must("progress", Json),
    _must("at", Instant),
)

# --- scores --------------------------------------------------------------------------------------------------------

scores = Table(
    "scores",
    metadata,
    _person(primary_key=True),
    Column("name", Key, primary_key=True),
    Column("value", SmallInteger),  # none: the score no longer applies to the person
    Column("grade", Key),
    _must("categories", Json),
    _must("model", Key),
    _must("at", Instant),
    _must("version", BigInteger),
)

score_history = Table(
    "score_history",
    metadata,
    _id(),
    _person(),
    _must("name", Key),
    _must("version", BigInteger),
    Column("value", SmallInteger),
    Column("grade", CleanText),
    _must("categories", Json),
    _must("contributions", Json),
    _must("model", Key),
    _must("at", Instant),
    **NEVER_REUSED,
)
Index("ix_score_history_person_id", score_history.c.person_id, score_history.c.name, score_history.c.version)

standings = Table(
    "standings",
    metadata,
    _person(primary_key=True),
    Column("stage", Key, index=True),
    Column("stage_since", Instant),
    Column("company", Key, index=True),  # for whose company score the person counts
    Column("buyer_journey", Key),
    _must("segments", Json),
    _must("reasons", Json),
    _must("at", Instant),
    _must("version", BigInteger),
)

stage_history = Table(
    "stage_history",
    metadata,
    _id(),
    _person(),
    Column("stage", Key),
    Column("buyer_journey", Key),
    _must("cause", CleanText, "''"),  # why it changed, in words
    _must("at", Instant),
    **NEVER_REUSED,
)
Index("ix_stage_history_person_id", stage_history.c.person_id)

models = Table(
    "models",
    metadata,
    Column("hash", Key, primary_key=True),
    _must("name", CleanText),
    _must("body", CleanText),
    _must("at", Instant),
)

# --- contact -------------------------------------------------------------------------------------------------------

enrolments = Table(
    "enrolments",
    metadata,
    _id(),
    _person(),
    _must("journey", Key),
    _must("entry", BigInteger),
    _must("state", Key),
    _must("vendor", Key),
    _must("address", Key),
    _must("trigger", CleanText),
    Column("score", SmallInteger),
    _must("reason_in", CleanText),
    _must("words", CleanText, "''"),
    _must("created_at", Instant),
    _must("state_at", Instant),
    Column("called_at", Instant),  # when the call left; none while it is proven that none did
    _must("due_at", Instant),
    _must("expires_at", Instant),
    _must("track", Key, "'main'"),
    _must("lane", SmallInteger, "1"),
    _must("grounds", Json, "'[]'"),  # names of the rules that gave points when this was decided
    Column("stage", Key),  # of the person, then
    Column("left_at", Instant),  # when the person was out of the journey again; none while in it
    _must("reason_out", CleanText, "''"),
    Column("exit_state", Key),  # of the exit told to the platform: wanted, told; none: nothing to tell
    _must("variant", Key, "''"),  # of the journey, where it has variants
    *_lease(),
    UniqueConstraint("person_id", "journey", "entry"),
    **NEVER_REUSED,
)
Index("ix_enrolments_state", enrolments.c.state, enrolments.c.due_at)
Index("ix_enrolments_address", enrolments.c.address)
partial_index("ix_enrolments_exit", enrolments.c.id, where=enrolments.c.exit_state == "wanted")
partial_index("ix_enrolments_called_at", enrolments.c.called_at, where=enrolments.c.called_at.is_not(None))

holdouts = Table(
    "holdouts",
    metadata,
    _person(primary_key=True),
    Column("journey", Key, primary_key=True),
    _must("at", Instant),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("digest", Key, primary_key=True),  # keyed hash of a canonical address
    Column("reason", Key, primary_key=True),
    _must("source", CleanText),
    _must("at", Instant),
)

suppressed_people = Table(
    "suppressed_people",
    metadata,
    _person(primary_key=True),
    Column("reason", Key, primary_key=True),
    _must("source", CleanText),
    _must("at", Instant),
)

consents = Table(
    "consents",
    metadata,
    _id(),
    _person(),
    _must("source", CleanText),  # where it was given: "HubSpot form newsletter"
    _must("wording", CleanText),  # what the person agreed to
    _must("at", Instant),
    _must("digest", Key),  # of all of it, so that it is noted once
    UniqueConstraint("person_id", "digest"),
    **NEVER_REUSED,
)

objections = Table(
    "objections",
    metadata,
    _person(primary_key=True),
    _must("source", CleanText),
    _must("at", Instant),
)

offers = Table(
    "offers",
    metadata,
    _person(primary_key=True),
    Column("asset", Key, primary_key=True),
    Column("journey", Key),  # which offered it; none: the person found it alone
    Column("offered_at", Instant),
    Column("used_at", Instant),  # when the person first took it up
)
Index("ix_offers_asset", offers.c.asset)

forgotten = Table(
    "forgotten",
    metadata,
    Column("digest", Key, primary_key=True),  # keyed hash of a key of somebody who was erased
    _must("at", Instant),
)

stops = Table(
    "stops",
    metadata,
    Column("name", Key, primary_key=True),  # what is stopped: "contact"
    _must("who", CleanText),
    _must("why", CleanText),
    _must("at", Instant),
)

policies = Table(
    "policies",
    metadata,
    Column("digest", Key, primary_key=True),  # of everything that decides who is contacted
    _must("began_at", Instant),  # when it was last put into force
    Column("released_at", Instant),  # none: still a canary
    Column("released_by", CleanText),
)

# --- people for people ---------------------------------------------------------------------------------------------

hand_offs = Table(
    "hand_offs",
    metadata,
    _id(),
    _person(),
    _must("rule", Key),  # "hand_off", or the name of a kind of care
    _must("entry", BigInteger),  # counts the person's, from 1
    _must("key", Key),  # borne by the task in the CRM
    _must("state", Key),
    Column("score", SmallInteger),
    _must("fits", Json),  # names of the routes that take the person, in order
    Column("route", Key),
    _must("decided_at", Instant),
    Column("opened_at", Instant),
    _must("task", Key),  # none, wanted, made, refused
    Column("task_vendor", Key),
    Column("task_id", Key),
    Column("accepted_at", Instant),
    Column("touched_at", Instant),
    Column("touched_by", CleanText),
    Column("breached_at", Instant),
    _must("raised", BigInteger, "0"),
    Column("closed_at", Instant),
    Column("outcome", Key),
    Column("reason", CleanText),
    Column("rest_until", Instant),  # nurture leaves the person in peace until then
    Column("again_at", Instant),  # not handed over again before
    _must("words", CleanText, "''"),
    _must("attempts", BigInteger, "0"),
    _must("due_at", Instant),
    *_lease(),
    UniqueConstraint("person_id", "rule", "entry"),
    UniqueConstraint("key"),
    **NEVER_REUSED,
)
Index("ix_hand_offs_state", hand_offs.c.state, hand_offs.c.due_at)
partial_index("ix_hand_offs_opened_at", hand_offs.c.opened_at, where=hand_offs.c.opened_at.is_not(None))

alerts = Table(
    "alerts",
    metadata,
    _id(),
    Column("hand_off_id", BigInteger, ForeignKey("hand_offs.id"), nullable=False),
    _person(),
    _must("kind", Key),  # ready, overdue
    _must("round", BigInteger),
    _must("channel", SmallInteger),  # its place in the configuration's list
    _must("state", Key),
    _must("words", CleanText, "''"),
    _must("attempts", BigInteger, "0"),
    _must("created_at", Instant),
    Column("sent_at", Instant),
    _must("due_at", Instant),
    *_lease(),
    UniqueConstraint("hand_off_id", "kind", "round", "channel"),
    **NEVER_REUSED,
)
Index("ix_alerts_person_id", alerts.c.person_id)
Index("ix_alerts_state", alerts.c.state, alerts.c.due_at)

# --- the store itself ----------------------------------------------------------------------------------------------

audit = Table(
    "audit",
    metadata,
    _id(),
    _must("at", Instant),
    _must("who", CleanText),
    _must("what", CleanText),
    _must("detail", Json),
    **NEVER_REUSED,
)

facts = Table("facts", metadata, Column("name", Key, primary_key=True), _must("value", CleanText))

counts = Table(
    "counts",
    metadata,
    Column("name", Key, primary_key=True),  # of the counter
    Column("labels", Key, primary_key=True),  # its label values, as a JSON array
    _must("value", BigInteger),
)
