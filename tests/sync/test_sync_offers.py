"""Nothing is offered to one person twice across journeys; what they took up leads to what is next."""

from typing import Any

from leadbridge import clock
from leadbridge.config.fields import WriteBackTarget
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


FILLED: dict[str, Any] = {
    "score": {"mailchimp": "LBSCORE", "fallback": "0"},
    "stage": {"mailchimp": "LBSTAGE", "fallback": "reader"},
    "persona": {"mailchimp": "LBPERSONA", "fallback": "colleague"},
    "topic": {"hubspot": "leadbridge_topic", "mailchimp": "LBTOPIC", "fallback": "our field"},
}


def test_merge_fields_say_score_stage_persona_and_topic_or_what_is_said_where_there_is_none(store: Store) -> None:
    boss = {"traits": [{"name": "leads", "when": {"job_title": {"words": ["director"]}}, "weight": 1}]}
    topic = {"of": "page_view", "take": "most", "value": "topic"}
    unknown = BASE["scores"]["lead"] | {"applies_to": {"job_title": {"words": ["director"]}}}
    sections: dict[str, Any] = {"personas": {"boss": boss}, "behaviour": {"topic": topic}, "scores": {"lead": unknown}}
    with stage(store, journey(TAG), write_back=FILLED, **sections) as made:
        record, nobody = made.lead(ADA, jobtitle="Director"), made.lead("eve@acme.example", jobtitle="Student")
        made.sync()
        with store.writing() as tx:
            now = clock.now()
            seen = [
                Activity(email_key(ADA), ActivityKind.PAGE_VIEW, now, "t", str(n), {"url": "/", "topic": topic})
                for n, topic in enumerate(["costs", "costs", "method"])
            ]
            activities.add_activities(tx, seen, now)
        look(made, made.person(record))
        members = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"]
        filled, empty = members[ADA]["merge_fields"], members["eve@acme.example"]["merge_fields"]
        score = filled.pop("LBSCORE")
        assert 40 < score <= 100
        assert filled == {"LBSTAGE": "mql", "LBPERSONA": "boss", "LBTOPIC": "costs"}
        assert empty == {"LBSCORE": 0, "LBSTAGE": "reader", "LBPERSONA": "colleague", "LBTOPIC": "our field"}
        assert not made.held(nobody).get("leadbridge_topic")  # the CRM says what is known, and nothing else
        before = made.calls("members.patch")
        look(made, made.person(nobody))
        assert made.calls("members.patch") == before  # what a field says already is not written again (G15)


def tags_of(made: Stage, email: str) -> set[str]:
    audience = made.sandbox.mailchimp.core.state.audiences[rooms.AUDIENCE]
    return {audience.tags[number].name for number in made.sandbox.mailchimp.member(email).tags}


def test_who_is_in_a_segment_bears_its_tag_which_starts_no_journey_and_goes_with_the_segment(store: Store) -> None:
    segments = {"bosses": {"job_title": {"words": ["director"]}}, "known": {"score.lead": {"at_least": 10}}}
    back: dict[str, Any] = BASE["write_back"] | {"segments": {"tags": {"bosses": "lb-bosses", "known": "lb-known"}}}
    nobody = journey(TAG, when={"score.lead": {"at_least": 99}})
    with stage(store, nobody, segments=segments, write_back=back) as made:
        made.sandbox.mailchimp.add_journey(31, "a flow somebody made", tag="lb-known", reentry=True)
        ada, _ = made.lead(ADA, jobtitle="Director"), made.lead("eve@acme.example", status="unsubscribed")
        made.lead("absent@acme.example", status=None)
        made.sync()
        assert tags_of(made, ADA) == {"lb-bosses", "lb-known"}
        assert tags_of(made, "eve@acme.example") == {"lb-known"}
        made.edit(ada, jobtitle="Engineer")
        made.sync()
        assert tags_of(made, ADA) == {"lb-known"}
        before = made.calls("members.tags")
        look(made, made.person(ada))
        assert made.calls("members.tags") == before  # what is so already is not set again (G15)
        assert made.entered() == {}  # a tag of a segment is no way past the gate
        assert made.harmless()

        made.config = made.config.model_copy(
            update={"write_back": {**made.config.write_back, "segments": WriteBackTarget(tags={"bosses": "lb-bosses"})}}
        )
        made.parts = made.worker("w2")
        look(made, made.person(ada))
        assert tags_of(made, ADA) == set()  # nobody bears the tag of a segment for which there is none any more


def test_a_tag_of_a_segment_that_was_not_set_is_set_by_the_next_round(store: Store) -> None:
    back: dict[str, Any] = {"segments": {"mailchimp": "LBGROUPS", "tags": {"known": "lb-known"}}}
    with stage(store, segments={"known": {"score.lead": {"at_least": 10}}}, write_back=back) as made:
        made.lead(ADA)
        with moving(made) as time:
            made.fault("status", "members.tags", status=500, times=9)
            made.sync()
            assert tags_of(made, ADA) == set()
            made.sandbox.world.faults.clear()
            time.on(hours=1)
            made.sync()
        assert tags_of(made, ADA) == {"lb-known"}
        assert made.sandbox.mailchimp.member(ADA).merge_fields["LBGROUPS"] == "known"
