"""What somebody did just now is in the CRM before what time or new rules brought, however much of that waits."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from leadbridge import clock
from leadbridge.store import Store, due, leads
from sync import cycle, rescore
from tests.helpers.syncing import BASE, Stage, configuration, stage

PEOPLE = 250  # three calls of a hundred


@pytest.fixture
def made(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Everybody is scored, and their scores are in the CRM."""
    monkeypatch.setattr(rescore, "BATCH", 64)
    with stage(store) as found:
        for _ in range(PEOPLE):
            found.lead()
        found.sync()
        yield found


def other_rules(made: Stage) -> Stage:
    """The same company, whose file now gives everybody other points."""
    scores: Any = copy.deepcopy(BASE["scores"])
    scores["lead"]["rules"][1]["points"] = 20
    return Stage(made.sandbox, made.store, configuration(made.sandbox.url, scores=scores))


def written(made: Stage, since: int) -> list[list[str]]:
    """What each call made of the scores it wrote, in order."""
    calls = [call for call in made.sandbox.world.journal if call.operation == "contacts.batch.update"]
    return [
        [e.detail["new"] for e in call.effects if e.detail.get("name") == "leadbridge_score"]
        for call in calls[since:]
    ]  # fmt: skip


@pytest.mark.parametrize(("meanwhile", "before"), [("scored", 0), ("written", 1)])
@pytest.mark.parametrize("backlog", ["a pass over everybody", "decay of everybody"])
def test_a_hot_signal_overtakes_a_backlog_on_all_its_way_into_the_crm(
    made: Stage, backlog: str, meanwhile: str, before: int
) -> None:
    with made.store.reading() as tx:
        people = leads.all_person_ids(tx, 0, PEOPLE)
    made = other_rules(made)
    if backlog == "decay of everybody":
        made.parts.rules_noted = True
        with made.store.writing() as tx:
            due.mark_due(tx, people, clock.now(), due.Lane.BACKGROUND)
    record = max(made.sandbox.hubspot.dump()["objects"]["contacts"], key=int)  # whose turn would be the last
    since = made.calls("contacts.batch.update")
    ringing: list[str] = []
    shown: list[str | None] = []  # of that record, whenever more of the backlog is scored

    def tell(what: str, _count: int) -> None:
        if what == "scored" and since < made.calls("contacts.batch.update"):
            shown.append(made.held(record).get("leadbridge_score"))
        if what == meanwhile and not ringing:
            made.edit(record, jobtitle="Director")
            made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
            ringing.extend(["just now", "heard"])

    done = cycle.act(made.parts, tell=tell, rung=lambda: len(ringing) > 1 and bool(ringing.pop()))
    calls = written(made, since)
    assert calls[before] == ["60"]
    if meanwhile == "scored":
        assert set(shown) == {"60"}
    assert sorted(map(len, calls)) == [1, 49, 100, 100]
    assert done.written.written == PEOPLE
