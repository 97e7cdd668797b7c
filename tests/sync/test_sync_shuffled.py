"""Order, repeats and company change nothing about the end (reliability G11, G15, G19; faults 5, 26 and 31)."""

import json
import random
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import urllib3
from sqlalchemy import make_url

from leadbridge import clock
from leadbridge.store import Store, due, leads, open_store
from leadbridge.types import EnrolmentState
from sync import cycle, wiring
from tests.helpers.databases import KEY
from tests.helpers.storedump import dump
from tests.helpers.syncing import TAG, TRIGGER, Stage, journey, moving, stage
from tests.helpers.tally import Tally

# --- in any order -----------------------------------------------------------------------------------------------------


def story(made: Stage) -> list[tuple[str, dict[str, Any]]]:
    """What happens at both vendors after a first round; returns the events that tell of it: vendor and body."""
    at = {"occurredAt": 1795312799000}
    ada, cy, dora = (made.lead(f"{name}@acme.example") for name in ("ada", "cy", "dora"))
    made.lead("bob@acme.example")
    made.sync()
    for title in ("Director", "Engineer", "Director"):
        made.edit(ada, jobtitle=title)
    made.sandbox.mailchimp.person_unsubscribes("bob@acme.example")
    made.sandbox.hubspot.archive_contact(cy)
    made.edit(dora, email="dora@new.example")
    eve = made.lead("eve@acme.example", jobtitle="Director")

    def hubspot(record: str, what: str, late: int, **more: Any) -> tuple[str, dict[str, Any]]:
        told = {"subscriptionType": f"contact.{what}", "objectId": int(record)}
        return "hubspot", told | at | {"occurredAt": at["occurredAt"] + late} | more

    def mailchimp(kind: str, email: str, minute: int, **more: str) -> tuple[str, dict[str, Any]]:
        return "mailchimp", {"type": kind, "fired_at": f"2026-11-22 12:{minute:02}:00", "data[email]": email} | more

    return [
        *(hubspot(ada, "propertyChange", n, propertyName="jobtitle", propertyValue=f"Old {n}") for n in range(4)),
        hubspot(cy, "propertyChange", 1, propertyName="jobtitle", propertyValue="Director"),
        hubspot(cy, "deletion", 5),
        hubspot(dora, "propertyChange", 2, propertyName="email", propertyValue="dora@acme.example"),
        hubspot(dora, "propertyChange", 3, propertyName="email", propertyValue="dora@new.example"),
        hubspot(eve, "creation", 1),
        hubspot(eve, "propertyChange", 2, propertyName="jobtitle", propertyValue="Engineer"),
        mailchimp("subscribe", "bob@acme.example", 1),
        mailchimp("unsubscribe", "bob@acme.example", 2, **{"data[action]": "unsub"}),
        mailchimp("profile", "bob@acme.example", 3),
        mailchimp("subscribe", "eve@acme.example", 4),
    ]


def control(made: Stage, what: str) -> None:
    with urllib3.PoolManager() as pool:
        assert pool.request("POST", f"{made.sandbox.url}/_sandbox/{what}", json={}).status < 300


def delivered(made: Stage, told: list[tuple[str, dict[str, Any]]], seed: int) -> None:
    """All events, some of them up to three times, in an order drawn from the seed and a few at a time."""
    drawn = random.Random(seed)
    keyed = [(vendor, f"event {number}", body) for number, (vendor, body) in enumerate(told)]
    queue = [one for one in keyed for _ in range(drawn.randint(1, 3))] if seed else keyed
    if seed:
        drawn.shuffle(queue)
    while queue:
        now, queue = queue[: (few := drawn.randint(1, 6))], queue[few:]
        for vendor, key, body in now:
            made.keep((key, json.dumps(body).encode()), vendor=vendor)
        made.act()


@contextmanager
def copy_of(url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a copy of a store that nobody has open, gone afterwards."""
    if url.startswith("sqlite"):
        folder: Path = request.getfixturevalue("tmp_path")
        file = Path(shutil.copyfile(url.removeprefix("sqlite:///"), folder / f"{uuid4().hex}.db"))
        yield f"sqlite:///{file}"
        file.unlink()
        return
    with request.getfixturevalue("postgres_server").database(make_url(url).database) as copy:
        yield copy


@pytest.mark.parametrize(
    ("store_url", "seeds"),
    [(database, 6) for database in ("sqlite", "postgresql")]
    + [pytest.param(database, 200, marks=pytest.mark.slow) for database in ("sqlite", "postgresql")],
    indirect=["store_url"],
)
def test_however_events_are_shuffled_repeated_and_late_the_end_is_the_same(
    store: Store, store_url: str, request: pytest.FixtureRequest, seeds: int, tally: Tally
) -> None:
    with ExitStack() as stack:
        made = stack.enter_context(stage(store, journey(TAG)))
        time = stack.enter_context(moving(made))
        told = story(made)
        control(made, "snapshot")
        store.close()
        before = stack.enter_context(copy_of(store_url, request))
        ends, began, twice = [], time.at, 0
        for seed in range(seeds):
            control(made, "reset")
            time.at = began
            time.on(seconds=0)
            with copy_of(before, request) as copy:
                opened = open_store(copy, key=KEY)
                run = Stage(made.sandbox, opened, made.config)
                delivered(run, told, seed)
                time.on(seconds=61)
                run.sync(full=True)  # what we wrote ourselves is read again sooner or later
                twice += sum(run.entered().values()) - len(run.entered())
                assert run.harmless()
                opened.close()
                ends.append((run.sandbox.hubspot.dump()["objects"]["contacts"], dump(copy)))
        differ = []
        for seed, (contacts, said) in enumerate(ends):
            scores = {
                row["properties"]["email"]: row["properties"].get("leadbridge_score") for row in contacts.values()
            }
            if said != ends[0][1] or not scores["ada@acme.example"] == scores["eve@acme.example"] == "55":
                differ.append(seed)
        assert ["bob@acme.example", "unsubscribed"] in ends[0][1]["suppressed"]
        tally(5, trials=seeds, duplicate=twice, wrong=len(differ), seed=differ[0] if differ else None)


# --- nothing new ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_people_who_have_not_changed_are_not_written(store: Store, tally: Tally) -> None:
    with stage(store) as made:
        for number in range(10_000):
            made.lead(f"lead{number}@acme.example", None)
        assert made.sync().written.written == 10_000
        before = made.calls("contacts.batch.update")
        with store.writing() as tx:
            due.mark_due(tx, everybody(store), clock.now())
        again = made.sync(full=True)
        assert again.rescored.writes == 0
        assert again.rescored.people == 10_000
        tally(26, trials=10_000, duplicate=again.written.written)
        assert made.calls("contacts.batch.update") == before
        assert made.effects("property_written_equal") == []


def everybody(store: Store) -> list[int]:
    with store.reading() as tx:
        return leads.all_person_ids(tx, 0, 100_000)


# --- through several paths at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [TAG, TRIGGER])
def test_one_person_hot_through_three_paths_and_eight_workers_is_mailed_once(
    store: Store, store_url: str, name: str, rounds: int
) -> None:
    """A webhook tells of it, a pull finds it, somebody has them scored again: all at once, over stores of their own."""
    with ExitStack() as stack:
        made = stack.enter_context(stage(store, journey(name)))
        workers = []
        for number in range(8):
            opened = open_store(store_url, key=KEY)
            stack.callback(opened.close)
            workers.append(replace(made.worker(f"w{number}"), store=opened))
        for number in range(rounds):
            address = f"lead{number}@acme.example"
            record = made.lead(address, jobtitle="")
            made.sync()
            assert made.entered()[address] == 0
            made.edit(record, jobtitle="Director")
            made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
            with store.writing() as tx:
                due.mark_due(tx, [made.person(record)], clock.now())
            together(made, workers)
            made.sync()
            assert made.entered()[address] == 1
        assert set(made.entered().values()) == {1}
        assert made.states() == {EnrolmentState.DONE: rounds}


def together(made: Stage, workers: list[wiring.Parts]) -> None:
    barrier = threading.Barrier(len(workers))

    def work(number: int) -> None:
        barrier.wait()
        if number % 3 == 0:
            cycle.sync(workers[number])
        else:
            made.act(workers[number])

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, range(len(workers))))
