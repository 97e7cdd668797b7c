"""Matching by situations says of everybody what matching in its plainest form says (`reference`)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.config.nurture import Nurture
from leadbridge.types import EnrolmentState, LifecycleStage
from nurture.journeys import Matcher, Past, Situation
from tests.nurture import reference

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = ("first", "second", "third", "gone")
RULES = ("title", "pricing", "form")
SPANS = ("1d", "7d", "30d")
DAYS = (0, 1, 7, 8, 30, 31, 37, 38)

seldom = st.sampled_from([False, False, False, True])
maybe_span = st.sampled_from([None, None, *SPANS])
S = EnrolmentState


@st.composite
def files(draw: st.DrawFn) -> Nurture:
    """Three journeys in one or two tracks, with all that matching looks at."""

    def journey(name: str) -> dict[str, Any]:
        ends = {} if draw(seldom) else {"exit_tag": f"{name}-out"}
        ways: dict[str, Any] = {"mailchimp": {"tag": name, **ends}}
        if draw(seldom):
            forms: list[tuple[str, dict[str, str]]] = [("short", ends), ("long", {})]
            ways = {
                "variants": [{"name": form, "share": 0.5, "mailchimp": {"tag": form, **more}} for form, more in forms]
            }
        return {
            "name": name,
            "when": {"stage": "mql"},
            "track": "events" if draw(seldom) else "main",
            "priority": draw(st.integers(0, 2)),
            "phase": draw(st.sampled_from(["awareness", "decision"])) if draw(seldom) else None,
            "exit_on": draw(st.lists(st.sampled_from(["conversion", "stage_change"]), unique=True)),
            "re_enter": draw(st.sampled_from(["never", "after_exit", "new_reason"])),
            "re_enter_after": draw(maybe_span),
            "rest": draw(maybe_span),
            "lasts": draw(maybe_span),
            "offers": [draw(st.sampled_from(["book", "coupon"]))] if draw(seldom) else [],
            **ways,
        }

    pressure = {"quiet_after_enrolment": draw(st.sampled_from(SPANS)), "at_most": draw(st.none() | st.integers(1, 3))}
    return Nurture.model_validate({"journeys": [journey(name) for name in NAMES[:3]], "pressure": pressure})


holding = st.sampled_from([NAMES[:3], NAMES[:3], NAMES[:2], NAMES[1:3], NAMES[:1], ()])
ending = st.sampled_from([(), (), (), NAMES[:1], NAMES[:2]])
stages = st.none() | st.sampled_from(LifecycleStage)
instants = st.builds(  # to the microsecond at the ends of what is allowed, and just beside them
    lambda days, beside: NOW - timedelta(days=days, microseconds=beside), st.sampled_from(DAYS), st.integers(-1, 1)
)
pasts = st.builds(
    Past,
    journey=st.sampled_from(NAMES),
    entry=st.integers(1, 3),
    state=st.sampled_from([*[S.DONE] * 8, *EnrolmentState]),
    at=instants,
    track=st.sampled_from(["main", "main", "main", "events"]),
    grounds=st.frozensets(st.sampled_from(RULES)),
    stage=stages,
    left_at=st.one_of(st.none(), st.none(), instants),
    variant=st.sampled_from(["", "", "", "short", "long", "dropped"]),
    name=st.sampled_from(NAMES),
    own=st.sampled_from([True, True, True, False]),
    unheard=st.booleans(),
)


@settings(max_examples=400)
@given(
    nurture=files(),
    holds=holding,
    until=ending,
    kept_out=st.sampled_from([frozenset(), frozenset(), frozenset({"first"}), frozenset({"second"})]),
    past=st.lists(pasts, min_size=1, max_size=3),
    grounds=st.frozensets(st.sampled_from(RULES)),
    stage=stages,
    only_low=st.booleans(),
    offered=st.dictionaries(st.sampled_from(["book", "coupon"]), st.none() | st.sampled_from(NAMES)),
    withheld=st.dictionaries(st.just("coupon"), st.just("coupon expired")),
    left=st.sampled_from(["", "", "left: unsubscribed"]),
)
def test_a_situation_ends_as_the_person_in_it_does(
    nurture: Nurture,
    holds: tuple[str, ...],
    until: tuple[str, ...],
    kept_out: frozenset[str],
    past: list[Past],
    grounds: frozenset[str],
    stage: LifecycleStage | None,
    only_low: bool,
    offered: dict[str, str | None],
    withheld: dict[str, str],
    left: str,
) -> None:
    plain = [
        reference.Past(
            row.journey, row.entry, row.state, row.at, row.track, place, row.grounds, row.stage, row.left_at,
            row.variant, row.name, row.unheard,
        )
        for place, row in enumerate(past)
    ]  # fmt: skip
    person = reference.Candidate(
        dict.fromkeys(holds, True), plain, kept_out, dict.fromkeys(until, True), grounds, stage, only_low, offered,
        withheld,
    )  # fmt: skip
    own = [row.id for row in plain if past[row.id].own]
    exits = reference.endings(nurture, person, own, left, NOW)
    over = {one.row for one in exits}
    inside = [
        row.journey for row in plain if row.id in own and row.id not in over and reference.is_in(nurture, row, NOW)
    ]
    entered, why = reference.match(nurture, person.after(over, NOW), NOW)

    matcher = Matcher(nurture)
    situation = Situation(
        holds=holds,
        rows=tuple(matcher.standing(row, grounds, NOW) for row in past),
        kept_out=kept_out,
        until=until,
        stage=stage,
        only_low=only_low,
        offered=tuple(offered.items()),
        withheld=tuple(withheld.items()),
    )
    ended = matcher.endings(situation, left)
    assert [(one.place, one.why, one.tell) for one in ended.exits] == [(one.row, one.why, one.tell) for one in exits]
    assert list(ended.inside) == inside
    found, why_not = matcher.match(ended.then)
    assert [(one.journey.name, one.entry) for one in found] == [(one.journey.name, one.entry) for one in entered]
    assert why_not == why
