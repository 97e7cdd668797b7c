"""What people do with the mail of journeys that no source tells of: read once a day, and never asked for twice."""

import pytest

from connectors.mailchimp import batches
from leadbridge.store import Store
from leadbridge.store.activities import activities_of
from leadbridge.store.leads import all_person_ids
from leadbridge.types import ActivityKind
from tests.helpers.syncing import Stage, journey, moving, stage


class Killed(BaseException):
    """The process ends here."""


def clicks(made: Stage) -> int:
    with made.store.reading() as tx:
        return activities_of(tx, all_person_ids(tx, 0, 1000)).kind.count(ActivityKind.EMAIL_CLICKED)


@pytest.mark.parametrize("how", ["killed", "late"])
def test_a_batch_that_was_begun_is_picked_up_by_the_next_pull(
    store: Store, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with stage(store, journey()) as made, moving(made) as time:
        for n in range(12):
            made.lead(f"m{n}@acme.example")
        made.sync()
        assert sum(made.entered().values()) == 12
        mail = made.sandbox.mailchimp.core.state.journeys[11].campaign_id
        for n in range(12):
            made.sandbox.mailchimp.add_campaign_activity(mail, f"m{n}@acme.example", "click", made.now())
        time.on(days=1, minutes=1)
        before = made.calls("batches.create")
        if how == "killed":
            with monkeypatch.context() as patched:
                patched.setattr(batches.Batches, "finished", _dies)
                with pytest.raises(Killed):
                    made.sync()
        else:
            monkeypatch.setattr(batches, "WAITS", ())  # the service needs to be asked a few times
            made.sync()
        assert (made.calls("batches.create") - before, clicks(made)) == (1, 0)
        monkeypatch.setattr(batches, "WAITS", (0.0,) * 20)
        time.on(hours=3)
        made.sync()
        assert (made.calls("batches.create") - before, clicks(made)) == (1, 12)
        time.on(hours=3)
        made.sync()  # what is read is not asked for again before a day is over
        assert made.calls("batches.create") - before == 1
        time.on(hours=24)
        made.sync()
        assert (made.calls("batches.create") - before, clicks(made)) == (2, 12)
        assert made.calls("members.activity_feed") == 0


def _dies(*_: object) -> None:
    raise Killed
