"""One journey at a time, never twice, and the first that fits."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadbridge.config.conditions import parse_condition
from leadbridge.config.nurture import Journey, MailchimpTrigger, Nurture, Pressure
from leadbridge.types import BuyerJourney, EnrolmentState, LifecycleStage
from nurture.buyer_journey import phases
from nurture.holdout import held_out
from nurture.journeys import TAKEN, WAITING, Match, Matcher, Past, Situation, Standing
from nurture.segments import expand

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def journey(name: str, re_enter_after: str | None = None) -> Journey:
    return Journey(
        name=name,
        mailchimp=MailchimpTrigger(tag=f"lb-{name}"),
        when=parse_condition({"stage": "mql"}),
        re_enter_after=re_enter_after,
    )


NURTURE = Nurture(journeys=[journey("first"), journey("second", re_enter_after="90d")])
BOTH = ("first", "second")


def match_all(
    nurture: Nurture, holds: Collection[str], past: Sequence[Past] = (), **more: Any
) -> tuple[Sequence[Match], Mapping[str, str]]:
    """Every track's match, and why the others are not entered."""
    matcher = Matcher(nurture)
    rows = tuple(matcher.standing(row, (), NOW) for row in past)
    return matcher.match(Situation(tuple(holds), rows, **more))


def match(nurture: Nurture, holds: Collection[str], past: Sequence[Past], kept_out: Collection[str]) -> Match | None:
    """The only track's match."""
    found, _ = match_all(nurture, holds, past, kept_out=frozenset(kept_out))
    return found[0] if found else None


def past(name: str, days: float, state: EnrolmentState = EnrolmentState.DONE, entry: int = 1) -> Past:
    return Past(name, entry, state, NOW - timedelta(days=days))


def test_the_first_journey_that_fits_is_chosen() -> None:
    found = match(NURTURE, BOTH, [], ())
    assert found is not None
    assert (found.journey.name, found.entry) == ("first", 1)


def test_a_journey_that_does_not_fit_is_passed_over() -> None:
    found = match(NURTURE, {"second"}, [], ())
    assert found is not None
    assert found.journey.name == "second"


def test_nobody_is_written_to_twice_within_the_quiet_time() -> None:
    assert match(NURTURE, BOTH, [past("first", days=6)], ()) is None


def test_a_journey_once_had_is_not_entered_again_but_the_next_one_is() -> None:
    found = match(NURTURE, BOTH, [past("first", days=400)], ())
    assert found is not None
    assert found.journey.name == "second"


def test_a_journey_may_be_entered_again_after_its_time_as_the_next_entry() -> None:
    rows = [past("first", days=400), past("second", days=91)]
    found = match(NURTURE, BOTH, rows, ())
    assert found is not None
    assert (found.journey.name, found.entry) == ("second", 2)
    assert match(NURTURE, BOTH, [past("first", days=400), past("second", days=90)], ()) is not None
    assert match(NURTURE, BOTH, [past("first", days=400), past("second", days=89)], ()) is None


def test_who_was_kept_out_for_comparison_stays_out_but_is_free_for_other_journeys() -> None:
    found = match(NURTURE, BOTH, [], {"first"})
    assert found is not None
    assert found.journey.name == "second"


def test_a_refused_journey_is_tried_again_only_after_the_quiet_time() -> None:
    soon = match(NURTURE, {"first"}, [past("first", days=1, state=EnrolmentState.REFUSED)], ())
    later = match(NURTURE, {"first"}, [past("first", days=8, state=EnrolmentState.REFUSED)], ())
    assert soon is None
    refused = [past("first", days=1, state=EnrolmentState.REFUSED)]
    assert match_all(NURTURE, ["first"], refused)[1]["first"] == "refused lately, tried again after the quiet time"
    assert later is not None
    assert later.entry == 2


def test_what_a_refusal_rested_on_is_over_and_the_journey_is_tried_again_at_once() -> None:
    refused = past("first", days=1, state=EnrolmentState.REFUSED)._replace(left_at=NOW)
    found = match(NURTURE, {"first"}, [refused], ())
    assert found is not None
    assert found.entry == 2


def test_who_was_only_kept_waiting_is_taken_up_again_at_once() -> None:
    found = match(NURTURE, {"first"}, [past("first", days=0, state=EnrolmentState.EXPIRED)], ())
    assert found is not None
    assert found.entry == 2


def test_of_all_tracks_together_nobody_enters_more_than_the_pressure_allows() -> None:
    third = journey("third").model_copy(update={"track": "events"})
    nurture = NURTURE.model_copy(
        update={"journeys": [*NURTURE.journeys, third], "pressure": Pressure(at_most=2, within="30d")}
    )
    everything = (*BOTH, "third")
    found, why = match_all(nurture, everything, [past("second", days=20)])
    assert [one.journey.name for one in found] == ["first"]
    assert why["third"] == "entered as many journeys lately as `pressure.at_most` allows (2)"
    found, _ = match_all(nurture, everything, [past("second", days=31)])
    assert [one.journey.name for one in found] == ["first", "third"]


def test_a_journey_is_not_entered_only_to_be_left_at_once() -> None:
    found, why = match_all(NURTURE, BOTH, until=("first",))
    assert [one.journey.name for one in found] == ["second"]
    assert why["first"] == "its `until` holds"


def test_a_journey_whose_coupon_may_not_be_given_is_passed_over_with_the_reason() -> None:
    one, other = NURTURE.journeys
    nurture = NURTURE.model_copy(update={"journeys": [one.model_copy(update={"offers": ["summer"]}), other]})
    found, why = match_all(nurture, BOTH, withheld=(("summer", "summer expired on 2026-08-31"),))
    assert [each.journey.name for each in found] == ["second"]
    assert why["first"] == "summer expired on 2026-08-31"


MOMENT = timedelta(microseconds=1)
TIMED = Matcher(
    Nurture.model_validate(
        {
            "journeys": [
                {"name": "timed", "when": {"stage": "mql"}, "mailchimp": {"tag": "timed"}, "lasts": "3d", "rest": "2d",
                 "re_enter_after": "90d"}
            ],
            "pressure": {"quiet_after_enrolment": "7d", "at_most": 1, "within": "30d"},
        }
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "days", "until_then"),
    [
        ("recent", 7, True),
        ("counts", 30, True),
        ("inside", 3, True),
        ("over", 3, False),
        ("rests", 5, True),
        ("again", 90, False),
    ],
)
def test_what_time_says_changes_at_its_instant_and_neither_before_nor_after(
    asked: str, days: int, until_then: bool
) -> None:
    def said(at: datetime) -> bool:
        return bool(getattr(TIMED.standing(Past("timed", 1, EnrolmentState.DONE, at), (), NOW), asked))

    then = NOW - timedelta(days=days)
    assert said(then + MOMENT) is until_then
    assert said(then) is said(then - MOMENT) is (not until_then)


@pytest.mark.parametrize("state", sorted(EnrolmentState))
def test_who_waits_is_in_it_however_long_and_who_was_turned_away_never(state: EnrolmentState) -> None:
    for days in (0, 400):
        row = TIMED.standing(Past("timed", 1, state, NOW - timedelta(days=days)), (), NOW)
        had_lately = state in (EnrolmentState.DONE, EnrolmentState.UNCERTAIN) and days == 0
        assert row.inside is row.counts is (state in WAITING or had_lately)


def test_news_is_a_rule_that_gives_points_now_and_did_not_then_for_a_journey_that_asks() -> None:
    asks = journey("first").model_copy(update={"re_enter": "new_reason"})
    matcher = Matcher(Nurture(journeys=[asks, journey("second")]))

    def news(name: str, then: set[str], now: set[str]) -> bool:
        return matcher.standing(past(name, days=40)._replace(grounds=frozenset(then)), now, NOW).news

    assert news("first", {"form"}, {"form", "pricing"})
    assert not news("first", {"form", "pricing"}, {"form"})
    assert not news("first", {"form"}, {"form"})
    assert not news("second", {"form"}, {"form", "pricing"})


@pytest.mark.parametrize("state", sorted(TAKEN))
def test_who_left_rests_from_then_on_and_is_not_in_it_any_more(state: EnrolmentState) -> None:
    def after(left_at: datetime) -> Standing:
        return TIMED.standing(Past("timed", 1, state, NOW - timedelta(days=1), left_at=left_at), (), NOW)

    waits = state not in (EnrolmentState.DONE, EnrolmentState.UNCERTAIN)
    rest = timedelta(days=2)
    assert (after(NOW - rest + MOMENT).rests, after(NOW - rest).rests) == (True, False)
    assert (after(NOW).inside, after(NOW).over) == (waits, True)


def test_a_journey_with_a_new_name_counts_entries_under_both_names() -> None:
    long_ago = [
        past("first", days=400, entry=3)._replace(name="before"),
        past("other", days=300, state=EnrolmentState.REFUSED, entry=5)._replace(name="second"),
        past("second", days=200, entry=2),
    ]
    found = match(NURTURE, {"second"}, long_ago, ())
    assert found is not None
    assert found.entry == 6


def test_what_was_had_under_a_name_that_is_another_journeys_now_stands_in_nobodys_way() -> None:
    found = match(NURTURE, {"first"}, [past("other", days=300)._replace(name="first")], ())
    assert found is not None
    assert (found.journey.name, found.entry) == ("first", 2)


def test_who_is_in_a_journey_that_has_changed_its_track_does_not_enter_it_once_more() -> None:
    again = journey("first").model_copy(update={"re_enter": "after_exit", "lasts": 60 * 86_400.0})
    inside = past("first", days=40)._replace(track="as it was called then")
    assert match_all(Nurture(journeys=[again]), ["first"], [inside])[1] == {"first": "had it before"}
    gone = inside._replace(left_at=NOW - timedelta(days=1))
    assert [one.entry for one in match_all(Nurture(journeys=[again]), ["first"], [gone])[0]] == [2]


def test_a_journey_is_known_by_how_it_starts_in_every_spelling_and_lasts_the_quiet_time_once_it_is_gone() -> None:
    step = "customer-journeys/journeys/12/steps/34/actions/trigger"
    demo = {
        "name": "demo",
        "when": {"stage": "mql"},
        "mailchimp": {"trigger": f"https://us1.api.mailchimp.com/3.0/{step}"},
    }
    matcher = Matcher(Nurture.model_validate({"journeys": [demo]}))
    assert matcher.name_now(f"https://us7.api.mailchimp.com/3.0/{step}", "as before") == "demo"
    assert matcher.way_now(f"/{step}", "as before", "") == "demo"
    assert matcher.name_now("another tag", "as before") == "as before"
    gone = [matcher.standing(past("as before", days=days), (), NOW) for days in (6, 7)]
    assert [(row.inside, row.over) for row in gone] == [(True, False), (False, True)]


def test_of_the_tracks_each_is_looked_at_alone_and_the_first_of_the_highest_priority_goes_first() -> None:
    one, other = NURTURE.journeys
    third, fourth = (journey(name).model_copy(update={"track": "events"}) for name in ("third", "fourth"))
    nurture = Nurture(journeys=[one, third, other.model_copy(update={"priority": 1}), fourth])
    found, why = match_all(nurture, ("first", "second", "third", "fourth"))
    assert [each.journey.name for each in found] == ["second", "third"]
    assert why == {"first": "second goes first", "fourth": "third goes first"}
    found, why = match_all(nurture, ("first", "second", "third", "fourth"), [past("first", days=1)])
    assert [each.journey.name for each in found] == ["third"]
    assert why["second"] == "in first"


@pytest.mark.parametrize("stage", [None, *LifecycleStage])
@pytest.mark.parametrize("only_low", [False, True])
@pytest.mark.parametrize("phase", [None, *BuyerJourney])
def test_customers_get_no_awareness_mail_and_who_did_nothing_that_commits_no_decision_mail(
    stage: LifecycleStage | None, only_low: bool, phase: BuyerJourney | None
) -> None:
    nurture = Nurture(journeys=[journey("first").model_copy(update={"phase": phase})])
    found, why = match_all(nurture, ["first"], stage=stage, only_low=only_low)
    if phase is BuyerJourney.AWARENESS and stage in (LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST):
        assert why == {"first": "customers get no awareness mail"}
    elif phase is BuyerJourney.DECISION and only_low:
        assert why == {"first": "did nothing yet that commits to anything"}
    else:
        assert [one.journey.name for one in found] == ["first"]


def test_what_one_journey_is_about_to_offer_no_other_offers_and_the_first_that_offered_it_may_again() -> None:
    one, other = (each.model_copy(update={"offers": ["book"]}) for each in NURTURE.journeys)
    nurture = Nurture(journeys=[one, other.model_copy(update={"track": "events"})])
    found, why = match_all(nurture, BOTH)
    assert [each.journey.name for each in found] == ["first"]
    assert why["second"] == "was offered book already"
    waiting = [past("first", days=0, state=EnrolmentState.WANTED)]
    assert match_all(nurture, BOTH, waiting)[1]["second"] == "was offered book already"
    waiting = [past("second", days=0, state=EnrolmentState.WANTED)._replace(track="events")]
    found, _ = match_all(nurture, BOTH, waiting, offered=(("book", "first"),))
    assert [each.journey.name for each in found] == ["first"]
    found, why = match_all(nurture, BOTH, offered=(("book", "second"),))
    assert [each.journey.name for each in found] == ["second"]
    assert why["first"] == "was offered book already"


ENDS = Nurture.model_validate(
    {
        "journeys": [
            {"name": "tour", "when": {"stage": "mql"}, "mailchimp": {"tag": "tour", "exit_tag": "tour out"},
             "rest": "9d", "exit_on": ["conversion", "stage_change"]},
            {"name": "guides", "when": {"stage": "mql"}, "mailchimp": {"tag": "guides", "exit_tag": "guides out"}},
            {"name": "stuck", "when": {"stage": "mql"}, "mailchimp": {"tag": "stuck"}, "track": "other"},
        ]
    }
)  # fmt: skip
L = LifecycleStage


@pytest.mark.parametrize(
    ("row", "person", "left", "why", "tell"),
    [
        ({}, {}, "", "", False),
        ({}, {"until": ("guides",)}, "", "its `until` holds", True),
        ({}, {"until": ("tour",)}, "", "", False),
        ({}, {"until": ("guides",)}, "left: bounced", "left: bounced", False),
        ({"unheard": True}, {}, "left: crm_opt_out", "left: crm_opt_out", True),
        ({"unheard": True, "at": NOW - timedelta(days=7)}, {}, "left: operator", "left: operator", False),
        ({"unheard": True, "variant": "dropped"}, {}, "left: operator", "left: operator", False),
        ({"stage": L.MQL}, {"stage": L.OPPORTUNITY}, "", "converted: opportunity", True),
        ({"stage": None}, {"stage": L.CUSTOMER}, "", "converted: customer", True),
        ({"stage": L.CUSTOMER}, {"stage": L.EVANGELIST}, "", "converted: evangelist", True),
        ({"stage": L.CUSTOMER}, {"stage": L.CUSTOMER}, "", "", False),
        ({"stage": L.EVANGELIST}, {"stage": L.CUSTOMER}, "", "", False),
        ({"stage": L.MQL}, {"stage": L.SQL}, "", "", False),
        ({"journey": "tour", "stage": L.MQL}, {"stage": L.SQL}, "", "stage is sql now, was mql", True),
        ({"journey": "tour", "stage": None}, {"stage": None}, "", "", False),
        ({"at": NOW - timedelta(days=7)}, {}, "", "ran its course", False),
        ({"at": NOW - timedelta(days=7)}, {"until": ("guides",)}, "", "its `until` holds", False),
        ({"journey": "gone"}, {}, "", "the journey is not in the configuration any more", False),
        ({}, {"holds": ("tour",)}, "", "moved on to tour", True),
        ({}, {"holds": ("tour",), "kept_out": frozenset({"tour"})}, "", "", False),
        ({}, {"holds": ()}, "", "", False),
        ({}, {"holds": ("guides", "tour")}, "", "", False),
        ({"variant": "dropped"}, {"holds": ("tour",)}, "", "", False),
        ({"journey": "stuck", "track": "other"}, {"holds": ("guides",)}, "", "", False),
        ({"journey": "stuck", "track": "other"}, {"until": ("stuck",)}, "", "its `until` holds", False),
        ({"variant": "dropped"}, {"until": ("guides",)}, "", "its `until` holds", False),
        ({"state": EnrolmentState.UNCERTAIN}, {"until": ("guides",)}, "", "its `until` holds", True),
        ({"state": EnrolmentState.CALLING}, {"until": ("guides",)}, "", "", False),
        ({"state": EnrolmentState.REFUSED}, {"until": ("guides",)}, "", "", False),
        ({"left_at": NOW}, {"until": ("guides",)}, "", "", False),
        ({"own": False}, {"until": ("guides",)}, "", "", False),
    ],
)
def test_a_journey_ends_for_one_stated_reason_and_the_platform_is_told_where_it_has_to_act(
    row: dict[str, Any], person: dict[str, Any], left: str, why: str, tell: bool
) -> None:
    matcher = Matcher(ENDS)
    given: dict[str, Any] = {"journey": "guides", "state": EnrolmentState.DONE, "at": NOW - timedelta(days=1)}
    standing = matcher.standing(Past(**given | {"entry": 1} | row), (), NOW)
    situation = Situation(**{"holds": (standing.journey,), "rows": (standing,)} | person)
    ended = matcher.endings(situation, left)
    assert [(one.place, one.why, one.tell) for one in ended.exits] == ([(0, why, tell)] if why else [])
    was_in = standing.inside and standing.own
    assert ended.inside == ((standing.journey,) if was_in and not why else ())
    (then,) = ended.then.rows
    if why:
        assert (then.inside, then.over, then.left) == (False, True, True)
        assert then.rests is (standing.journey == "tour")
    else:
        assert ended.then == situation


def test_nobody_leaves_a_journey_for_one_that_somebody_else_with_their_address_had() -> None:
    matcher = Matcher(ENDS)
    mine = Past("guides", 1, EnrolmentState.DONE, NOW - timedelta(days=1))
    others = Past("tour", 1, EnrolmentState.DONE, NOW - timedelta(days=400), own=False)
    rows = tuple(matcher.standing(row, (), NOW) for row in (others, mine))
    ended = matcher.endings(Situation(("tour",), rows), "")
    assert (ended.exits, ended.inside) == ((), ("guides",))


def test_what_ended_ends_alone_and_makes_room_at_once_but_for_its_rest() -> None:
    matcher = Matcher(ENDS)
    rows = tuple(
        matcher.standing(Past(name, 1, EnrolmentState.DONE, NOW - timedelta(days=6), track, stage=L.MQL), (), NOW)
        for name, track in (("stuck", "other"), ("tour", "main"))
    )
    ended = matcher.endings(Situation(("guides", "stuck"), rows, stage=L.SQL), "")
    assert [(one.place, one.why) for one in ended.exits] == [(1, "stage is sql now, was mql")]
    assert ended.inside == ("stuck",)
    assert matcher.match(ended.then)[1]["guides"] == "left in peace after tour"
    later = ended.then._replace(rows=tuple(row._replace(recent=False) for row in ended.then.rows))
    assert matcher.match(later)[1]["guides"] == "rests after tour"


def test_of_rows_that_stand_in_the_way_the_newest_is_named_and_what_was_had_goes_before_what_was_refused() -> None:
    refused = past("first", days=3, state=EnrolmentState.REFUSED)
    cancelled = past("first", days=1, state=EnrolmentState.CANCELLED, entry=2)
    why = match_all(NURTURE, ["first"], [refused, cancelled])[1]["first"]
    assert why == "cancelled lately, tried again after the quiet time"
    had = past("first", days=40, entry=1)
    assert match_all(NURTURE, ["first"], [had, refused])[1]["first"] == "had it before"
    assert match_all(NURTURE, ["first"], [refused, past("second", days=400)])[1]["first"] != "had it before"


@pytest.mark.parametrize(
    ("policy", "given", "enters"),
    [
        ({"re_enter": "never"}, {}, False),
        ({"re_enter": "after_exit"}, {}, True),
        ({"re_enter": "after_exit"}, {"lasts": "60d"}, False),  # in it still
        ({"re_enter": "new_reason"}, {}, True),
        ({"re_enter": "new_reason", "grounds": ("pricing",)}, {}, False),
        ({"re_enter_after": "40d"}, {}, True),
        ({"re_enter_after": "41d"}, {}, False),
    ],
)
def test_a_journey_is_entered_again_by_its_policy(policy: dict[str, Any], given: dict[str, Any], enters: bool) -> None:
    had = policy.pop("grounds", ("form",))
    one = {"name": "first", "when": {"stage": "mql"}, "mailchimp": {"tag": "first"}} | policy | given
    matcher = Matcher(Nurture.model_validate({"journeys": [one]}))
    row = past("first", days=40)._replace(grounds=frozenset(had))
    found, why = matcher.match(Situation(("first",), (matcher.standing(row, ("pricing",), NOW),)))
    assert [each.entry for each in found] == ([2] if enters else [])
    assert why.get("first", "") in (("",) if enters else ("had it before", "in first"))


rows = st.lists(
    st.builds(
        lambda name, entry, state, days: past(name, days, state, entry),
        st.sampled_from(["first", "second"]),
        st.integers(1, 4),
        st.sampled_from(EnrolmentState),
        st.integers(0, 500),
    ),
    max_size=6,
)


@given(rows)
def test_no_history_lets_a_journey_without_re_entry_in_twice(history: list[Past]) -> None:
    found = match(NURTURE, BOTH, history, ())
    if found is not None:
        had = [row for row in history if row.journey == found.journey.name]
        assert all(row.entry < found.entry for row in had)
        if found.journey.re_enter_after is None:
            assert not any(row.state in TAKEN for row in had)


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_share_only_keeps_more_people_out(person: str, name: str, one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert held_out(person, name, low) <= held_out(person, name, high)


def test_the_share_kept_out_is_the_share_asked_for() -> None:
    kept = sum(held_out(f"email:person{n}@acme.example", "first", 0.1) for n in range(20_000))
    assert 1_850 < kept < 2_150


def test_nobody_is_kept_out_of_a_journey_without_a_share() -> None:
    assert not any(held_out(str(n), "first", 0.0) for n in range(1_000))


def test_the_furthest_phase_that_holds_is_the_persons_phase() -> None:
    early, late = np.array([True, False, True]), np.array([True, False, False])
    found = phases({BuyerJourney.DECISION: late, BuyerJourney.AWARENESS: early}, 3)
    assert found == [BuyerJourney.DECISION, None, BuyerJourney.AWARENESS]
    assert phases({}, 2) == [None, None]


def test_a_segment_in_a_condition_means_the_segments_own_condition() -> None:
    small = parse_condition({"employees": {"below": 50}})
    local = parse_condition({"country": "ES"})
    segments = {"small": small, "local": local}
    assert expand(parse_condition({"segment": "small"}), segments) == parse_condition(
        {"any": [{"employees": {"below": 50}}]}
    )
    assert expand(
        parse_condition({"segment": {"in": ["small", "local"]}, "stage": "mql"}), segments
    ) == parse_condition({"all": [{"any": [{"employees": {"below": 50}}, {"country": "ES"}]}, {"stage": "mql"}]})
