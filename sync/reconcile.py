"""After a restore, what came after the backup is read at the vendors before anybody is contacted (reliability G31).

The store knows nothing of the time between backup and restore. Who left then is told by the e-mail platform once more;
who was put into a journey then would be put into it again. So everything is read and scored while contact is stopped,
and for each row of the ledger that waits the platform is asked whether it happened already. Where it cannot tell, the
row is uncertain, and a person looks. Nothing but this ends the stop of a restore. Who fits a journey only later is
asked about then (`sync.since_backup`).
"""

from dataclasses import dataclass

from connectors.base import EmailPlatform
from leadbridge import clock
from leadbridge.errors import NeedsOperator
from leadbridge.progress import Tell, unheard
from leadbridge.store import audit, enrolments, stops
from leadbridge.store.engine import Store
from sync import cycle, enrol
from sync.wiring import Parts

AT_ONCE = 100


@dataclass(slots=True)
class Reconciled:
    """What was found out."""

    was_restored: bool = True
    settled: int = 0  # rows that were uncertain and are no more
    entered: int = 0  # rows whose entry the platform shows
    not_entered: int = 0
    unknown: int = 0  # rows of which nobody can tell: uncertain now


def reconcile(parts: Parts, who: str, tell: Tell = unheard) -> Reconciled:
    """Read, compare, and let contact go on, audited. Repeating it after a kill begins anew.

    Raises VendorError when a vendor cannot be read; contact stays stopped then.
    """
    store = parts.store
    with store.reading() as tx:
        if stops.stopped(tx, stops.RESTORED) is None:
            return Reconciled(was_restored=False)
    done = Reconciled()
    found = cycle.sync(parts, full=True, tell=tell)
    if found.paused:
        raise NeedsOperator("leadbridge", "reconcile", f"{'; '.join(found.paused)}; contact stays stopped")
    if parts.platform is not None:
        done.settled = enrol.settle_uncertain(store, parts.platform, parts.scorer.matcher)
        _compare(store, parts.platform, done, tell)
    with store.writing() as tx:
        now = clock.now()
        detail = {"settled": done.settled, "entered": done.entered, "not_entered": done.not_entered,
                  "unknown": done.unknown}  # fmt: skip
        audit.note(tx, who, "ledger reconciled", detail, now)
        stops.resume(tx, stops.RESTORED, who, now)
        stops.note_restored(tx, who, now)
    return done


def _compare(store: Store, platform: EmailPlatform, done: Reconciled, tell: Tell) -> None:
    """Ask the platform about every row that waits."""
    for state in sorted(enrolments.WAITING):
        after = 0
        while True:
            with store.reading() as tx:
                rows = enrolments.by_state(tx, state, after=after, limit=AT_ONCE)
            if not rows:
                break
            after = rows[-1].id
            proof = {row.id: platform.entered(row.way, row.address, again=row.entry > 1) for row in rows}
            entered = [row for row, shown in proof.items() if shown]
            unknown = [row for row, shown in proof.items() if shown is None]
            with store.writing() as tx:
                enrolments.found_entered(tx, entered, unknown, clock.now())
            done.entered += len(entered)
            done.unknown += len(unknown)
            done.not_entered += len(rows) - len(entered) - len(unknown)
            tell("compared", done.entered + done.unknown + done.not_entered)
