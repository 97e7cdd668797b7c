"""A whole audience scored, the compute part: frames in memory, in ranges of 100,000 people; no store is read.

The figure is the engine's time over that of a program written by hand in NumPy for the very same model, in the same
run; both give points per rule, and their scores must agree. The engine's lines are exact integers with every bound,
the program's are floats without lines for bounds, whose sums are rounded to nine decimals before the score is. The
engine's time includes all that `score` does, and not the Python objects that `ScoreFrame.scores` makes for those whose
score is to be stored. Peak memory is the whole process's, with the range at hand.

    python -m benchmarks.engine [--people 1000000] [--activities 20000000] [--quick] [--json]
"""

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks import arguments, tell
from benchmarks.micro_batch import AT, TYPES, columns, model
from leadbridge.columns import DAY_MICROS, Coded, Numbers, micros
from leadbridge.types import ActivityKind
from scoring.compile import compile_model
from scoring.engine import score
from scoring.frames import KIND_CODES, Activities, People

BOUND = 2.0  # of the engine's time to that of the program written by hand
GROWTH = 1.2  # cost of a person at full size to that at a tenth of it
MEMORY_MB = 1000
RANGE = 100_000
KINDS = list(ActivityKind)
Points = NDArray[np.float64]


_NAMES = [rule.name for rule in model().rules]
LINES = [*_NAMES[:14], *_NAMES[20:36], *_NAMES[14:20], *_NAMES[38:], *_NAMES[36:38]]
"""The rules in the order in which the program has them."""


@dataclass(frozen=True)
class ByHand:
    """What the program finds."""

    value: NDArray[np.int64]
    categories: Points  # within their bounds, shape (3, people)
    lines: Points  # of each rule, as in LINES, shape (40, people)


def by_hand(people: People, activities: Activities, at: datetime = AT) -> ByHand:
    """Scores of `micro_batch.model()`, as someone would write them who knew it and nothing else."""
    n, facts, documents = len(people), people.facts.by_name, activities.documents
    age = micros(at) - activities.at
    past = age >= 0

    title, domain = cast("Coded", facts["job_title"]), cast("Coded", facts["email_domain"])
    size, budget = cast("Numbers", facts["employees"]), cast("Numbers", facts["budget"])
    fit = np.zeros((14, n))
    for line, word in enumerate(("vp", "head", "director", "owner", "engineer", "student")):
        has = [bool({word, "chief"} & set(str(one).lower().replace(",", " ").split())) for one in title.values]
        fit[line] = 3 * title.spread(has, False)
    for line, low in enumerate((10, 50, 100, 200, 500, 1000), 6):
        fit[line] = 4 * ((size.values >= low) & (size.values <= 2 * low))
    fit[12] = -10 * domain.spread([one == "mail.example" for one in domain.values], False)
    fit[13] = 10 * (budget.values >= 10000)

    kind = np.where(past, activities.kind, -1)  # what lies ahead is of no kind
    slots = np.full(len(KINDS) + 1, -1)
    for place, each in enumerate(KINDS[1:17]):
        slots[KIND_CODES[each]] = place
    slot = slots[kind]
    rows = np.flatnonzero(slot >= 0)
    worth = 2 * np.exp2(age[rows] / (-21.0 * DAY_MICROS))
    did = np.bincount(activities.person[rows] * 16 + slot[rows], worth, minlength=16 * n).reshape(n, 16)

    views = np.flatnonzero((kind == KIND_CODES["page_view"]) & (age < 30 * DAY_MICROS))
    pages = np.zeros((6, n))
    urls = [str(one["url"]) for one in documents.documents]
    for line, word in enumerate(("pricing", "blog", "demo", "docs", "case", "careers")):
        wanted = np.array([*[f"/{word}" in url for url in urls], False])
        mine = views[wanted[documents.codes[views]]]
        person = activities.person[mine]  # in order of (person, at)
        newest = np.ones(len(mine), np.bool_)
        newest[:-5] = person[5:] != person[:-5]
        mine, person = mine[newest], person[newest]
        pages[line] = np.bincount(person, 4 * np.exp2(age[mine] / (-14.0 * DAY_MICROS)), minlength=n)

    quiet = np.full(n, -15.0)
    quiet[activities.person[past & (age < 60 * DAY_MICROS)]] = 0
    unread = np.full(n, -5.0)
    unread[activities.person[(kind == KIND_CODES["email_opened"]) & (age < 90 * DAY_MICROS)]] = 0

    bought = np.flatnonzero(kind == KIND_CODES["purchase"])
    values = np.array([*[float(str(one["value"])) for one in documents.documents], 0.0])[documents.codes[bought]]
    spent = np.minimum(np.bincount(activities.person[bought], 0.01 * values, minlength=n), 20)
    talks = np.flatnonzero((kind == KIND_CODES["meeting"]) | (kind == KIND_CODES["call"]))
    busy = 5.0 * (np.bincount(activities.person[talks], minlength=n) >= 3)

    engagement = pages.sum(axis=0) + did.sum(axis=1) + quiet + unread
    parts = (np.clip(fit.sum(axis=0), 0, 40), np.clip(engagement, 0, 40), np.clip(spent + busy, 0, 20))
    exact = np.round(np.clip(sum(parts), 0, 100), 9)  # a half stays one, whatever floats made of its decimals
    value = np.floor(exact + 0.5).astype(np.int64)
    return ByHand(value, np.vstack(parts), np.vstack([fit, did.T, pages, quiet, unread, spent, busy]))


@dataclass(slots=True)
class Times:
    """Seconds of processor time (one thread works), and what they were spent on."""

    engine: float = 0
    by_hand: float = 0
    people: int = 0
    activities: int = 0
    differing: int = 0  # people on whose score the two disagree
    scored: int = 0  # sum of scores, so that nothing is left out unseen


def ranges(people: int) -> Iterator[int]:
    """Sizes of the ranges an audience is worked in."""
    for start in range(0, people, RANGE):
        yield min(RANGE, people - start)


def run(people: int, each: int) -> Times:
    compiled = compile_model("lead", model(), TYPES)
    found = Times()
    for size in ranges(people):
        who, done = columns(size, each)
        start = time.process_time()
        frame = score(compiled, who, done, AT)
        found.engine += time.process_time() - start
        who, done = columns(size, each)  # anew: a frame remembers what was read from it
        start = time.process_time()
        simple = by_hand(who, done)
        found.by_hand += time.process_time() - start
        found.people += size
        found.activities += len(done)
        found.differing += int((frame.value != simple.value).sum())
        found.scored += int(frame.value.sum())
    return found


def measure(people: int, activities: int) -> dict[str, Any]:
    each = max(1, round(activities / people))
    run(min(people, RANGE), each)  # warms up
    small, full = run(max(RANGE, people // 10), each), run(people, each)
    ratio = full.engine / full.by_hand
    growth = (full.engine / full.people) / (small.engine / small.people)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "name": "engine",
        "figure": round(ratio, 2),
        "unit": "times a program written by hand for the same model",
        "bound": BOUND,
        "holds": ratio <= BOUND and growth <= GROWTH and memory <= MEMORY_MB and not full.differing,
        "details": {
            "people": full.people,
            "activities": full.activities,
            "rules": len(model().rules),
            "people_in_a_range": RANGE,
            "engine_s": round(full.engine, 2),
            "by_hand_s": round(full.by_hand, 2),
            "people_a_second": round(full.people / full.engine),
            "mean_score": round(full.scored / full.people, 2),
            "scores_that_differ": full.differing,
            "cost_per_person_full_to_tenth": round(growth, 2),
            "bound_of_that": GROWTH,
            "peak_memory_mb": round(memory),
            "bound_of_that_mb": MEMORY_MB,
        },
    }


def main() -> int:
    parser = arguments(__doc__, quick="100,000 people with 20 activities each")
    parser.add_argument("--people", type=int, default=1_000_000, help="how many people")
    parser.add_argument("--activities", type=int, default=20_000_000, help="how many activities, of all together")
    given = parser.parse_args()
    if given.people < 1 or given.activities < 1:
        parser.error("--people and --activities must be 1 or more")
    found = measure(100_000, 2_000_000) if given.quick else measure(given.people, given.activities)
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
