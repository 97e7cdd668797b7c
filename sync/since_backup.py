"""After a restore: who entered a journey between the backup and the restore, of which the ledger knows nothing (G19).

Reconciling asks about everybody who fits a journey then. Whoever entered meanwhile and fits again only later is asked
about here, before the call: the platform shows the entry, shows none, or nobody can tell. Then a person looks.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta

from connectors.base import EmailPlatform
from leadbridge import clock
from leadbridge.config.nurture import Nurture
from leadbridge.store import enrolments, leads, stops
from leadbridge.store.engine import Store
from leadbridge.types import EnrolmentState


def entered_meanwhile(
    store: Store, platform: EmailPlatform, nurture: Nurture, rows: Sequence[enrolments.EnrolmentRow], pool: Executor
) -> set[int]:
    """Ids of those claimed rows that are not to be called: entered after the backup, or nobody can tell.

    The first end as done, the others as uncertain. In a store that was never restored, nobody is asked about. Raises
    VendorError when the platform does not answer; then nobody of the rows is to be called.
    """
    with store.reading() as tx:
        restored = stops.stopped(tx, stops.AS_OF_BACKUP)
        if restored is None:
            return set()
        wanted = [
            row for row in rows if row.state is EnrolmentState.WANTED
        ]  # a checked row was asked about, or settled
        people = leads.people(tx, [row.person_id for row in wanted])
        past = enrolments.history(tx, [row.person_id for row in wanted])
    open_ones = [
        row
        for row in wanted
        if not _is_later(people.get(row.person_id), restored.at)
        and not _known_since(nurture, row, past.get(row.person_id, ()), restored.at)
    ]
    shown = list(pool.map(lambda row: platform.entered(row.way, row.address, again=row.entry > 1), open_ones))
    entered = [row.id for row, proof in zip(open_ones, shown, strict=True) if proof]
    unknown = [row.id for row, proof in zip(open_ones, shown, strict=True) if proof is None]
    if entered or unknown:
        with store.writing() as tx:
            enrolments.found_entered(tx, entered, unknown, clock.now())
    return {*entered, *unknown}


def _is_later(person: leads.PersonRow | None, restored: datetime) -> bool:
    """Did the person come to the CRM after the restore?"""
    return person is not None and person.created_at is not None and person.created_at > restored


def _known_since(
    nurture: Nurture, row: enrolments.EnrolmentRow, past: Sequence[enrolments.EnrolmentRow], restored: datetime
) -> bool:
    """Is what happened before the restore of no account for this entry: an earlier one was made since, or may be by
    `re_enter_after`, which has passed since?"""
    if row.entry == 1:
        return False
    if any(one.journey == row.journey and one.called_at is not None and one.called_at > restored for one in past):
        return True
    journey = next((one for one in nurture.journeys if one.name == row.journey), None)
    after = journey.re_enter_after if journey else None
    return after is not None and clock.now() - restored >= timedelta(seconds=after)
