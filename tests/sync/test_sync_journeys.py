"""The right journey for each person, left when it is over, and everybody else explained (requirements 55-84)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.readonly import DryRunError, read_only
from leadbridge import clock
from leadbridge.store import Store, activities, due, enrolments, exits, policies, scores, stops, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.tables import enrolments as ledger
from leadbridge.types import Activity, ActivityKind, EnrolmentState, SuppressionReason, email_key
from sync import bounds, coverage, enrol, passes, preview, release
from sync.intents import Plan, plan_journeys
from sync.loading import load
from tests.helpers.store_people import people
from tests.helpers.syncing import BASE, MANY, TAG, TRIGGER, Stage, configuration, journey, moving, stage
from tests.webhooks.conftest import on_sqlite

S = EnrolmentState
ADA = "ada@acme.example"
START = datetime(2026, 11, 2, 12, tzinfo=UTC)


def again(made: Stage) -> None:
    """Everybody is looked at once more, as the nightly round does."""
    with made.store.writing() as tx:
        due.mark_due(tx, [row.person_id for row in made.ledger()], clock.now())
    made.act()


def rows(made: Stage) -> list[tuple[str, int, str, str]]:
    return [(row.journey, row.entry, row.state.value, row.reason_out) for row in made.ledger()]


def exit_tag(name: str = TAG, **more: Any) -> dict[str, Any]:
    return journey(name, mailchimp={"tag": "Leadbridge guides", "exit_tag": "lb-out"}, **more)


# --- tracks, order, re-entry -----------------------------------------------------------------------------------------


def test_of_each_track_a_person_is_in_one_journey_at_a_time(store: Store) -> None:
    with stage(store, journey(TAG, track="main"), journey(TRIGGER, track="events")) as made:
        made.lead(ADA)
        made.sync()
        assert made.entered() == {ADA: 2}
    assert {row.track for row in made.ledger()} == {"main", "events"}


def test_the_higher_priority_goes_before_the_order_of_the_file(store: Store) -> None:
    with stage(store, journey(TAG), journey(TRIGGER, priority=5)) as made:
        made.lead(ADA)
        made.sync()
        assert [row.journey for row in made.ledger()] == [TRIGGER]


def test_who_is_urgent_is_called_before_everybody_who_waits(store: Store) -> None:
    urgent = journey(TRIGGER, urgent=True, when={"job_title": {"words": ["director"]}})
    guards = MANY | {"per_hour": [1, "0%"], "per_day": [1, "0%"]}
    with stage(store, urgent, journey(TAG), guards=guards) as made:
        for n in range(5):
            made.lead(f"lead{n}@acme.example")
        made.lead("boss@acme.example", jobtitle="Director")
        made.sync()
        assert made.entered() == {"boss@acme.example": 1}


@pytest.mark.parametrize(
    ("policy", "entries"),
    [({}, 1), ({"re_enter": "after_exit"}, 3), ({"re_enter_after": "10d"}, 2), ({"re_enter": "new_reason"}, 1)],
)
def test_a_journey_is_entered_again_only_as_its_policy_says(store: Store, policy: dict[str, Any], entries: int) -> None:
    with stage(store, journey(TRIGGER, **policy)) as made, moving(made, START) as time:
        made.lead(ADA)
        made.sync()
        for _ in range(18):
            time.on(days=1)
            again(made)
        assert made.entered() == {ADA: entries}


@pytest.mark.parametrize("keeps", ["who had it", "who had none"])
def test_nobody_enters_again_because_two_records_became_one(store: Store, keeps: str) -> None:
    """The one who is left is the person who had the journey, whichever address and record the CRM keeps (G19)."""
    with stage(store, journey(TAG), journey(TRIGGER, track="events")) as made, moving(made, START) as time:
        had = made.lead(ADA)
        made.sync()
        assert made.entered() == {ADA: 2}
        none = made.lead("eda@acme.example")
        kept = [had, none] if keeps == "who had it" else [none, had]
        made.sandbox.hubspot.merge(*kept)
        for _ in range(3):
            time.on(days=30)
            made.sync()
            again(made)
        assert made.entered() == {ADA: 2}


@pytest.mark.parametrize("reads", [["new name"], ["new name", TRIGGER]])
def test_a_journey_with_a_new_name_is_the_same_journey_to_who_had_it(store: Store, reads: list[str]) -> None:
    """Also where another journey has taken over the old name (G19)."""
    with stage(store, journey(TRIGGER)) as made, moving(made, START) as time:
        made.lead(ADA)
        made.sync()
        other = {"mailchimp": {"tag": "another flow"}, "track": "other"}
        renamed = [journey(TRIGGER) | {"name": name} | (other if name == TRIGGER else {}) for name in reads]
        made.config = configuration(made.sandbox.url, *renamed)
        made.parts = made.worker("w2")
        for _ in range(3):
            time.on(days=30)
            again(made)
        assert made.entered() == {ADA: 1}
        assert len(made.effects("tag_added")) == len(reads) - 1  # the other flow is a new one to everybody


def test_a_new_reason_opens_the_journey_once_more(store: Store) -> None:
    with stage(store, journey(TRIGGER, re_enter="new_reason")) as made, moving(made, START) as time:
        record = made.lead(ADA)
        made.sync()
        time.on(days=10)
        made.edit(record, jobtitle="Director of engineering")  # the rule "boss" gives points for the first time
        made.sync()
        assert [(row.entry, row.grounds) for row in made.ledger()] == [(1, ("known",)), (2, ("boss", "known"))]


# --- who does not get which mail -------------------------------------------------------------------------------------


def test_customers_get_no_awareness_mail(store: Store) -> None:
    with stage(store, journey(TAG, phase="awareness"), journey(TRIGGER, phase="consideration")) as made:
        made.lead(ADA, lifecyclestage="customer")
        made.lead("lead@acme.example")
        made.sync()
        found = {row.address: row.journey for row in made.ledger()}
        assert found == {ADA: TRIGGER, "lead@acme.example": TAG}


@pytest.mark.parametrize(
    ("kinds", "entered"), [(["social_followed"], 0), (["social_followed", "page_view"], 1), ([], 1)]
)
def test_who_only_followed_gets_no_decision_mail(store: Store, kinds: list[str], entered: int) -> None:
    with stage(store, journey(TAG, phase="decision")) as made:
        made.lead(ADA)
        made.until_scored()
        with store.writing() as tx:
            enrolments.cancel_waiting(tx, [row.person_id for row in made.ledger()], "test", clock.now())
            now = clock.now()
            for n, kind in enumerate(kinds):
                activities.add_activities(tx, [Activity(email_key(ADA), ActivityKind(kind), now, "t", str(n))], now)
        places = list(coverage.places(store, made.parts.scorer))
        if not entered:
            assert places[0].why == "did nothing yet that commits to anything"
        else:
            assert places[0].why != "did nothing yet that commits to anything"


# --- out again -------------------------------------------------------------------------------------------------------


def tags_set(made: Stage) -> Counter[str]:
    return Counter(effect["tag"] for effect in made.effects("tag_added"))


@pytest.fixture
def inside(store: Store) -> Iterator[tuple[Stage, str, Any]]:
    """Ada is in a journey that one leaves by tag."""
    ways = exit_tag(lasts="30d", until={"job_title": {"words": ["student"]}}, exit_on=["conversion", "stage_change"])
    with stage(store, ways) as made, moving(made, START) as time:
        record = made.lead(ADA)
        made.sync()
        assert made.entered() == {ADA: 1}
        time.on(days=2)
        yield made, record, time


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lifecyclestage": "customer"}, "converted: customer"),
        ({"jobtitle": "student"}, "its `until` holds"),
        ({"jobtitle": "Director"}, "stage is mql now, was none"),
    ],
)
def test_who_converts_or_moves_on_leaves_with_a_reason_and_the_exit_tag(
    inside: tuple[Stage, str, Any], change: dict[str, str], why: str
) -> None:
    made, record, _ = inside
    if "jobtitle" in change and change["jobtitle"] == "Director":
        made.config = made.config.model_copy()
    made.edit(record, **change)
    made.sync()
    (row,) = made.ledger()
    assert (row.reason_out, row.exit_state) == (why, "told")
    assert row.left_at is not None
    assert tags_set(made)["lb-out"] == 1
    made.sync()
    assert tags_set(made)["lb-out"] == 1


def test_a_journey_that_ran_its_course_is_left_without_a_word_to_the_platform(
    inside: tuple[Stage, str, Any],
) -> None:
    made, _, time = inside
    time.on(days=29)
    again(made)
    (row,) = made.ledger()
    assert (row.reason_out, row.exit_state) == ("ran its course", None)


def test_who_unsubscribes_is_out_and_the_ledger_says_so(inside: tuple[Stage, str, Any]) -> None:
    made, _, _ = inside
    made.sandbox.mailchimp.person_unsubscribes(ADA)
    made.sync()
    again(made)
    (row,) = made.ledger()
    assert (row.reason_out, row.exit_state) == ("left: unsubscribed", None)
    assert made.harmless()


def leave_elsewhere(made: Stage, record: str, how: str) -> None:
    """Ada leaves by a word that the platform has not heard, at the address it mails."""
    if how == "the CRM":
        made.opt_out_in_the_crm(record)
        return
    address, source = {
        "the operator": (ADA, "operator me"),
        "a tracker": (ADA, "intake"),
        "the platform, of another address": ("ada@home.example", "mailchimp"),
    }[how]
    if address != ADA:
        made.sandbox.mailchimp.add_member(address, "unsubscribed")
        with made.store.writing() as tx:
            lead_store.link_keys(tx, {email_key(address): made.person(record)})
    with made.store.writing() as tx:
        said = (address, SuppressionReason.UNSUBSCRIBED, source, clock.now())
        suppressions.suppress(tx, made.store.vault, [said], clock.now())


@pytest.mark.parametrize("how", ["the CRM", "the operator", "a tracker", "the platform, of another address"])
def test_who_leaves_where_the_platform_does_not_hear_it_is_taken_out_there_at_once(
    inside: tuple[Stage, str, Any], how: str
) -> None:
    made, record, _ = inside
    leave_elsewhere(made, record, how)
    made.sync()
    (row,) = made.ledger()
    assert row.reason_out.startswith("left: ")
    assert row.exit_state == "told"
    assert tags_set(made)["lb-out"] == 1
    again(made)
    assert tags_set(made)["lb-out"] == 1


def test_who_leaves_elsewhere_while_the_call_is_under_way_is_taken_out_again(store: Store) -> None:
    with stage(store, exit_tag()) as made, moving(made, START):
        record = made.lead(ADA)
        made.until_enrol()
        platform: Any = made.parts.platform

        class Crossed:
            def __getattr__(self, name: str) -> Any:
                return getattr(platform, name)

            def enrol(self, journey: str, email: str, *, again: bool) -> Any:
                leave_elsewhere(made, record, "the operator")
                made.parts.platform = None
                made.act()  # whatever is due is looked at while the call is under way
                made.parts.platform = platform
                return platform.enrol(journey, email, again=again)

        made.parts.platform = crossed = Crossed()  # type: ignore[assignment]
        enrol.enrol(store, crossed, made.config, owner="w1")  # type: ignore[arg-type]
        assert made.entered() == {ADA: 1}
        made.act()
        (row,) = made.ledger()
        assert (row.reason_out, row.exit_state) == ("left: unsubscribed", "told")
        assert tags_set(made)["lb-out"] == 1


def test_an_exit_the_platform_did_not_hear_of_is_told_again(inside: tuple[Stage, str, Any]) -> None:
    made, record, _ = inside
    made.fault("status", "members.tags", status=500, times=8)
    made.edit(record, lifecyclestage="customer")
    made.sync()
    assert made.ledger()[0].exit_state == "wanted"
    made.sandbox.world.faults.clear()
    made.act()
    assert made.ledger()[0].exit_state == "told"
    assert tags_set(made)["lb-out"] == 1


def renamed(made: Stage, way: dict[str, Any], name: str) -> None:
    """The file calls the journey otherwise from here on."""
    made.config = configuration(made.sandbox.url, way | {"name": name})
    made.parts = made.worker("w2")


def test_who_leaves_a_journey_with_a_new_name_is_taken_out_of_it_at_the_platform(store: Store) -> None:
    way = exit_tag(lasts="60d")
    with stage(store, way) as made, moving(made, START) as time:
        record = made.lead(ADA)
        made.sync()
        renamed(made, way, "new name")
        time.on(days=2)
        made.edit(record, lifecyclestage="customer")
        made.sync()
        (row,) = made.ledger()
        assert (row.reason_out, row.exit_state) == ("converted: customer", "told")
        assert tags_set(made)["lb-out"] == 1


def test_an_unknown_outcome_is_settled_by_proof_also_under_a_new_name(store: Store) -> None:
    way = journey(TAG)
    with stage(store, way) as made, moving(made, START) as time:
        made.lead(ADA)
        made.until_enrol()
        made.fault("reset_after", "members.tags", times=4)
        made.enrol()
        assert [row.state for row in made.ledger()] == [S.UNCERTAIN]
        renamed(made, way, "new name")
        time.on(seconds=61)
        made.enrol()
        assert [row.state for row in made.ledger()] == [S.DONE]
        assert made.entered() == {ADA: 1}


@pytest.mark.parametrize("name", [TAG, "new name"])
def test_an_exit_overtaken_by_a_new_entry_does_not_end_it(store: Store, name: str) -> None:
    way = exit_tag(re_enter="after_exit")
    with stage(store, way) as made, moving(made, START) as time:
        made.lead(ADA)
        made.sync()
        (first,) = made.ledger()
        with store.writing() as tx:
            exits.leave(tx, [exits.Exit(first.id, "test", tell=True)], clock.now())
        renamed(made, way, name)
        platform, made.parts.platform = made.parts.platform, None  # the exit is not told for a while
        time.on(days=8)
        again(made)
        made.parts.platform = platform
        made.act()
        assert [(row.entry, row.exit_state) for row in made.ledger()] == [(1, None), (2, None)]
        assert tags_set(made)["lb-out"] == 0
        assert made.entered() == {ADA: 2}


def test_a_reply_takes_a_person_out_of_every_journey_and_keeps_them_out_for_a_while(store: Store) -> None:
    replied = {"last_reply": {"of": "other", "where": {"event": "email_received"}, "take": "last_at"}}
    nurture = {"until": {"last_reply": {"within": "14d"}}}
    ways = exit_tag(lasts="60d", re_enter="after_exit")
    with stage(store, ways, behaviour=replied, nurture=nurture) as made, moving(made, START) as time:
        made.lead(ADA)
        made.sync()
        time.on(days=2)
        reply = Activity(email_key(ADA), ActivityKind.OTHER, clock.now(), "t", "1", {"event": "email_received"})
        with store.writing() as tx:
            activities.add_activities(tx, [reply], clock.now())
        again(made)
        assert rows(made) == [(TAG, 1, "done", "its `until` holds")]
        assert tags_set(made)["lb-out"] == 1
        time.on(days=10)
        again(made)
        (place,) = coverage.places(store, made.parts.scorer)
        assert (place.journeys, place.why) == ((), "its `until` holds")
        time.on(days=5)
        again(made)
        assert made.entered() == {ADA: 2}


def test_while_nurture_pauses_no_journey_begins_and_whoever_waits_for_one_is_not_called(store: Store) -> None:
    fields = BASE["fields"] | {"lead_status": {"hubspot": "hs_lead_status"}}
    nurture = {"pause_while": {"lead_status": "IN_PROGRESS"}}  # a ticket, a sequence of sales: whatever the CRM shows
    with stage(store, journey(TAG), fields=fields, nurture=nurture) as made, moving(made, START) as time:
        record = made.lead(ADA, hs_lead_status="IN_PROGRESS")
        waiting = made.lead("bob@acme.example")
        made.until_enrol()
        made.edit(waiting, hs_lead_status="IN_PROGRESS")
        made.sync()
        assert made.entered() == {}
        assert {place.why for place in coverage.places(store, made.parts.scorer)} == {"`nurture.pause_while` holds"}
        time.on(days=8)
        made.edit(record, hs_lead_status="OPEN")
        made.edit(waiting, hs_lead_status="OPEN")
        made.sync()
        assert made.entered() == {ADA: 1, "bob@acme.example": 1}


# --- everybody is in one, or explained -------------------------------------------------------------------------------


def test_everybody_who_may_be_contacted_is_in_a_journey_or_there_is_a_reason(store: Store) -> None:
    with stage(store, journey(TAG, holdout=0.3), journey(TRIGGER, when={"score.lead": {"at_least": 40}})) as made:
        for n in range(30):
            made.lead(f"lead{n}@acme.example", jobtitle=("Director", "Engineer", "")[n % 3])
        made.lead("left@acme.example", status="unsubscribed")
        made.sync()
        found = coverage.coverage(store, made.parts.scorer)
        assert found.people == 31
        assert found.unexplained == 0
        assert found.not_contactable == {"suppressed: unsubscribed": 1}
        assert sum(found.in_journey.values()) + sum(found.in_none.values()) == found.contactable == 30
        assert found.in_none["fits no journey"] == 10
        assert set(found.in_none) <= {"fits no journey", "kept out, to compare"}


def test_many_planned_at_once_are_planned_as_each_would_be_alone(store: Store) -> None:
    """Nobody's journey depends on who is in the same batch: with a past, without one, kept out, suppressed."""
    two = (exit_tag(TAG, holdout=0.3, when={"job_title": "director"}), journey(TRIGGER, holdout=0.3, track="events"))
    with stage(store, *two) as made:
        for n in range(24):
            status = ("subscribed", "subscribed", "unsubscribed")[n % 3]
            made.lead(f"lead{n}@acme.example", jobtitle=("Director", "Engineer")[n % 2], status=status)
        made.sync()
        with moving(made, clock.now() + timedelta(days=8)):
            at, parts = clock.now(), made.parts

            def planned(ids: Sequence[int]) -> Plan:
                with store.reading() as tx:
                    loaded = load(tx, parts.scorer, ids, at)
                    outlooks = parts.scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
                    return plan_journeys(tx, store, parts.scorer, loaded, outlooks, at)

            with store.reading() as tx:
                ids = lead_store.all_person_ids(tx, 0, 100)
            whole, alone = planned(ids), [planned([person]) for person in ids]
    assert whole.exits
    assert whole.barred
    assert whole.why_not
    assert whole.intents == [one for plan in alone for one in plan.intents]
    assert whole.held_out == [one for plan in alone for one in plan.held_out]
    assert whole.exits == [one for plan in alone for one in plan.exits]
    assert whole.barred == {person: why for plan in alone for person, why in plan.barred.items()}
    assert whole.inside == {person: names for plan in alone for person, names in plan.inside.items()}
    assert whole.why_not == {person: why for plan in alone for person, why in plan.why_not.items()}


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_changed_policy_begins_with_few_and_waits_for_a_release(store: Store) -> None:
    canary = MANY | {"canary": {"people": [3, "0%"], "lasts": "24h"}}
    with stage(store, journey(TRIGGER), guards=canary) as made, moving(made, START) as time:
        made.lead("first@acme.example")
        made.sync()  # the first policy of all is released: there is nothing to compare it with
        time.on(hours=2)
        changed = made.config.model_copy(
            update={"nurture": made.config.nurture.model_copy(update={"journeys": stricter(made, 5)})}
        )
        for n in range(10):
            made.lead(f"lead{n}@acme.example")
        made.config = changed
        made.parts = made.worker("w2")
        done = made.sync().enrolled
        assert done.enrolled == 3
        assert made.states() == {S.DONE: 4, S.HELD: 7}
        waits = release.waiting(store, changed)
        assert (waits.canary, waits.contacted, waits.held) == (True, 3, {TRIGGER: 7})
        assert waits.difference is not None
        assert waits.difference.people == 1  # on the same lead
        assert release.release(store, "olga", 6) is None  # has not seen the counts
        assert release.release(store, "olga", 7) == 7
        made.enrol()
        assert made.states() == {S.DONE: 11}


def stricter(made: Stage, least: int) -> list[Any]:
    from leadbridge.config.conditions import parse_condition

    return [one.model_copy(update={"when": parse_condition({"score.lead": {"at_least": least}})})
            for one in made.config.nurture.journeys]  # fmt: skip


@on_sqlite
def test_who_fits_a_journey_that_is_new_enters_it_without_waiting_to_be_looked_at(store: Store) -> None:
    with stage(store, journey(TRIGGER, when={"score.lead": {"at_least": 40}})) as made, moving(made, START) as time:
        people = {f"ada{n}@acme.example" for n in range(3)}
        for address in people:
            made.lead(address)
        made.sync()
        assert made.entered() == {}
        time.on(hours=1)
        made.sync()
        more = journey(TRIGGER, when={"score.lead": {"at_least": 40}}), journey(TAG)
        made.config = configuration(made.sandbox.url, *more)
        made.parts = made.worker("w2")
        made.sync()
        assert set(made.entered()) == people
        made.parts = made.worker("w3")  # the same file once more: nobody is looked at for that
        with store.reading() as tx:
            assert due.due_count(tx) == 0
        passes.note_journeys(made.parts)
        with store.reading() as tx:
            assert due.due_count(tx) == 0


@pytest.mark.parametrize("canary", [2, 1000])
def test_a_mistyped_threshold_contacts_nobody_once_it_is_put_right(store: Store, canary: int) -> None:
    """Neither who waits for room nor who is held back, although they are released."""
    guards = MANY | {"per_hour": [3, "0%"], "canary": {"people": [canary, "0%"], "lasts": "24h"}}

    def decides(at_least: int) -> None:
        way = journey(when={"score.lead": {"at_least": at_least}})
        made.config = configuration(made.sandbox.url, way, guards=guards)
        made.parts = made.worker(f"w{at_least}")

    with (
        stage(store, journey(when={"score.lead": {"at_least": 50}}), guards=guards) as made,
        moving(made, START) as time,
    ):
        made.lead(ADA, jobtitle="Director")
        for _ in range(12):
            made.lead()
        made.sync()
        time.on(hours=2)
        decides(5)
        with store.writing() as tx:
            due.mark_due(tx, lead_store.all_person_ids(tx, 0, 100), clock.now())
        made.sync()
        wrong = min(canary, 3)
        assert len(made.entered()) == 1 + wrong
        time.on(minutes=5)
        decides(50)
        made.sync()
        assert made.states() == {S.DONE: 1 + wrong, S.CANCELLED: 12 - wrong}
        release.release(store, "olga", release.waiting(store, made.config).rows)
        time.on(hours=2)
        made.sync()
        assert len(made.entered()) == 1 + wrong


def test_a_canary_is_released_by_time(store: Store) -> None:
    canary = MANY | {"canary": {"people": [0, "0%"], "lasts": "10h"}}
    with stage(store, journey(TRIGGER), guards=canary) as made, moving(made, START) as time:
        made.lead("first@acme.example")
        made.sync()
        with store.writing() as tx:
            policies.put_in_force(tx, "another", clock.now())
        made.lead(ADA)
        made.sync()
        with store.writing() as tx:
            found = policies.in_force(tx)
            assert found is not None
        made.enrol()
        time.on(hours=11)
        made.enrol()
        assert made.states()[S.DONE] == 2


def test_scores_that_are_all_alike_contact_nobody(store: Store) -> None:
    with stage(store, journey(TRIGGER), guards=MANY | {"all_alike_from": 10}) as made:
        for _ in range(12):
            made.lead()
        done = made.sync().enrolled
        assert done.enrolled == 0
        assert "tells nobody from anybody" in next(iter(done.reasons))
        made.lead(jobtitle="Director")
        assert made.sync().enrolled.enrolled == 13


def test_a_number_that_is_none_gives_no_points_and_contacts_nobody(store: Store) -> None:
    rich = {"name": "rich", "category": "fit", "when": {"budget": {"at_least": 1000}}, "points": 40}
    model = BASE["scores"]["lead"] | {"rules": [rich]}
    fields = BASE["fields"] | {"budget": {"hubspot": "message", "type": "number"}}
    fits = journey(TAG, when={"score.lead": {"at_least": 40}})
    with stage(store, fits, fields=fields, scores={"lead": model}) as made:
        for said in ("nan", "NaN", "inf", "-inf", "Infinity", "1e999", "1_000_000", "", "much"):
            made.lead(message=said)
        made.lead(ADA, message="5000")
        made.sync()
        assert made.entered() == {ADA: 1}
        with store.reading() as tx:
            found = scores.current_scores(tx, lead_store.all_person_ids(tx, 0, 100))
        assert sorted(row["lead"].value for row in found.values()) == [0] * 9 + [40]


def test_at_night_people_wait_for_their_morning(store: Store) -> None:
    night = {"from": "21:00", "to": "08:00", "country": "country", "elsewhere": ["Europe/Madrid"]}
    fields = BASE["fields"] | {"country": {"hubspot": "country"}}
    with (
        stage(store, journey(TRIGGER), guards=MANY | {"quiet_hours": night}, fields=fields) as made,
        moving(made, datetime(2026, 11, 2, 23, tzinfo=UTC)) as time,
    ):
        made.lead("spain@acme.example", country="Spain")
        made.lead("japan@acme.example", country="JP")  # where it is eight in the morning
        made.lead("nowhere@acme.example")
        made.sync()
        assert made.entered() == {"japan@acme.example": 1}
        time.on(hours=9.01)  # eight on the Canary Islands, which are Spain too
        made.enrol()
        assert made.entered() == {"japan@acme.example": 1, "spain@acme.example": 1, "nowhere@acme.example": 1}


def test_once_there_is_a_usual_day_no_day_has_more_than_three_times_as_many(store: Store) -> None:
    with stage(store, journey(TRIGGER), guards=MANY | {"surge": 3}) as made, moving(made, START):
        with store.writing() as tx:
            for day in range(20):
                made_on = START - timedelta(days=20 - day) - timedelta(hours=30)
                wishes = [
                    enrolments.Intent(one, TRIGGER, 1, "mailchimp", f"old{one}@acme.example", "", "", START)
                    for one in people(tx, 6)
                ]
                ids = enrolments.intend(tx, wishes, made_on)
                tx.execute(ledger.update().where(ledger.c.id.in_(ids)).values(state=S.DONE, called_at=made_on))
        for _ in range(40):
            made.lead()
        made.sync()
        usual = bounds.rules_of(store, made.config).usual_day
        assert usual is not None
        assert usual == pytest.approx(120 / 20.25)
        assert sum(made.entered().values()) == int(3 * usual)


def test_a_dry_run_shows_what_would_be_done_and_changes_nothing_anywhere(store: Store) -> None:
    with stage(store, exit_tag()) as made:
        for status in ("subscribed", "subscribed", "unsubscribed"):
            made.lead(status=status)
        before = [call.operation for call in made.sandbox.world.journal if call.effects]
        would = preview.preview(made.parts)
        assert (would.people, would.entries, would.writes["hubspot"]) == (3, {TAG: 2}, 3)
        assert would.barred == {"suppressed: unsubscribed": 1}
        assert [call.operation for call in made.sandbox.world.journal if call.effects] == before
        assert made.ledger() == []
        assert made.sync().enrolled.enrolled == 2  # a real round finds everything still to be done


def test_a_read_only_room_refuses_whatever_changes_something(store: Store) -> None:
    with stage(store, exit_tag()) as made:
        (crm,), platform = made.parts.crms, made.parts.platform
        assert platform is not None
        for call in (
            lambda: read_only(crm).write([]),
            lambda: read_only(crm).create([]),
            lambda: read_only(platform).enrol(TAG, ADA),
            lambda: read_only(platform).leave(TAG, ADA),
            lambda: read_only(platform).write({}),
        ):
            with pytest.raises(DryRunError, match="a dry run changes nothing"):
                call()
        assert read_only(crm).account() == crm.account()


def test_stopped_before_the_first_call_nothing_is_asked_of_the_platform(store: Store) -> None:
    with stage(store, journey(TAG)) as made:
        made.lead(ADA)
        with store.writing() as tx:
            stops.stop(tx, stops.CONTACT, "olga", "", clock.now())
        made.sync()
        assert made.states() == {S.WANTED: 1}
        assert made.entered() == {}
