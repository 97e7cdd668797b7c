"""Somebody whose scoring, or an event whose reading, ends the process takes nobody else along (fault 15; G8, G14)."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.events import read_event
from leadbridge.store import leases
from leadbridge.store import passes as pass_store
from scoring import engine
from sync import events, passes, rescore
from tests.helpers.syncing import Moving, Stage
from tests.helpers.tally import Tally


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the program catches it, and nothing is undone or given back."""


def until_it_lives(made: Stage, time: Moving, work: Callable[[], object]) -> int:
    """Start the work again after each death, when its leases are over; how often it died."""
    for deaths in range(20):
        try:
            work()
        except Killed:
            time.on(seconds=61)
        else:
            return deaths
    pytest.fail("it dies without end")


def test_a_person_who_ends_the_process_stands_alone_and_is_set_aside(
    made: Stage, time: Moving, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    records = [made.lead() for _ in range(30)]
    made.sync()
    time.on(minutes=1)
    bad = made.person(records[17])
    whole = rescore._batch

    def kills(*given: Any) -> None:
        if any(claim.person_id == bad for claim in given[1]):
            raise Killed
        whole(*given)

    for record in records:
        made.edit(record, jobtitle="Director")
    monkeypatch.setattr(rescore, "_batch", kills)
    deaths = until_it_lives(made, time, made.sync)
    assert deaths <= leases.GIVEN_UP
    assert [item.ref for item in made.quarantined()] == [str(bad)]
    held = [made.held(record).get("leadbridge_score") for record in records]
    tally(15, trials=deaths, lost=29 - held.count("55"))
    monkeypatch.undo()
    time.on(days=1, minutes=1)
    made.sync()
    assert made.held(records[17])["leadbridge_score"] == "55"


def test_an_event_that_ends_the_process_stands_alone_and_is_set_aside(
    made: Stage, time: Moving, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    records = [made.lead() for _ in range(30)]
    made.sync()
    whole = read_event

    def kills(vendor: str, body: bytes) -> Any:
        if records[17].encode() in body:
            raise Killed
        return whole(vendor, body)

    monkeypatch.setattr(events, "read_event", kills)
    for record in records:
        made.edit(record, jobtitle="Director")
    made.event(*({"subscriptionType": "contact.propertyChange", "objectId": int(record)} for record in records))
    deaths = until_it_lives(made, time, made.act)
    assert deaths <= leases.GIVEN_UP
    (item,) = made.quarantined()
    assert item.source == "inbox:hubspot"
    held = [made.held(record)["leadbridge_score"] for record in records]
    tally(15, trials=deaths, lost=29 - held.count("55"))


def test_a_person_who_ends_every_pass_over_everybody_is_found_and_set_aside(
    made: Stage, time: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [made.lead() for _ in range(30)]
    made.sync()
    bad, whole = made.person(records[17]), engine.score

    def kills(model: Any, people: Any, *given: Any) -> Any:
        if bad in people.ids.tolist():
            raise Killed
        return whole(model, people, *given)

    for record in records:
        made.edit(record, jobtitle="Director")
    monkeypatch.setattr(engine, "score", kills)
    time.on(minutes=1)
    with pytest.raises(Killed):
        made.sync()
    passes.ask(made.parts)

    def go_through() -> None:
        while passes.step(made.parts, rescore.Rescored()):
            pass

    time.on(seconds=61)
    assert until_it_lives(made, time, go_through) == leases.GIVEN_UP
    with made.store.reading() as tx:
        assert pass_store.remaining(tx) == 0
    deaths = until_it_lives(made, time, made.sync)
    assert deaths <= leases.GIVEN_UP
    assert [item.ref for item in made.quarantined()] == [str(bad)]
    assert [made.held(record).get("leadbridge_score") for record in records].count("55") == 29


def test_workers_that_are_killed_for_other_reasons_set_nobody_aside(
    made: Stage, time: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [made.lead() for _ in range(10)]
    made.sync()
    time.on(minutes=1)
    for record in records:
        made.edit(record, jobtitle="Director")
    whole, left = rescore._batch, iter(range(8))

    def dies(*given: Any) -> None:
        if next(left, None) is not None:
            raise Killed
        whole(*given)

    monkeypatch.setattr(rescore, "_batch", dies)
    until_it_lives(made, time, made.sync)
    assert made.quarantined() == []
    assert {made.held(record)["leadbridge_score"] for record in records} == {"55"}
