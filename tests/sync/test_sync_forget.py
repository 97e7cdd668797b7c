"""Forgetting is complete and lasts (reliability G25, fault 42)."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from leadbridge import clock
from leadbridge.store import Store, activities, due, forgetting, quarantine, suppressions
from leadbridge.store.tables import metadata
from leadbridge.types import Activity, ActivityKind, EnrolmentState, SuppressionReason, email_key
from sync import bounds, enrol, forget, pull
from tests.helpers.syncing import BASE, TAG, TRIGGER, Stage, journey, moving, stage

S = EnrolmentState
ADA = "ada.canary@acme.example"
BACK = BASE["write_back"] | {"score": {"hubspot": "leadbridge_score", "mailchimp": "LBSCORE"}}


def everything(store: Store) -> str:
    """All that any table holds, sealed bodies opened, as one text."""
    found: list[str] = []
    with store.reading() as tx:
        for table in metadata.sorted_tables:
            for row in tx.execute(sa.select(table)).mappings():
                found += [str(value) for value in row.values() if not isinstance(value, bytes)]
        found += [
            (quarantine.body_of(tx, store.vault, item.id) or b"").decode("utf-8", "replace")
            for item in quarantine.listing(tx)
        ]
    return "\n".join(found)


def lived(made: Stage) -> str:
    """Ada has been through everything: scored, enrolled, active, set aside; returns her record's id."""
    record = made.lead(ADA, jobtitle="Director Canary", firstname="Canary")
    made.lead("bob@acme.example")
    made.sync()
    with made.store.writing() as tx:
        now = clock.now()
        subject = email_key(ADA)
        for number, who in enumerate((subject, f"hubspot:contact:{record}", email_key("nobody.canary@acme.example"))):
            one = Activity(who, ActivityKind.PAGE_VIEW, now, "test", str(number), {"url": f"/canary/{number}"})
            activities.add_activities(tx, [one], now)
        body = json.dumps({"subscriptionType": "contact.propertyChange", "objectId": int(record), "portalId": 1,
                           "propertyName": "firstname", "propertyValue": "Canary"}).encode()  # fmt: skip
        quarantine.put(tx, made.store.vault, "inbox:hubspot", "unreadable", body, now, "delivery 1")
        quarantine.put(tx, made.store.vault, "inbox:mailchimp", "unreadable", f"data[email]={ADA}".encode(), now, "2")
        quarantine.put(tx, made.store.vault, "inbox:hubspot", "another's", b'{"objectId": 999}', now, "3")
    return record


def test_whoever_is_forgotten_is_in_no_table_any_more_and_everybody_else_is(store: Store) -> None:
    with stage(store, journey(TAG), write_back=BACK) as made:
        record = lived(made)
        assert "canary" in everything(store).casefold()
        erased = forget.forget(store, ADA.upper(), "tester")
        assert erased.people == 1
        assert {"persons", "records", "enrolments", "scores", "activities", "quarantine"} <= erased.rows.keys()
        left = everything(store).casefold()
        assert "ada.canary" not in left
        assert f"hubspot:contact:{record}" not in left
        assert "/canary/0" not in left
        assert "bob@acme.example" in left
        with store.reading() as tx:
            assert [item.reason for item in quarantine.listing(tx)] == ["another's"]
            assert suppressions.is_suppressed(tx, store.vault, ADA) is SuppressionReason.ERASED


@pytest.mark.parametrize("email", ["ada+news@acme.example", "josé@acme.example", "Ada@bücher.example"])
def test_what_was_set_aside_of_the_forgotten_goes_in_whatever_spelling(store: Store, email: str) -> None:
    event = {"type": "track", "event": "x", "properties": {"email": email}}
    bodies = [
        json.dumps(event).encode(), json.dumps(event, ensure_ascii=False).encode(),
        urlencode({"data[email]": email}).encode(), f"<{email.upper()}>".encode(),
    ]  # fmt: skip
    with store.writing() as tx:
        for n, body in enumerate([*bodies, b'{"email": "somebody@else.example"}']):
            quarantine.put(tx, store.vault, "inbox:intake", "bad_timestamp", body, clock.now(), str(n))
    assert forget.forget(store, email, "test").rows["quarantine"] == len(bodies)


def test_of_a_forgotten_person_who_was_merged_and_suppressed_by_hand_nothing_stays_and_the_report_names_their_journey(
    store: Store,
) -> None:
    with stage(store, journey(TAG)) as made:
        first, second = made.lead(ADA), made.lead("ada2.canary@acme.example")
        made.sync()
        new = made.sandbox.hubspot.merge(first, second)
        made.sync(full=True)
        with store.writing() as tx:
            told = (ADA, SuppressionReason.OPERATOR, "operator olga: Ada Canary asked on the phone", clock.now())
            suppressions.suppress(tx, store.vault, [told], clock.now())
        report = forget.report(forget.forget(store, ADA, "olga"))
        kept = everything(store).casefold()
        assert [one for one in ("canary", *(f"contact:{one}" for one in (first, second, new))) if one in kept] == []
        assert report["journeys"] == [TAG]
        with store.reading() as tx:
            assert suppressions.is_suppressed(tx, store.vault, "ada2.canary@acme.example") is SuppressionReason.ERASED


def test_the_sqlite_file_itself_keeps_no_trace(tmp_path: Any) -> None:
    from leadbridge.store import open_store

    file = tmp_path / "store.db"
    own = open_store(f"sqlite:///{file}", key=b"k" * 32)
    own.migrate()
    with stage(own, journey(TAG)) as made:
        lived(made)
        on_disk = [path.read_bytes() for path in tmp_path.iterdir()]
        assert any(ADA.encode() in content for content in on_disk)
        forget.forget(own, ADA, "tester")
        on_disk = [path.read_bytes() for path in tmp_path.iterdir()]
        assert not any(ADA.encode() in content for content in on_disk)
    own.close()


@pytest.mark.parametrize("again", ["pulled", "webhook", "new record", "activity"])
def test_nothing_brings_the_forgotten_back(store: Store, again: str) -> None:
    with stage(store, journey(TAG)) as made:
        record = lived(made)
        forget.forget(store, ADA, "tester")
        calls = made.calls("members.tags")
        match again:
            case "pulled":
                made.edit(record, jobtitle="Director of Canaries")
                made.sync(full=True)
            case "webhook":
                made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
                made.act()
            case "new record":
                made.sandbox.hubspot.archive_contact(record)
                made.sandbox.hubspot.add_contact({"email": ADA, "jobtitle": "Director"})
                made.sync()
            case "activity":
                late = Activity(email_key(ADA), ActivityKind.PAGE_VIEW, clock.now(), "test", "late", {"url": "/canary"})
                with store.writing() as tx:
                    assert forget.activities_without_forgotten(tx, store, [late]) == []
        assert "canary" not in everything(store).casefold().replace("nobody.canary", "").replace("/canary/2", "")
        assert made.calls("members.tags") == calls


def test_a_record_merged_from_a_forgotten_one_is_forgotten_with_it(store: Store) -> None:
    with stage(store, journey(TAG)) as made:
        record = lived(made)
        other = made.lead("twin@acme.example")
        made.sync()
        forget.forget(store, ADA, "tester")
        made.sandbox.hubspot.merge(other, record)
        made.sync(full=True)
        assert "twin@acme.example" not in everything(store)
        with store.reading() as tx:
            assert suppressions.is_suppressed(tx, store.vault, "twin@acme.example") is SuppressionReason.ERASED


def test_the_crms_own_erasure_is_ours_too(store: Store) -> None:
    with stage(store, journey(TAG)) as made:
        record = lived(made)
        made.event({"subscriptionType": "contact.privacyDeletion", "objectId": int(record)})
        made.act()
        assert "ada.canary" not in everything(store).casefold()


def test_an_enrolment_under_way_for_somebody_forgotten_meanwhile_is_not_called(store: Store) -> None:
    with stage(store, journey(TRIGGER)) as made:
        made.lead(ADA)
        made.until_enrol()
        platform: Any = made.parts.platform

        class Pool:
            """Somebody is forgotten the moment after the call was committed."""

            def map(self, call: Any, rows: Any) -> Any:
                forget.forget(store, ADA, "tester")
                return [call(row) for row in rows]

        done = enrol.Enrolled()
        enrol.Sender(store, platform, bounds.rules_of(store, made.config), "w1", Pool(), done).one_batch()  # type: ignore[arg-type]
        assert made.calls("journeys.trigger") == 0
        assert made.ledger() == []
        assert "ada.canary" not in everything(store).casefold()


def test_a_worker_that_had_loaded_the_person_saves_nothing(store: Store) -> None:
    with stage(store, journey(TAG)) as made, moving(made):
        made.lead(ADA)
        pull.pull(store, made.parts.crms, made.parts.platform, owner="w1")
        with store.writing() as tx:
            claims = due.claim_due(tx, limit=10, owner="w1", now=clock.now())
        forget.forget(store, ADA, "tester")
        from sync import rescore

        done = rescore.Rescored()
        rescore._batch(made.parts, claims, done)
        assert "ada.canary" not in everything(store).casefold()


def test_forgetting_twice_and_forgetting_a_stranger_is_no_error(store: Store) -> None:
    assert forget.forget(store, ADA, "tester").people == 0
    assert forget.forget(store, ADA, "tester").people == 0
    with pytest.raises(ValueError, match="no e-mail address"):
        forget.forget(store, "not an address", "tester")


def test_every_table_that_refers_to_a_person_is_searched() -> None:
    """A new table is covered by itself when it refers to persons; one that names addresses has to say so."""
    referring = {
        table.name
        for table in metadata.sorted_tables
        if any(key.column.table.name == "persons" for column in table.columns for key in column.foreign_keys)
    }
    searched = {table.name for table, _, _ in forgetting._places([1], ["a"], ["k"])}
    assert referring <= searched
    with_addresses = {table.name for table in metadata.sorted_tables if {"address", "email"} & set(table.c.keys())}
    assert with_addresses <= searched
