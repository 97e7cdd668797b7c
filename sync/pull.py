"""Pages to store. Progress is committed with the rows it covers, so a killed pull goes on where it stood (G12)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.base import Crm, EmailPlatform, Outcome, Settled
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing
from leadbridge.store import activities as activity_store
from leadbridge.store import due, suppressions, watermarks
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import identity

log = logs.logger(__name__)

LEADS = "leads"
OPT_OUTS = "opt_outs"


@dataclass(slots=True)
class Pulled:
    """What a pull brought in."""

    leads: int = 0
    changed: int = 0  # people whose scoring inputs changed
    activities: int = 0  # new ones
    opt_outs: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # what could not be read, by reason
    missing: list[str] = field(default_factory=list)  # sources the account does not offer


def pull(
    store: Store,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    *,
    full: bool = False,
    tell: Callable[[str, int], None] = lambda _what, _count: None,
) -> Pulled:
    """Bring in everything that changed at the vendors: leads first, then what they did, then who left."""
    pulled = Pulled()
    for crm in crms:
        _pull_leads(store, crm, pulled, full=full, tell=tell)
    rooms: list[Crm | EmailPlatform] = [*crms, *([platform] if platform else [])]
    for room in rooms:
        for stream in room.streams():
            _pull_stream(store, room, stream, pulled, tell=tell)
    if platform:
        _pull_opt_outs(store, platform, pulled, tell=tell)
    return pulled


def _pull_leads(store: Store, crm: Crm, pulled: Pulled, *, full: bool, tell: Callable[[str, int], None]) -> None:
    with store.reading() as tx:
        progress = watermarks.progress(tx, crm.vendor, LEADS)
    for page in crm.pull_leads(progress, full=full):
        now = clock.now()
        with store.writing() as tx:
            changed = identity.absorb(tx, page.rows, now)
            due.mark_due(tx, changed, now, due.Lane.NORMAL)
            watermarks.save_progress(tx, crm.vendor, LEADS, page.progress, now)
        pulled.leads += len(page.rows)
        pulled.changed += len(changed)
        pulled.skipped.update(page.skipped)
        tell("leads", pulled.leads)


def _pull_stream(
    store: Store, room: Crm | EmailPlatform, stream: str, pulled: Pulled, *, tell: Callable[[str, int], None]
) -> None:
    with store.reading() as tx:
        progress = watermarks.progress(tx, room.vendor, stream)
    try:
        for page in room.pull_activities(stream, progress):
            now = clock.now()
            with store.writing() as tx:
                added = activity_store.add_activities(tx, page.rows, now)
                due.mark_due(tx, added.people, now, due.Lane.NORMAL)
                watermarks.save_progress(tx, room.vendor, stream, page.progress, now)
            pulled.activities += added.new
            pulled.skipped.update(page.skipped)
            tell("activities", pulled.activities)
    except FeatureMissing as missing:
        log.warning("source switched off", vendor=room.vendor, stream=stream, why=missing.problem)
        pulled.missing.append(f"{room.vendor}.{stream}")


def _pull_opt_outs(store: Store, platform: EmailPlatform, pulled: Pulled, *, tell: Callable[[str, int], None]) -> None:
    with store.reading() as tx:
        progress = watermarks.progress(tx, platform.vendor, OPT_OUTS)
    for page in platform.pull_opt_outs(progress):
        now = clock.now()
        with store.writing() as tx:
            suppressions.suppress(
                tx, store.vault, [(row.email, row.reason, platform.vendor, row.at) for row in page.rows], now
            )
            watermarks.save_progress(tx, platform.vendor, OPT_OUTS, page.progress, now)
        pulled.opt_outs += len(page.rows)
        tell("opt-outs", pulled.opt_outs)


def reread(store: Store, crm: Crm, record_ids: Sequence[str], lane: due.Lane) -> int:
    """Read these records as they are now, and mark the people they changed as due. Returns how many are due.

    What a webhook says is a hint; this is where it becomes true (reliability pattern 9).
    """
    if not record_ids:
        return 0
    reading = crm.read_leads(record_ids)
    now = clock.now()
    with store.writing() as tx:
        changed = identity.absorb(tx, reading.found, now)
        gone = [RecordRef(crm.vendor, "contact", record_id) for record_id in reading.gone]
        changed |= identity.reunite(tx, lead_store.retire_records(tx, gone, now), now)
        due.mark_due(tx, changed, now, lane)
    return len(changed)


def moved_records(settled: Mapping[RecordRef, Settled]) -> list[str]:
    """Ids to re-read because a write found the record merged into another."""
    return [row.moved_to for row in settled.values() if row.outcome is Outcome.MOVED and row.moved_to]
