"""The gate's last question about rows of the ledger, in the transaction that commits their calls (G20, G24)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeAlias

from sqlalchemy import Connection

from connectors.base import STARTS_WITHIN, Member
from leadbridge import addresses
from leadbridge.config.guards import QuietHours
from leadbridge.store import enrolments
from leadbridge.store import leads as lead_store
from leadbridge.types import SuppressionReason
from nurture import gate, quiet

Asked: TypeAlias = Sequence[tuple[enrolments.EnrolmentRow, Member]]
"""Intents, each with the platform's word on its member."""

BEGIN_WITHIN = timedelta(seconds=5)
"""A call that has not begun so long after it was committed is not made: nobody is contacted on yesterday's word while a
vendor is slow."""

LASTS = BEGIN_WITHIN + STARTS_WITHIN
"""How long the gate's answer has to hold: until the last try may begin."""


def verdict(
    row: enrolments.EnrolmentRow,
    member: Member,
    person: lead_store.PersonRow | None,
    suppressed: SuppressionReason | None,
    now: datetime,
    hours: QuietHours | None,
) -> gate.Verdict:
    """May this row's call be made now? `person` and `suppressed` as the same transaction reads them."""
    if person is None:  # merged since the claim: the row is another person's now, and is asked about anew
        return gate.Verdict(go=False, why="the person was merged", final=False)
    if addresses.canonical(person.email) != row.address:
        return gate.Verdict(go=False, why="the person left the CRM or has another address now")
    return gate.before_call(
        suppressed=suppressed,
        opted_out=person.opted_out,
        status=member.status.value,
        read_at=member.read_at,
        expires_at=row.expires_at,
        now=now,
        lasts=LASTS,
        quiet_until=_quiet_until(hours, person, now),
    )


def _quiet_until(hours: QuietHours | None, person: lead_store.PersonRow, now: datetime) -> datetime | None:
    """Until when it is night where the person lives; asked for the whole time in which the call may begin."""
    if hours is None:
        return None
    zones = quiet.zones_of(
        hours,
        person.attributes.get(hours.timezone) if hours.timezone else None,
        person.attributes.get(hours.country) if hours.country else None,
    )
    return quiet.quiet_until(hours, zones, now) or quiet.quiet_until(hours, zones, now + LASTS)


def came_first(other: enrolments.EnrolmentRow, row: enrolments.EnrolmentRow) -> bool:
    """Was somebody else contacted at this address after this was decided? What was before, the decision has seen."""
    return (
        other.person_id != row.person_id
        and other.state in enrolments.CONTACT
        and other.called_at is not None
        and other.called_at >= row.created_at
    )


def give_back(tx: Connection, back: Sequence[tuple[datetime | None, enrolments.EnrolmentRow]], now: datetime) -> None:
    """Let these rows be asked about again, each at its instant; none: at once."""
    for again, rows in groupby(sorted(back, key=lambda pair: pair[0] or now), key=lambda pair: pair[0]):
        enrolments.release(tx, [row for _, row in rows], again)
