"""A batch of changed people, as after a webhook: 1, 10 and 100 of them, 40 rules, 20 activities each, from SQLite.

The figure is the processor time for 100 people of what a worker does before it stores: load what is stored of them,
score, and plan what each CRM record has to show. Beside it stand its parts, the storing (scores, history, stage,
outbox, in one transaction), and the engine alone on frames in memory, at two sizes, to see that it stays linear.

    python -m benchmarks.micro_batch [--quick] [--json]
"""

import base64
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import arguments, tell
from leadbridge.columns import Coded, Columns, Numbers, micros
from leadbridge.config.scores import ScoreModel
from leadbridge.types import ActivityKind, Value
from scoring import explain
from scoring.compile import CompiledModel, compile_model
from scoring.engine import score
from scoring.frames import KIND_CODES, Activities, Documents, People, activities_frame, people_frame

T = TypeVar("T")
BOUND_MS = 30.0
AT = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = {"job_title": "text", "email_domain": "text", "employees": "integer", "budget": "number"}
TITLES = [
    "VP of Sales",
    "Head of Marketing",
    "Student",
    "Chief Officer",
    "Engineer",
    "Director, EMEA",
    "Intern",
    "Owner",
]
URLS = [f"https://acme.example/{page}" for page in ("pricing", "blog/a", "blog/b", "demo", "docs", "careers", "case/x")]
KINDS = [KIND_CODES[kind] for kind in ActivityKind][:20]


def model() -> ScoreModel:
    """Forty rules of every sort, about as many of each as in real files."""
    rules: list[dict[str, Any]] = [
        {"name": f"title {word}", "category": "fit", "when": {"job_title": {"words": [word, "chief"]}}, "points": 3}
        for word in ("vp", "head", "director", "owner", "engineer", "student")
    ]
    rules += [
        {"name": f"size {low}", "category": "fit", "when": {"employees": {"between": [low, 2 * low]}}, "points": 4}
        for low in (10, 50, 100, 200, 500, 1000)
    ]
    rules += [
        {"name": "free mail", "category": "fit", "when": {"email_domain": {"in": ["mail.example"]}}, "points": -10},
        {"name": "budget", "category": "fit", "when": {"budget": {"at_least": 10000}}, "points": 10},
    ]
    rules += [
        {"name": f"page {word}", "category": "engagement", "activity": "page_view", "points": 4, "at_most": 5,
         "where": {"url": {"contains": f"/{word}"}}, "within": "30d", "half_life": "14d"}
        for word in ("pricing", "blog", "demo", "docs", "case", "careers")
    ]  # fmt: skip
    rules += [
        {"name": f"did {kind}", "category": "engagement", "activity": kind.value, "points": 2, "half_life": "21d"}
        for kind in list(ActivityKind)[1:17]
    ]
    rules += [
        {"name": "spent", "category": "value", "activity": "purchase", "each": "value", "points": 0.01, "cap": 20},
        {"name": "busy", "category": "value", "activity": ["meeting", "call"], "at_least": 3, "points": 5},
        {"name": "quiet", "category": "engagement", "no_activity_for": "60d", "points": -15},
        {"name": "no mail opened", "category": "engagement", "activity": "email_opened", "no_activity_for": "90d",
         "points": -5},
    ]  # fmt: skip
    categories = {"fit": {"max": 40}, "engagement": {"max": 40}, "value": {"max": 20}}
    return ScoreModel.model_validate({"categories": categories, "rules": rules, "grades": {"A": 30, "B": 15, "C": 5}})


def batch(size: int, each: int) -> tuple[list[dict[str, Value]], list[tuple[int, str, datetime, dict[str, Value]]]]:
    """Facts and activities of `size` invented people, as Python rows."""
    dice = random.Random(7)
    kinds = list(ActivityKind)[:20]
    facts: list[dict[str, Value]] = [
        {
            "job_title": f"{dice.choice(TITLES)} {dice.randrange(50)}",
            "email_domain": dice.choice(["mail.example", "acme.example", f"c{dice.randrange(60)}.example"]),
            "employees": dice.choice([None, dice.randrange(5, 3000)]),
            "budget": dice.choice([None, dice.random() * 30000]),
        }
        for _ in range(size)
    ]
    done: list[tuple[int, str, datetime, dict[str, Value]]] = [
        (
            person,
            dice.choice(kinds),
            AT - timedelta(seconds=dice.randrange(-86400, 180 * 86400)),
            {"url": f"{dice.choice(URLS)}/{dice.randrange(20)}", "value": dice.randrange(900)},
        )
        for person in range(size)
        for _ in range(each)
    ]
    return facts, done


def columns(size: int, each: int) -> tuple[People, Activities]:
    """The same as columns, without a Python object per row; in order of (person, at) as a store delivers them."""
    dice = np.random.default_rng(7)
    titles = [f"{title} {n}" for title in TITLES for n in range(500)]
    domains = [f"c{n}.example" for n in range(20_000)]
    facts = Columns(
        size,
        {
            "job_title": Coded(dice.integers(-1, len(titles), size, np.int32), titles),
            "email_domain": Coded(dice.integers(0, len(domains), size, np.int32), domains),
            "employees": Numbers(np.where(dice.random(size) < 0.5, np.nan, dice.integers(5, 3000, size))),
            "budget": Numbers(np.where(dice.random(size) < 0.5, np.nan, dice.random(size) * 30000)),
        },
    )
    people = People(np.arange(size, dtype=np.int64), facts)
    count = size * each
    documents: list[dict[str, Value]] = [{"url": f"{URLS[n % len(URLS)]}/{n}", "value": n % 900} for n in range(20_000)]
    activities = Activities(
        np.sort(dice.integers(0, size, count, np.int32)),
        dice.choice(np.array(KINDS, np.int8), count),
        micros(AT) - dice.integers(-86_400_000_000, 180 * 86_400_000_000, count, np.int64),
        Documents(dice.integers(-1, len(documents), count, np.int32), documents),
    )
    return people, activities.in_order()


def timed(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of processor time of each run (one thread works), after one that warms up."""
    return timed_on(lambda: None, lambda _: work(), runs)


def timed_on(prepare: Callable[[], T], work: Callable[[T], object], runs: int) -> list[float]:
    """The same for work on something that is made anew for each run, outside the time."""
    work(prepare())
    found: list[float] = []
    for _ in range(runs):
        given = prepare()
        start = time.process_time()
        work(given)
        found.append(1000 * (time.process_time() - start))
    return found


def from_store(people: int, sizes: Sequence[int], runs: int) -> dict[str, Any]:
    """Milliseconds of processor time (medians) for batches of these sizes out of so many people."""
    from benchmarks import audience  # it asks this module for its rules
    from leadbridge import clock
    from leadbridge.store import due
    from leadbridge.store import leads as lead_store
    from sync import rescore, wiring, wishes
    from sync.loading import load

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="leadbridge-") as folder:
        url = audience.sqlite_url(Path(folder))
        audience.fill(url, audience.Audience(people, 20))
        os.environ["LEADBRIDGE_KEY"] = base64.b64encode(audience.KEY).decode()
        clock.set_source(lambda: AT)
        parts = wiring.build(audience.config(url), migrate=False)
        scorer, crms = parts.scorer, parts.crms
        for size in sizes:
            spent = defaultdict(list)
            for run in range(runs + 3):
                ids = random.Random(run).sample(range(1, people + 1), size)
                marks = [time.process_time()]
                with parts.store.reading() as tx:
                    loaded = load(tx, scorer, ids, AT)
                marks.append(time.process_time())
                outlooks = scorer.outlook(loaded.people, loaded.activities, loaded.stages, AT)
                marks.append(time.process_time())
                with parts.store.reading() as tx:
                    records = lead_store.refs_of(tx, ids, crms[0].vendor)
                planned = [
                    wishes.changes(crms[0], outlook.wanted, record.written)
                    for outlook in outlooks
                    for record in records[outlook.person_id]
                ]
                marks.append(time.process_time())
                with parts.store.writing() as tx:
                    held = due.seize(tx, {**dict.fromkeys(ids), **due.standing(tx, ids)})
                    rescore.save(tx, parts, loaded, outlooks, held, AT, rescore.Rescored())
                marks.append(time.process_time())
                if len(planned) != size or len(held) != size:
                    raise RuntimeError(f"{len(planned)} planned and {len(held)} stored, of {size}")
                if run >= 3:  # those before warm up
                    for part, (start, end) in zip(("load", "score", "plan", "store"), pairwise(marks), strict=True):
                        spent[part].append(1000 * (end - start))
            medians = {part: statistics.median(times) for part, times in spent.items()}
            found |= {f"{size}_{part}_ms": round(each, 2) for part, each in medians.items()}
            found[f"{size}_load_score_plan_ms"] = round(sum(medians.values()) - medians["store"], 2)
        parts.close()
        clock.set_source(None)
    return found


def measure(quick: bool) -> dict[str, Any]:
    compiled: CompiledModel = compile_model("lead", model(), TYPES)
    facts, done = batch(100, 20)

    def frames() -> tuple[People, Activities]:
        people = people_frame(range(100), facts, TYPES)
        return people, activities_frame(people, done)

    def whole() -> list[str]:
        return [explain.reasons(one.contributions) for one in score(compiled, *frames(), AT).scores()]

    runs = 30 if quick else 200
    stored = from_store(1000 if quick else 20_000, (1, 10, 100), runs)
    scoring = timed_on(frames, lambda built: score(compiled, *built, AT), runs)  # a frame remembers what it read
    everything = timed(whole, runs)
    small, large = (10_000, 50_000) if quick else (250_000, 1_000_000)
    per_person = {}
    for size in (small, large):
        per_person[size] = min(timed(partial(score, compiled, *columns(size, 20), AT), 3)) / size
    figure = stored["100_load_score_plan_ms"]
    return {
        "name": "micro_batch",
        "figure": figure,
        "unit": "ms",
        "bound": BOUND_MS,
        "holds": figure < BOUND_MS,
        "details": {
            "rules": len(compiled.rules),
            "activities_each": 20,
            **stored,
            "engine_alone_100_ms": round(statistics.median(scoring), 2),
            "rows_in_memory_to_scores_with_reasons_100_ms": round(statistics.median(everything), 2),
            "engine_cost_per_person_large_to_small": round(per_person[large] / per_person[small], 2),
        },
    }


def main() -> int:
    given = arguments(__doc__).parse_args()
    found = measure(given.quick)
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
