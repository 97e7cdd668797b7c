"""One journey at a time, never twice, and the first that fits."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadbridge.config.conditions import parse_condition
from leadbridge.config.nurture import Journey, MailchimpTrigger, Nurture, Pressure
from leadbridge.types import BuyerJourney, EnrolmentState
from nurture.buyer_journey import phases
from nurture.holdout import held_out
from nurture.journeys import TAKEN, Match, Matcher, Past, Situation
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
