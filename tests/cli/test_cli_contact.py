"""What an operator does about contact at a keyboard: stop, resume, suppress, forget, and the ledger."""

from datetime import timedelta

import pytest

from leadbridge import clock
from leadbridge.store import Store, audit, enrolments, leads, stops, suppressions
from leadbridge.types import EnrolmentState
from tests.helpers.commands import Run, told
from tests.helpers.store_people import move, person

S = EnrolmentState
ADA = "ada@acme.example"


def row_in(store: Store, state: EnrolmentState) -> int:
    """A row of the ledger brought to this state."""
    way = {S.WANTED: [], S.UNCERTAIN: [S.CHECKED, S.CALLING, S.UNCERTAIN]}[state]
    with store.writing() as tx:
        now = clock.now()
        ada = person(tx, "1", ADA)
        wish = enrolments.Intent(ada, "guides", 1, "mailchimp", ADA, "tag", "boss +40", now + timedelta(days=1))
        (row,) = enrolments.intend(tx, [wish], now)
        (claim,) = enrolments.claim_enrolments(tx, [S.WANTED], limit=1, owner="w", now=now)
        at = S.WANTED
        for to in way:
            assert move(tx, row, claim.token, at, to)
            at = to
    return row


def test_the_stop_switch_names_who_and_why_and_the_first_stop_stays(run: Run) -> None:
    first = told(run("stop", "contact", "--why", "wrong model", "--json"))
    again = told(run("stop", "contact", "--why", "another word", "--json"))
    assert (first["who"], first["why"]) == ("olga", "wrong model")
    assert again["why"] == "wrong model"
    assert told(run("resume", "contact", "--json")) == {"resumed": "contact", "was_stopped": True}
    assert told(run("resume", "contact", "--json")) == {"resumed": "contact", "was_stopped": False}
    run("stop", "everything", code=2)


def test_the_stop_of_a_restore_is_told_by_resume_with_what_ends_it(run: Run, store: Store) -> None:
    run("stop", "contact", "--why", "wrong model")
    with store.writing() as tx:
        stops.stop(tx, stops.RESTORED, "olga", "the store is as of 2026-11-28 18:11 UTC", clock.now())
    said = run("resume", "contact")
    assert said.stdout == "contact does not go on: it is stopped by olga: the store is as of 2026-11-28 18:11 UTC.\n"


def test_the_switch_is_audited(run: Run, store: Store) -> None:
    run("stop", "contact", "--why", "wrong model")
    run("resume", "contact")
    with store.reading() as tx:
        assert [(note.who, note.what) for note in audit.listing(tx)] == [
            ("olga", "contact resumed"),
            ("olga", "contact stopped"),
        ]


def test_a_suppressed_address_is_never_mailed_whether_somebody_has_it_or_not(run: Run, store: Store) -> None:
    row_in(store, S.WANTED)
    assert told(run("suppress", "ADA@acme.example", "--json")) == {"suppressed": ADA, "people": 1}
    assert told(run("suppress", "nobody@acme.example", "--json"))["people"] == 0
    with store.reading() as tx:
        assert suppressions.is_suppressed(tx, store.vault, "nobody@acme.example")
    assert told(run("enrolments", "list", "--state", "cancelled", "--json"))["enrolments"][0]["words"] == "suppressed"
    run("suppress", "no address", code=2)


def test_forgetting_asks_first_and_reports_what_was_erased(run: Run, store: Store) -> None:
    row_in(store, S.WANTED)
    run("forget", ADA, code=1)  # nobody said yes
    with store.reading() as tx:
        assert leads.person_by_email(tx, ADA)
    report = told(run("forget", ADA, "--yes", "--json"))
    assert report["people"] == 1
    assert report["rows"]["persons"] == report["rows"]["enrolments"] == 1
    with store.reading() as tx:
        assert leads.person_by_email(tx, ADA) is None
    run("forget", "no address", "--yes", code=2)


@pytest.mark.parametrize(
    ("ending", "state"),
    [("done", S.DONE), ("refused", S.REFUSED), ("cancelled", S.CANCELLED), ("nothing-happened", S.CHECKED)],
)
def test_an_uncertain_enrolment_is_settled_by_a_person_who_is_named(
    run: Run, store: Store, ending: str, state: EnrolmentState
) -> None:
    row = row_in(store, S.UNCERTAIN)
    listed = told(run("enrolments", "--json"))["enrolments"]
    assert [(one["id"], one["state"]) for one in listed] == [(row, "uncertain")]
    run("enrolments", "settle", str(row), "--as", ending, "--why", "seen in the app")
    shown = told(run("enrolments", "show", str(row), "--json"))
    assert (shown["state"], shown["words"]) == (state.value, "settled by olga: seen in the app")
    run("enrolments", "settle", str(row), "--as", ending, code=1)  # settled once
    with store.reading() as tx:
        (note,) = audit.listing(tx)
        assert (note.who, note.detail["as"]) == ("olga", state.value)


def test_a_row_of_the_ledger_is_told_in_words_without_what_is_not_known(run: Run, store: Store) -> None:
    row = row_in(store, S.WANTED)
    lines = dict(line.split(": ", 1) for line in run("enrolments", "show", str(row)).output.splitlines())
    assert lines["state"] == "wanted"
    assert lines["created at"].endswith(" UTC")
    assert "called at" not in lines
    assert not [value for value in lines.values() if value in ("", "None") or value.startswith("(")]
    assert all(line == line.rstrip() for line in run("enrolments", "list").output.splitlines())


def test_only_what_waits_can_be_cancelled(run: Run, store: Store) -> None:
    row = row_in(store, S.WANTED)
    run("enrolments", "cancel", str(row))
    assert "cancelled by olga" in told(run("enrolments", "show", str(row), "--json"))["words"]
    assert "only what waits" in run("enrolments", "cancel", str(row), code=1).output
    assert "There is no row 99" in run("enrolments", "show", "99", code=1).output


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), str(10**30)])
@pytest.mark.parametrize(
    "words",
    [("enrolments", "show"), ("enrolments", "cancel"), ("enrolments", "settle", "--as", "done"), ("quarantine", "show"),
     ("quarantine", "replay")],
)  # fmt: skip
def test_a_number_that_no_row_can_have_is_wrong_use(run: Run, words: tuple[str, ...], number: str) -> None:
    assert "Invalid value" in run(*words, "--", number, code=2).output
    run("enrolments", "list", "--state", "lost", code=2)
