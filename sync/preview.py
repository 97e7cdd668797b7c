"""A dry run: what a round would write and whom it would contact, with rooms that cannot change anything."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from connectors.readonly import read_only
from leadbridge import clock
from leadbridge.progress import Tell, unheard
from leadbridge.store import due
from sync import day, pull, wishes
from sync.intents import plan_journeys
from sync.loading import load
from sync.wiring import Parts

BATCH = 500


@dataclass(slots=True)
class Preview:
    """What would happen to the people who are due."""

    people: int = 0
    writes: Counter[str] = field(default_factory=Counter)  # records to be written, by vendor
    drifting: int = 0  # records, beside these, that drift so little that their write waits
    entries: Counter[str] = field(default_factory=Counter)  # people to enter, by journey
    exits: int = 0
    held_out: int = 0
    barred: Counter[str] = field(default_factory=Counter)  # who may not be contacted, by reason
    cost: day.Need = field(default_factory=day.Need)  # of the writes

    def as_dict(self) -> dict[str, Any]:
        return {
            "dry_run": True,
            "people": self.people,
            "writes": dict(self.writes),
            "drifting": self.drifting,
            "entries": dict(self.entries),
            "exits": self.exits,
            "held_out": self.held_out,
            "barred": dict(self.barred),
            **self.cost.as_dict(),
        }


def preview(parts: Parts, *, full: bool = False, tell: Tell = unheard) -> Preview:
    """Read what changed at the vendors, and work out what would follow. Makes no changing call to any vendor.

    What was read is kept, as a real round would find it; scores, wishes and the ledger stay as they are.
    """
    crms = [read_only(crm) for crm in parts.crms]
    platform = read_only(parts.platform) if parts.platform else None
    pull.pull(parts.store, crms, platform, full=full, owner=parts.owner, tell=tell)
    day.note(parts.store, crms)
    found, after = Preview(), 0
    while True:
        with parts.store.reading() as tx:
            ids = due.due_people(tx, clock.now(), after=after, limit=BATCH)
            if not ids:
                found.cost = day.need(tx, crms, platform, found.writes)
                return found
            after = ids[-1]
            at = clock.now()
            loaded = load(tx, parts.scorer, ids, at)
            outlooks = parts.scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
            found.people += len(outlooks)
            wanted, known = wishes.wishes(tx, crms, platform, loaded.rows, outlooks)
            waiting = wishes.drifting(tx, parts.scorer.config, wanted, known, due.quiet(tx, ids), at)
            found.drifting += len(waiting)
            for wish in wanted:
                found.writes[wish.ref.vendor] += bool(wish.values) and wish.ref not in waiting
            if parts.config.nurture.enabled:
                plan = plan_journeys(tx, parts.store, parts.scorer, loaded, outlooks, at)
                found.entries.update(intent.journey for intent in plan.intents)
                found.exits += len(plan.exits)
                found.held_out += len(plan.held_out)
                found.barred.update(plan.barred.values())
        tell("looked at", found.people)
