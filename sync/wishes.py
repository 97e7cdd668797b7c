"""What each record does not show yet, as wishes for the outbox; a small drift of a score may wait.

Decay moves a quarter of all scores a day by a point. A wish that only follows such a drift, for somebody of whom
nothing new is known, waits until the score is `drift.points` away from what the vendor shows, or until the record has
not been written for `drift.wait`; so do reasons that alone have changed. Whatever else changes (stage, grade, journey,
segment) is wished for at once, and the drift goes along.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import addresses
from leadbridge.columns import as_number
from leadbridge.config.schema import Config
from leadbridge.store import leads as lead_store
from leadbridge.store import outbox
from leadbridge.store import scores as score_store
from leadbridge.types import PersonId, RecordRef, Value
from sync.outlook import Outlook

MEMBER = "member"
"""Object type of an e-mail platform's record in the outbox."""

MEMBERS_AT_ONCE = 100
"""Members written in one go."""


RIDING = ("confidence", "scored_at", "model")
"""Values that say how the others came about. By themselves they cause no write; they go along with one."""


class Shows(Protocol):
    """Whatever knows what a vendor shows: a room, or its fields alone."""

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]: ...


def changes(room: Shows, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
    """What a record does not show yet and has to be written; nothing when only values of `RIDING` differ."""
    found = room.changes(wanted, current)
    if not found or not any(map(_rides, wanted)):
        return found
    telling = {name: value for name, value in wanted.items() if not _rides(name)}
    return found if room.changes(telling, current) else {}


@lru_cache(maxsize=1024)
def _rides(name: str) -> bool:
    return name.partition(".")[0] in RIDING


def wishes(
    tx: Connection,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
) -> tuple[list[outbox.Wanted], dict[RecordRef, outbox.Confirmed]]:
    """What every record of these people does not show yet, empty values where it shows everything; and what the
    vendors confirmed of these records."""
    people = [outlook.person_id for outlook in outlooks]
    versions = score_store.versions(tx, people)
    wanted: list[outbox.Wanted] = []
    known: dict[RecordRef, outbox.Confirmed] = {}
    for crm in crms:
        records = outbox.records_of(tx, people, crm.vendor)
        for outlook in outlooks:
            for ref, shown in records.get(outlook.person_id, ()):
                known[ref] = shown
                values = changes(crm, outlook.wanted, shown.written)
                wanted.append(outbox.Wanted(ref, outlook.person_id, values, versions[outlook.person_id]))
    if platform is not None and platform.shows():
        wanted += _of_members(tx, platform, rows, outlooks, versions, known)
    return wanted, known


def _of_members(
    tx: Connection,
    platform: EmailPlatform,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
    versions: Mapping[PersonId, int],
    known: dict[RecordRef, outbox.Confirmed],
) -> list[outbox.Wanted]:
    """The same for the e-mail platform's merge fields, by address; adds to what is known."""
    refs = {
        outlook.person_id: RecordRef(platform.vendor, MEMBER, address)
        for outlook in outlooks
        if (address := addresses.canonical(rows[outlook.person_id].email)) is not None
    }
    known.update(outbox.confirmed(tx, refs.values()))
    return [
        outbox.Wanted(
            ref := refs[outlook.person_id],
            outlook.person_id,
            changes(platform, outlook.wanted, known[ref].written if ref in known else {}),
            versions[outlook.person_id],
        )
        for outlook in outlooks
        if outlook.person_id in refs
    ]


def drifting(
    tx: Connection,
    config: Config,
    wanted: Sequence[outbox.Wanted],
    known: Mapping[RecordRef, outbox.Confirmed],
    quiet: frozenset[PersonId],
    at: datetime,
) -> dict[RecordRef, datetime]:
    """Records whose wish only follows a drift, with the instant until which it may wait.

    `quiet`: people of whom nothing new is known. A record never written, and one with a wish on its way, never waits.
    """
    wait = timedelta(seconds=config.drift.wait)
    found = {}
    for wish in wanted:
        shown = known.get(wish.ref)
        if not wish.values or wish.person_id not in quiet or shown is None or not shown.times:
            continue
        until = max(shown.times) + wait
        if until > at and only_drifts(config, wish.ref.vendor, wish.values, shown.written):
            found[wish.ref] = until
    on_the_way = outbox.on_the_way(tx, found)
    return {ref: until for ref, until in found.items() if ref not in on_the_way}


def only_drifts(config: Config, vendor: str, values: Mapping[str, str], written: Mapping[str, str]) -> bool:
    """Do these values change nothing but reasons, and numbers by less than `drift.points`? Pure.

    With `drift.points: 0` nothing waits, reasons neither.
    """
    if not config.drift.points:
        return False
    ours = {
        getattr(target, vendor, None) or target.plugins.get(vendor): name for name, target in config.write_back.items()
    }
    for place, text in values.items():
        value = ours.get(place, "").partition(".")[0]
        if value in ("reasons", "persona_reasons", "qualification", *RIDING):
            continue
        before, now = as_number(written.get(place)), as_number(text)
        if value not in ("score", "persona", "probability") or before is None or now is None:
            return False
        if abs(now - before) >= config.drift.points:
            return False
    return True
