"""A company's score is of all its people, and follows when one of them moves, with bounded work."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from leadbridge.config.scores import ScoreModel
from leadbridge.store import Store, due, leads
from leadbridge.store import scores as score_store
from scoring.compile import compile_model
from sync import forget, passes
from sync.explain import explain
from tests.helpers.syncing import BASE, Stage, moving, stage

SCORES: dict[str, Any] = {
    "lead": BASE["scores"]["lead"],
    "account": {
        "categories": {"people": {"max": 1000}},
        "max": 1000,
        "rules": [{"name": "its people", "category": "people", "each": "company.lead", "points": 1}],
    },
}


def companies(how: str) -> dict[str, Any]:
    others = {"not": {"email_domain": {"in": "free_mail_domains"}}}
    return {"by": "email_domain", "where": others, "scores": {"lead": how}, "settle": "10m"}


@pytest.fixture(params=["best", "sum"])
def made(request: pytest.FixtureRequest, store: Store) -> Iterator[Stage]:
    with stage(store, scores=SCORES, company=companies(request.param)) as found:
        yield found


def accounts(made: Stage, *records: str) -> list[int | None]:
    people = [made.person(record) for record in records]
    with made.store.reading() as tx:
        found = score_store.current_scores(tx, people)
    return [row.value if (row := found[person].get("account")) else None for person in people]


def test_the_score_of_a_company_is_of_all_its_people_and_follows_each_of_them(made: Stage) -> None:
    together = made.config.company and made.config.company.scores["lead"] == "sum"
    with moving(made) as time:
        boss = made.lead("boss@acme.example", jobtitle="Director")  # 55
        clerk = made.lead("clerk@ACME.example")  # 15
        alone = made.lead("one@other.example")
        private = made.lead("someone@gmail.com")
        made.sync()
        assert accounts(made, boss, clerk) == [70 if together else 55] * 2
        assert accounts(made, alone, private) == [15, 0]
        time.on(hours=1)
        made.act()  # at rest
        person = made.person(clerk)
        with made.store.writing() as tx:  # of the clerk alone something new is known: 0 now
            known = leads.people(tx, [person])[person]
            leads.save_people(tx, [replace(known, attributes={})], made.now())
            due.mark_due(tx, [person], made.now())
        assert made.act().rescored.people == 1
        time.on(minutes=9)
        assert made.act().rescored.people == 0
        time.on(minutes=2)
        assert made.act().rescored.people == 1  # the boss, and nobody of another company
        assert accounts(made, boss, clerk) == [55, 55]
        time.on(hours=1)
        made.edit(boss, email="boss@other.example")
        made.sync()
        time.on(minutes=11)
        made.act()
        assert accounts(made, boss, alone) == [70 if together else 55] * 2
        assert accounts(made, clerk) == [15]
        time.on(minutes=11)
        assert made.act().rescored.people == 0  # it has come to rest


def test_who_is_erased_or_merged_away_no_longer_counts_for_the_company(made: Stage) -> None:
    together = made.config.company and made.config.company.scores["lead"] == "sum"
    with moving(made) as time:
        clerk = made.lead("clerk@acme.example")  # 15
        made.lead("boss@acme.example", jobtitle="Director")  # 55
        one, other = made.lead("a@other.example"), made.lead("b@other.example")
        friend = made.lead("friend@other.example")
        made.sync()
        assert accounts(made, clerk, friend) == ([70, 45] if together else [55, 15])
        time.on(hours=1)
        made.act()  # at rest
        forget.forget(made.store, "boss@acme.example", "tester")
        with made.store.writing() as tx:
            leads.merge_people(tx, made.person(one), made.person(other), made.now())
        made.act()
        assert accounts(made, clerk, friend) == [15, 30 if together else 15]


def test_a_past_instant_is_explained_by_what_colleagues_scored_then(made: Stage) -> None:
    together = made.config.company and made.config.company.scores["lead"] == "sum"
    with moving(made) as time:
        boss, clerk = made.lead("boss@acme.example", jobtitle="Director"), made.lead("clerk@acme.example")  # 55, 15
        made.sync()
        then, person = made.now(), made.person(boss)
        time.on(hours=2)
        with made.store.writing() as tx:  # nothing is known of the boss any more
            known = leads.people(tx, [person])[person]
            leads.save_people(tx, [replace(known, attributes={})], made.now())
            due.mark_due(tx, [person], made.now())
        made.act()
        time.on(hours=2)
        made.act()

        def account(at: datetime | None) -> int:
            found = explain(made.store, made.parts.scorer, "clerk@acme.example", at)
            assert found is not None
            return {score.name: score.value for score in found.scores}["account"]

        assert account(None) == accounts(made, clerk)[0]
        assert account(then) == (70 if together else 55) > account(None)


def test_a_pass_over_everybody_says_the_same(made: Stage) -> None:
    records = [made.lead(f"p{number}@acme.example") for number in range(3)]
    made.sync()
    before = accounts(made, *records)
    done = passes.everybody(made.parts)
    assert (done.seen, done.changed, accounts(made, *records)) == (3, 0, before)


def test_a_score_cannot_be_part_of_what_its_company_adds_to_it() -> None:
    rule = {"name": "round", "category": "fit", "each": "company.lead", "points": 1}
    lead = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [rule]})
    with pytest.raises(ValueError, match=r"no number 'company.lead'"):
        compile_model("lead", lead, {}, company={"lead": "best"})
