"""Who enters which journey, for a whole audience, and the calls that carrying it out takes.

The figure is the processor time to match and plan 100,000 scored people, in batches as the product takes them. Within
it: the conditions of the journeys (`when`, `until`) are asked of everybody; what the store knows of them is read
(suppressions by person and by every address, the ledger of each person and of each address, who is kept out, what was
offered, who did nothing that commits); every journey of both tracks is decided for each of them, with the reason for
each that is not entered; and the entries and exits that follow are planned, ready to be stored. Two people in three
have a past in the ledger, some of it still running, each at an instant of their own; journeys have priority, rest,
re-entry, variants and hold-outs.

Not within it, and shown beside it: what scoring does anyway in the same step (people and activities are read, scores,
stages and reasons worked out), which `benchmarks.scoring` measures; and storing what was planned.

Then a smaller number is carried out against a sandbox over real HTTP, and its journal is counted: one call for each
start, which nobody can share, and one for each thousand members whose status is read just before.

    python -m benchmarks.enrol [--quick] [--json] [--people N]
"""

import base64
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from benchmarks import arguments, audience, tell
from benchmarks.micro_batch import AT
from leadbridge import clock
from leadbridge.conditions import holds, prepare
from leadbridge.config.catalogue import Asset
from leadbridge.config.connections import MailchimpConnection
from leadbridge.config.guards import Guards
from leadbridge.config.nurture import Nurture
from leadbridge.config.schema import Config
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import due, enrolments, exits, offers, suppressions
from leadbridge.store.rows import insert_all
from leadbridge.store.tables import enrolments as ledger
from leadbridge.store.tables import holdouts, person_keys, persons
from leadbridge.types import EnrolmentState, SuppressionReason, email_key
from sync import enrol, rescore, wiring
from sync.intents import plan_journeys
from sync.loading import load
from sync.uncollected import uncollected

BOUND_SECONDS = 5.0
WHOLE = 100_000
MOST_CALLS = 1.02
"""Calls carried out, in units of the least that the vendor allows."""

ACTIVITIES = 5
DAY = 86_400
BATCH = rescore.BATCH
MEMBERS_A_PAGE = 1000


def config(url: str, mailchimp: str = "https://us1.api.mailchimp.com/3.0") -> Config:
    """The scores of `audience.config`, and eight journeys in two tracks with everything that matching looks at."""

    def journey(name: str, when: dict[str, Any], **more: Any) -> dict[str, Any]:
        how = {} if "variants" in more else {"mailchimp": {"tag": f"lb-{name}", "exit_tag": f"lb-{name}-out"}}
        return {"name": name, "when": when, **how, **more}

    forms = [{"name": form, "share": 0.5, "mailchimp": {"tag": f"lb-{form}"}} for form in ("short", "long")]
    journeys = [
        journey("win back", {"lifecycle_stage": "customer"}, priority=9),
        journey("demo", {"stage": "sql"}, priority=5, phase="decision", holdout=0.1),
        journey("cases", {"stage": "mql"}, variants=forms, holdout=0.1, rest="14d", offers=["cases"]),
        journey("guides", {"score.lead": {"at_least": 10}}, re_enter="new_reason", holdout=0.2, offers=["basics"]),
        journey("basics", {"score.lead": {"below": 10}}, re_enter_after="90d", phase="awareness"),
        journey("webinar", {"score.lead": {"at_least": 30}}, track="events", holdout=0.1),
        journey("fair", {"budget": {"at_least": 20_000}}, track="events", re_enter="after_exit"),
        journey("news", {"job_title": {"present": True}}, track="events", re_enter_after="30d"),
    ]
    plain = audience.config(url)
    account = {
        "api_key": "sandbox-mailchimp-key-us1",
        "audience": "a36b032126",
        "base_url": mailchimp,
        "activities": [],
    }
    caps = {"per_hour": [10**6, "100%"], "per_day": [10**6, "100%"], "surge": 10**6, "loosened_on_purpose": True,
            "canary": {"people": [10**6, "100%"]}, "all_alike_from": 10**6}  # fmt: skip
    return plain.model_copy(
        update={
            "connections": plain.connections.model_copy(
                update={"mailchimp": MailchimpConnection.model_validate(account)}
            ),
            "catalogue": {name: Asset.model_validate({"title": name, "type": "guide"}) for name in ("cases", "basics")},
            "nurture": Nurture.model_validate({"journeys": journeys}),
            "guards": Guards.model_validate(caps),
        }
    )


@contextmanager
def filled(people: int, mailchimp: str = "https://us1.api.mailchimp.com/3.0") -> Iterator[wiring.Parts]:
    """A store with so many people, and the parts over it, at `micro_batch.AT`."""
    with tempfile.TemporaryDirectory(prefix="leadbridge-") as folder:
        url = audience.sqlite_url(Path(folder))
        audience.fill(url, audience.Audience(people, ACTIVITIES))
        os.environ["LEADBRIDGE_KEY"] = base64.b64encode(audience.KEY).decode()
        clock.set_source(lambda: AT)
        parts = wiring.build(config(url, mailchimp), migrate=False)
        try:
            yield parts
        finally:
            parts.close()
            clock.set_source(None)


def with_past(parts: wiring.Parts, people: int) -> None:
    """Of three people one has been in a journey, one is in one, one has no past; a few were kept out, or have left."""
    with parts.store.reading() as tx:
        found = tx.execute(select(persons.c.id, persons.c.email_canonical))
        addresses = {row.id: row.email_canonical for row in found}
    rows = []
    dice = random.Random(7)
    for person in (n for n in range(1, people + 1) if n % 3):
        at = AT - timedelta(seconds=dice.randint(40 * DAY, 160 * DAY) if person % 3 == 1 else dice.randint(0, 6 * DAY))
        name, track = [("guides", "main"), ("news", "events"), ("basics", "main")][person % 7 % 3]
        instants = dict.fromkeys(("created_at", "state_at", "called_at", "due_at", "expires_at"), at)
        rows.append(
            {
                "person_id": person, "journey": name, "entry": 1, "state": EnrolmentState.DONE, "vendor": "mailchimp",
                "address": addresses[person], "trigger": f"lb-{name}", "reason_in": "title vp +3", "track": track,
                "grounds": ["title vp", "title head"], "stage": "mql", **instants,
            }
        )  # fmt: skip
    left = [(addresses[n], SuppressionReason.UNSUBSCRIBED, "benchmark", AT) for n in range(1, people + 1, 50)]
    had = [row for row in rows if row["journey"] == "guides"]
    with parts.store.writing() as tx:
        keys = [{"key": email_key(address), "person_id": person} for person, address in addresses.items()]
        insert_all(tx, person_keys, keys)
        insert_all(tx, ledger, rows)
        offers.offered(tx, [(row["person_id"], "basics", "guides") for row in had], AT)
        insert_all(tx, holdouts, [{"person_id": n, "journey": "webinar", "at": AT} for n in range(1, people + 1, 11)])
        suppressions.suppress(tx, parts.store.vault, left, AT)


@dataclass
class Spent:
    """Seconds of processor time."""

    scoring: float = 0.0  # read and scored: what comes before
    planning: float = 0.0
    storing: float = 0.0  # of entries and exits: what comes after


def plan_everybody(people: int) -> tuple[Spent, Counter[str]]:
    """What it took to match and plan everybody, and what was planned."""
    found: Counter[str] = Counter()
    spent, begin = Spent(), time.process_time()

    def lap() -> float:
        nonlocal begin
        before, begin = begin, time.process_time()
        return begin - before

    with filled(people) as parts:
        with_past(parts, people)
        journeys = parts.config.nurture.journeys
        asked = [prepare(test) for one in journeys for test in (one.when, one.until) if test is not None]
        lap()
        for first in range(1, people + 1, BATCH):
            ids = list(range(first, min(first + BATCH, people + 1)))
            with uncollected():  # as rescoring goes about a batch
                with parts.store.reading() as tx:
                    loaded = load(tx, parts.scorer, ids, AT)
                view = parts.scorer.view(loaded.people, loaded.activities, loaded.stages, AT)
                outlooks = parts.scorer.outlooks(view)
                spent.scoring += lap()
                with parts.store.reading() as tx:
                    for test in asked:  # once more, because this time counts
                        holds(test, view.facts, AT)
                    plan = plan_journeys(tx, parts.store, parts.scorer, loaded, outlooks, AT)
                spent.planning += lap()
                with parts.store.writing() as tx:
                    exits.leave(tx, plan.exits, AT)
                    enrolments.hold_out(tx, plan.held_out, AT)
                    enrolments.intend(tx, plan.intents, AT)
                spent.storing += lap()
            found["entries"] += len(plan.intents)
            found["kept out"] += len(plan.held_out)
            found["exits"] += len(plan.exits)
            found["may not be contacted"] += len(plan.barred)
            found["are to enter none, each journey with its reason"] += sum(
                len(why) == len(journeys) for why in plan.why_not.values()
            )
    return spent, found


def carry_out(people: int) -> dict[str, int]:
    """Calls made, and the least possible, to put so many people of an audience into their journeys at a sandbox."""
    with Sandbox() as sandbox, filled(people, f"{sandbox.url}/3.0") as parts:
        for name, way in parts.config.nurture.ways.items():
            assert way.mailchimp is not None  # noqa: S101 - all of these are
            sandbox.mailchimp.add_journey(len(name) * 1000 + ord(name[0]), name, tag=way.mailchimp.tag)
        with parts.store.reading() as tx:
            for address in tx.execute(select(persons.c.email_canonical)).scalars():
                sandbox.mailchimp.add_member(address, "subscribed")
        with parts.store.writing() as tx:
            due.mark_due(tx, range(1, people + 1), AT)
        rescore.rescore(parts)
        if parts.platform is None:
            raise RuntimeError("the configuration has no e-mail platform")
        done = enrol.enrol(parts.store, parts.platform, parts.config, owner=parts.owner)
        calls = [call.operation for call in sandbox.world.journal]
        entered = sum(effect.kind == "journey_entered" for call in sandbox.world.journal for effect in call.effects)
    if not entered or entered != done.enrolled or done.uncertain or done.refused or done.paused:
        raise RuntimeError(f"{entered} entered; noted was {done}")
    batches = -(-done.enrolled // enrol.BATCH)
    pages = batches * -(-people // MEMBERS_A_PAGE)
    return {"entered": entered, "calls": len(calls), "least calls": entered + pages}


def measure(quick: bool, people: int | None) -> dict[str, Any]:
    count = people or (5000 if quick else WHOLE)
    spent, found = plan_everybody(count)
    carried = carry_out(200 if quick else 2000)
    figure = spent.planning * WHOLE / count
    share = carried["calls"] / carried["least calls"]
    return {
        "name": "enrol",
        "figure": round(figure, 2),
        "unit": "s for 100,000 people",
        "bound": BOUND_SECONDS,
        "holds": figure < BOUND_SECONDS and share <= MOST_CALLS,
        "details": {
            "people": count,
            "journeys": len(config("sqlite://").nurture.journeys),
            "microseconds a person": round(1e6 * spent.planning / count, 1),
            "beside it: read and scored, microseconds a person": round(1e6 * spent.scoring / count, 1),
            "beside it: stored, microseconds a person": round(1e6 * spent.storing / count, 1),
            **{f"planned: {what}": number for what, number in found.items()},
            **{f"carried out: {what}": number for what, number in carried.items()},
            "carried out: calls in units of the least": round(share, 3),
        },
    }


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--people", type=int, help=f"match and plan so many (default {WHOLE:,})")
    given = parser.parse_args()
    found = measure(given.quick, given.people)
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
