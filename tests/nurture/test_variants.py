"""Which variant of a journey a person gets: the same for ever, in the shares asked for, whoever is kept out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nurture.holdout import held_out, variant

PEOPLE = [f"email:p{n}@acme.example" for n in range(4000)]
names = st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=2, max_size=5, unique=True)


@st.composite
def shares(draw: st.DrawFn, of: st.SearchStrategy[list[str]] = names) -> dict[str, float]:
    found = draw(of)
    cuts = sorted(draw(st.lists(st.integers(0, 1000), min_size=len(found) - 1, max_size=len(found) - 1)))
    ends = [0, *cuts, 1000]
    return {name: (ends[n + 1] - ends[n]) / 1000 for n, name in enumerate(found)}


@given(shares(), st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_everybody_gets_one_of_the_variants_and_always_the_same(
    among: dict[str, float], person: str, journey: str
) -> None:
    found = variant(person, journey, among)
    assert among[found] > 0
    assert variant(person, journey, dict(among)) == found


@given(shares(), shares(), st.text(min_size=1, max_size=20), st.lists(st.text("abcdef", max_size=6), max_size=3))
def test_who_had_one_keeps_it_whatever_the_shares_become(
    before: dict[str, float], now: dict[str, float], person: str, others: list[str]
) -> None:
    had = variant(person, "guides", before)
    assert variant(person, "guides", now | {had: now.get(had, 0.0)}, [had, *others]) == had
    gone = {name: share for name, share in now.items() if name not in (had, *others)}
    if sum(gone.values()) == 1:
        assert variant(person, "guides", gone, [had, *others]) == variant(person, "guides", gone)


def test_the_shares_are_met_and_one_journey_says_nothing_of_another_or_of_who_is_kept_out() -> None:
    among = {"short": 0.5, "long": 0.3, "none": 0.2}
    one = {person: variant(person, "guides", among) for person in PEOPLE}
    other = {person: variant(person, "demo", among) for person in PEOPLE}
    kept = {person: held_out(person, "guides", 0.25) for person in PEOPLE}
    for name, share in among.items():
        mine = [person for person in PEOPLE if one[person] == name]
        assert abs(len(mine) / len(PEOPLE) - share) < 0.03  # four standard deviations
        assert abs(Counter(other[person] for person in mine)[name] / len(mine) - share) < 0.08
        assert abs(sum(kept[person] for person in mine) / len(mine) - 0.25) < 0.07


def test_more_for_the_last_variant_moves_nobody_but_to_it() -> None:
    """Places are fixed, so a change of shares redraws as few as it can, even of those who had none yet."""
    before = {person: variant(person, "guides", {"short": 0.5, "long": 0.5}) for person in PEOPLE}
    after = {person: variant(person, "guides", {"short": 0.4, "long": 0.6}) for person in PEOPLE}
    assert {(before[person], after[person]) for person in PEOPLE} == {
        ("short", "short"),
        ("long", "long"),
        ("short", "long"),
    }
