"""What an operator does at a keyboard to keep the company's leadbridge going."""

from pathlib import Path

from leadbridge import clock
from leadbridge.store import Store, quarantine
from tests.helpers.commands import Run, told

ADA = "ada@acme.example"


def aside(store: Store, source: str, body: bytes, ref: str) -> int:
    with store.writing() as tx:
        return quarantine.put(tx, store.vault, source, "broke", body, clock.now(), ref)


def test_the_quarantine_is_listed_and_shown_without_the_people_in_it(store: Store, run: Run) -> None:
    item = aside(store, "inbox:mailchimp", f"data[email]={ADA}".encode(), f"mailchimp:member:{ADA}")
    listed, shown = run("quarantine", "list", "--json"), run("quarantine", "show", str(item), "--json")
    assert told(listed)["total"] == 1
    assert "[address]" in told(shown)["body"]
    for found in (listed, shown, run("quarantine", "list"), run("quarantine", "show", str(item))):
        assert ADA not in found.output
    run("quarantine", "show", "4711", code=1)


def test_many_are_replayed_only_by_the_number_that_was_shown(store: Store, run: Run) -> None:
    for number in range(3):
        aside(store, "inbox:hubspot", b"{}", f"key {number}")
    assert told(run("quarantine", "replay", "--all", "--json")) == {
        "would_replay": 3, "by_source": {"inbox:hubspot": {"broke": 3}},
    }  # fmt: skip
    run("quarantine", "replay", "--all", "--items", "2", code=1)
    with store.reading() as tx:
        assert quarantine.count(tx) == 3
    done = told(run("quarantine", "replay", "--source", "inbox:hubspot", "--items", "3", "--json"))
    assert done == {"replayed": 3, "settled": 0, "unfit": {}}
    run("quarantine", "replay", "4711", code=1)
    run("quarantine", "replay", code=2)


def test_status_tells_what_waits_what_was_set_aside_and_what_bounds_contact(store: Store, run: Run) -> None:
    aside(store, "inbox:hubspot", b"{}", "key")
    run("stop", "contact", "--why", "wrong model")
    found = told(run("status", "--json"))
    assert found["quarantined"] == {"inbox:hubspot": 1}
    assert found["contact"]["stopped"] is True
    assert "wrong model" in found["contact"]["why"]
    assert "in quarantine" in run("status").output


def test_nothing_is_counted_before_the_first_pull(run: Run) -> None:
    assert "leadbridge sync" in run("count", code=3).output
    assert told(run("count", "--json", code=3)) == {"lacking": 0, "months": []}


def test_backup_restore_and_reconcile_from_the_keyboard(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    made = told(run("backup", str(file), "--json"))
    run("backup", str(file), code=1)
    run("restore", str(file), code=1)  # over a store in use
    (tmp_path / "leadbridge.db").rename(tmp_path / "old.db")
    for side in ("-wal", "-shm"):
        (tmp_path / f"leadbridge.db{side}").unlink(missing_ok=True)
    assert told(run("restore", str(file), "--json"))["rows"] == made["rows"]
    assert told(run("status", "--json"))["contact"]["stopped"] is True
    assert told(run("resume", "contact", "--json"))["was_stopped"] is False
