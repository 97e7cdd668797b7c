"""What the receiver of a hand-off reads, from what is true when the task is made or the alert is sent."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from leadbridge import clock
from leadbridge.config.hand_off import HandOff
from leadbridge.store import activities as activity_store
from leadbridge.store import hand_offs, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import ActivityKind, PersonId
from nurture.hand_off import HAND_OFF, SALES, Interaction, Person, body, interesting, subject
from sync.hand_off import care_of
from sync.loading import load
from sync.outlook import Outlook, Scorer

REMEMBERED = timedelta(days=180)
"""How far back the receiver is told what the person did."""


@dataclass(frozen=True, slots=True)
class Brief:
    """Title and text of task and alert, and the person as stored."""

    title: str
    text: str
    row: lead_store.PersonRow


def briefs(store: Store, scorer: Scorer, config: HandOff, rows: Sequence[hand_offs.HandOff]) -> dict[int, Brief]:
    """What each of these says, by id; who is no more is left out. Reads the store only."""
    ids = sorted({row.person_id for row in rows})
    at = clock.now()
    with store.reading() as tx:
        loaded = load(tx, scorer, ids, at)
        acts = activity_store.activities_of(tx, ids, at - REMEMBERED)
        stopped = suppressions.suppressed(tx, store.vault, ids)
    outlooks = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    by_person = {outlook.person_id: outlook for outlook in outlooks}
    newest: dict[PersonId, list[Interaction]] = defaultdict(list)
    for place in reversed(range(len(acts))):
        kind = ActivityKind(acts.kind[place])
        if interesting(kind):
            newest[acts.person_id[place]].append(Interaction(kind, acts.at[place], acts.attributes[place]))
    found = {}
    for row in rows:
        outlook = by_person.get(row.person_id)
        if outlook is None:
            continue
        person = loaded.rows[row.person_id]
        shown = _shown(person, outlook, newest[row.person_id], row.person_id in stopped)
        advice = "" if row.rule == HAND_OFF else care_of(config, row.rule).advice
        found[row.id] = Brief(subject(shown, row.rule, row.route or SALES), body(shown, at, advice), person)
    return found


def _shown(
    person: lead_store.PersonRow, outlook: Outlook, interactions: Sequence[Interaction], stopped: bool
) -> Person:
    names = [person.attributes.get(name) for name in ("first_name", "last_name")]
    full = " ".join(str(name) for name in names if name)
    score = outlook.scores[0] if outlook.scores else None
    return Person(
        name=f"{full} ({person.email})"
        if full and person.email
        else full or person.email or "somebody without address",
        score=score.value if score else None,
        grade=score.grade if score else None,
        reasons=outlook.reasons.get(score.name, "") if score else "",
        persona=outlook.persona,
        interactions=interactions,
        mail_stopped=stopped or person.opted_out,
    )
