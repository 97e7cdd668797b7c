"""The next best asset: never one the person had, explained, and what similar people took up."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from leadbridge.config.catalogue import Asset
from leadbridge.types import BuyerJourney
from nurture.catalogue import Next, next_best, place, withheld

TODAY = date(2026, 11, 28)
A = BuyerJourney.AWARENESS


def asset(title: str, **more: object) -> Asset:
    return Asset.model_validate({"title": title, "type": "guide"} | more)


CATALOGUE = {
    "basics": asset("The basics"),
    "prices": asset("What it costs", phase="decision"),
    "stories": asset("Three stories"),
    "summer": asset("Summer offer", type="coupon", code="SUN", expires="2026-08-31"),
    "bosses": asset("For bosses", personas=["boss"]),
}


def best(used: set[str], offered: set[str] | None = None, **more: object) -> Next | None:
    asked: dict[str, object] = {"phase": A, "persona": None, "together": {}, "today": TODAY} | more
    return next_best(CATALOGUE, offered=offered or set(), used=used, **asked)  # type: ignore[arg-type]


def test_without_anything_known_the_first_that_is_for_the_person_is_next() -> None:
    assert best(set()) == Next("basics", "for everybody")
    assert best({"basics"}, phase=BuyerJourney.DECISION) == Next("prices", "for the phase decision")


def test_what_similar_people_took_up_goes_first_and_says_so() -> None:
    together = {"basics": {"basics": 10, "stories": 4, "bosses": 1}}
    assert best({"basics"}, together=together) == Next(
        "stories", "40% of those who took up The basics took up this too"
    )
    assert best({"basics"}, together={"basics": {"basics": 4, "stories": 4}}) == Next("stories", "for everybody")


def test_who_was_offered_all_there_is_gets_nothing_next() -> None:
    everything, popular = set(CATALOGUE), {name: dict.fromkeys(CATALOGUE, 9) for name in CATALOGUE}
    for had in ({"used": everything}, {"used": {"basics"}, "offered": everything}):
        assert best(**had, persona="boss", together=popular) is None


def test_expired_wrong_phase_and_wrong_persona_are_never_next() -> None:
    assert best({"basics", "stories"}) is None
    assert best({"basics", "stories"}, persona="boss") == Next("bosses", "for everybody")


NAMES = st.sets(st.sampled_from(sorted(CATALOGUE)))


@given(used=NAMES, offered=NAMES, counts=st.dictionaries(st.sampled_from(sorted(CATALOGUE)), st.integers(1, 50)))
def test_nothing_is_offered_twice_whoever_took_up_what(
    used: set[str], offered: set[str], counts: dict[str, int]
) -> None:
    together = {name: {**counts, name: max([*counts.values(), 5])} for name in CATALOGUE}
    found = best(used, offered, together=together, persona="boss")
    assert found is None or found.asset not in used | offered


def test_an_asset_with_a_condition_of_its_own_is_next_only_for_whom_it_holds() -> None:
    assert best(set(), not_for=["basics"]) == Next("stories", "for everybody")


def test_no_journey_offers_what_has_expired_what_is_not_for_them_or_a_coupon_once_given() -> None:
    asked = {"not_for": ["stories"], "offered": ["basics", "summer"]}
    assert withheld(CATALOGUE, today=date(2026, 8, 31), **asked) == {
        "stories": "stories is not for them",
        "summer": "was given summer already",
    }
    assert withheld(CATALOGUE, today=TODAY, not_for=[], offered=[]) == {"summer": "summer expired on 2026-08-31"}


def test_one_address_in_several_spellings_is_one_place() -> None:
    assert place("https://www.Acme.example/guide/?utm_source=x#top") == place("http://acme.example/guide")
