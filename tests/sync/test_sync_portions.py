"""Pages are stored in portions; a page is read once all of them are (reliability G2, G12)."""

import pytest

from leadbridge.store import Store, leads, watermarks
from sync import identity, pull, sources
from tests.helpers.syncing import stage

PEOPLE = 40  # one page


def test_a_page_interrupted_between_two_portions_is_read_again_whole_and_nobody_is_missing_or_double(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LEADS_PORTION", 7)
    store_people, portions = identity.absorb, []

    def absorb(*given: object, **more: object) -> object:
        portions.append(given)
        if len(portions) == 4:
            raise RuntimeError("the process ends")
        return store_people(*given, **more)  # type: ignore[arg-type]

    def known() -> int:
        with store.reading() as tx:
            return len(leads.all_person_ids(tx, 0, 1000))

    with stage(store) as made:
        for _ in range(PEOPLE):
            made.lead()
        monkeypatch.setattr(identity, "absorb", absorb)
        with pytest.raises(RuntimeError):
            made.sync()
        assert 0 < known() < PEOPLE  # so the store was free for others in between
        with store.reading() as tx:
            assert watermarks.progress(tx, "hubspot", "leads") is None
        assert not pull.complete(store)
        made.sync()
        assert known() == PEOPLE
        assert pull.complete(store)
