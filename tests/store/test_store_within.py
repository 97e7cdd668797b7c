"""One parameter for any number of values, with any text, alone and turned round, on both databases."""

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.store import Store
from leadbridge.store.engine import among
from leadbridge.store.tables import facts, watermarks
from tests.helpers.store_people import NOW

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=25)
@given(st.sets(TEXT, max_size=8), st.lists(TEXT, max_size=8))
def test_what_is_among_the_values_is_found_and_nothing_else(store: Store, there: set[str], asked: list[str]) -> None:
    query = sa.select(facts.c.name)
    with store.writing() as tx:
        tx.execute(facts.delete().where(facts.c.value == "test"))
        known = set(tx.execute(query).scalars())
        for name in there - known:
            tx.execute(facts.insert().values(name=name, value="test"))
        mine = facts.c.value == "test"
        inside = among(tx, facts.c.name, asked)
        assert set(tx.execute(query.where(mine, inside)).scalars()) == (there - known) & set(asked)
        assert set(tx.execute(query.where(mine, ~inside)).scalars()) == there - known - set(asked)
        assert set(tx.execute(query.where(mine & (inside | sa.false()))).scalars()) == (there - known) & set(asked)
        tx.execute(facts.delete().where(mine, inside))
        assert set(tx.execute(query.where(mine)).scalars()) == there - known - set(asked)
        tx.execute(facts.delete().where(mine))


def test_statements_with_other_values_are_one_statement(store: Store) -> None:
    with store.reading() as tx:
        asked = [among(tx, watermarks.c.source, values) for values in (["a"], ["b", "c"], list("abcdefgh"))]
        keys = [sa.select(watermarks.c.at).where(one)._generate_cache_key() for one in asked]
        assert all(key is not None and key == keys[0] for key in keys)
        many = among(tx, watermarks.c.at, [NOW] * 40_000)
        assert tx.execute(sa.select(watermarks.c.at).where(many)).all() == []
