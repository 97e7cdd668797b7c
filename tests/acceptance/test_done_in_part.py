"""A round that could not do everything says so, and harms nobody."""

from pathlib import Path

from leadbridge.demo import effects_of
from leadbridge.report import figures
from sync.cycle import Round
from tests.helpers.loop import loop


def test_nobody_is_contacted_while_the_crm_cannot_show_the_score(tmp_path: Path) -> None:
    with loop(tmp_path, "--people", "60", "--seed", "5") as made:
        told = made.run("sync", code=1)  # nobody ran `leadbridge apply`: HubSpot lacks our properties
        assert "Traceback" not in told
        journal = made.sandbox.journal()
        assert effects_of(journal, "journey_entered") == []
        assert not [call for call in journal if call["operation"] in ("members.tags", "journeys.trigger")]


def test_people_and_events_that_were_set_aside_are_told_and_make_the_round_partial() -> None:
    assert figures(Round())["in_part"] is False
    for name in ("events", "rescored"):
        done = Round()
        getattr(done, name).failed = 2
        assert figures(done)["set_aside"] == 2
        assert figures(done)["in_part"] is True
