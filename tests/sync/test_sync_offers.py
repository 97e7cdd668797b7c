"""Nothing is offered to one person twice across journeys; what they took up leads to what is next."""

from typing import Any

from leadbridge import clock
from leadbridge.store import Store, activities, due, offers
from leadbridge.types import Activity, ActivityKind, email_key
from sync.explain import explain
from tests.helpers import rooms
from tests.helpers.syncing import BASE, TAG, TRIGGER, Stage, journey, moving, stage

ADA = "ada@acme.example"
CATALOGUE = {
    "basics": {"title": "The basics", "type": "guide", "url": "https://acme.example/basics"},
    "costs": {"title": "What it costs", "type": "white_paper", "url": "https://acme.example/costs"},
}


def look(made: Stage, person: int) -> None:
    with made.store.writing() as tx:
        due.mark_due(tx, [person], clock.now())
    made.act()


def test_what_one_journey_offered_no_other_offers_again(store: Store) -> None:
    journeys = (journey(TAG, track="one", offers=["basics"]), journey(TRIGGER, track="two", offers=["basics", "costs"]))
    with stage(store, *journeys, catalogue=CATALOGUE) as made:
        record = made.lead(ADA)
        made.sync()
        look(made, made.person(record))
        assert [(row.journey, row.state.value) for row in made.ledger()] == [(TAG, "done")]
        with store.reading() as tx:
            held = offers.of(tx, [made.person(record)])[made.person(record)]
        assert {(one.asset, one.journey) for one in held.values()} == {("basics", TAG)}


def test_what_was_taken_up_is_noted_and_the_next_asset_is_shown_with_its_reason(store: Store) -> None:
    back: dict[str, Any] = BASE["write_back"] | {
        "next_asset": {"hubspot": "leadbridge_next", "mailchimp": "LBNEXT"},
        "next_asset_reason": {"hubspot": "leadbridge_next_why"},
    }
    with stage(store, journey(TAG), catalogue=CATALOGUE, write_back=back) as made:
        record = made.lead(ADA)
        made.sync()
        assert made.held(record)["leadbridge_next"] == "The basics"
        with store.writing() as tx:
            now = clock.now()
            seen = {"url": "http://www.acme.example/basics/?utm=1"}
            activities.add_activities(tx, [Activity(email_key(ADA), ActivityKind.PAGE_VIEW, now, "t", "1", seen)], now)
        look(made, made.person(record))
        assert made.held(record)["leadbridge_next"] == "What it costs"
        assert made.held(record)["leadbridge_next_why"] == "for everybody"
        member = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"][ADA]
        assert member["merge_fields"]["LBNEXT"] == "What it costs"


def test_education_progress_is_a_field_that_conditions_may_look_at(store: Store) -> None:
    taught = {name: asset | {"teaches": True} for name, asset in CATALOGUE.items()}
    learned = journey(TRIGGER, when={"education": {"at_least": 50}})
    with stage(store, learned, catalogue=taught) as made:
        record = made.lead(ADA)
        made.sync()
        assert made.ledger() == []
        with store.writing() as tx:
            now = clock.now()
            seen = {"url": "https://acme.example/costs"}
            activities.add_activities(tx, [Activity(email_key(ADA), ActivityKind.PAGE_VIEW, now, "t", "1", seen)], now)
        look(made, made.person(record))
        assert [row.journey for row in made.ledger()] == [TRIGGER]


def test_a_past_instant_knows_nothing_of_what_was_learned_after_it(store: Store) -> None:
    taught = {name: asset | {"teaches": True} for name, asset in CATALOGUE.items()}
    lead = {
        "categories": {"fit": {}},
        "rules": [{"name": "learned", "category": "fit", "each": "education", "points": 1}],
    }
    with stage(store, catalogue=taught, scores={"lead": lead}, stages={}, write_back={}) as made, moving(made) as time:
        record = made.lead(ADA)
        made.sync()
        before = made.now()
        time.on(days=3)
        with store.writing() as tx:
            seen = {"url": "https://acme.example/costs"}
            row = Activity(email_key(ADA), ActivityKind.PAGE_VIEW, made.now(), "t", "1", seen)
            activities.add_activities(tx, [row], made.now())
        look(made, made.person(record))
        found = [explain(store, made.parts.scorer, ADA, at) for at in (None, made.now(), before)]
        assert [[score.value for score in one.scores] for one in found if one] == [[50], [50], [0]]


def test_the_journey_a_person_is_in_is_shown_in_the_crm(store: Store) -> None:
    back: dict[str, Any] = BASE["write_back"] | {"journey": {"hubspot": "leadbridge_journey"}}
    with stage(store, journey(TAG), write_back=back) as made:
        inside, outside = made.lead(ADA), made.lead("left@acme.example", status="unsubscribed")
        made.sync()
        assert made.held(inside)["leadbridge_journey"] == TAG
        assert not made.held(outside).get("leadbridge_journey")
