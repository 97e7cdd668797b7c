"""Why a score is what it is, now and at any past instant, and what changed in between; nothing is written."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from leadbridge.store import Store, activities, consents
from leadbridge.store import scores as score_store
from leadbridge.store.tables import attribute_history
from leadbridge.types import Activity, ActivityKind, Lead, RecordRef, email_key
from sync import explain, identity
from tests.helpers.storedump import dump
from tests.helpers.syncing import BASE, Stage, moving, stage

ADA = "ada@acme.example"


def view(made: Stage, number: int) -> None:
    with made.store.writing() as tx:
        url = {"url": "https://acme.example/pricing"}
        row = Activity(email_key(ADA), ActivityKind.PAGE_VIEW, made.now(), "test", str(number), url)
        activities.add_activities(tx, [row], made.now())


def test_any_past_instant_can_be_explained_and_compared_by_the_rules_of_today(made: Stage, store_url: str) -> None:
    with moving(made) as time:
        start = time.at
        record = made.lead(ADA)
        time.on(hours=1)
        made.sync()
        known = made.now()
        time.on(days=10)
        made.edit(record, jobtitle="Director")
        time.on(hours=1)
        view(made, 1)
        made.sync()
        before = dump(store_url.replace("postgresql:", "postgresql+psycopg:"))
        now = explain.explain(made.store, made.parts.scorer, ADA)
        then = explain.explain(made.store, made.parts.scorer, ADA, known)
        moved = explain.difference(made.store, made.parts.scorer, ADA, known)
        assert explain.explain(made.store, made.parts.scorer, ADA, start - timedelta(days=1)) is None
        assert dump(store_url.replace("postgresql:", "postgresql+psycopg:")) == before
    assert now is not None
    assert then is not None
    assert moved is not None
    assert [score.value for score in then.scores] == [15]
    assert [score.value for score in now.scores] == [63]
    assert (then.stage, now.stage) == (None, "mql")
    assert now.evidence["lead"]["boss"] == "job_title: Director"
    assert "pricing" in now.evidence["lead"]["pages"]
    assert [(one.before, one.now) for one in moved.scores] == [(15, 63)]
    assert moved.scores[0].lines == [("boss (fit)", 0.0, 40), ("pages (engagement)", 0.0, 8)]
    assert moved.fields == {"job_title": ("Engineer", "Director")}
    assert moved.activities == {"page_view": 1}


@pytest.mark.parametrize("lead_first", [True, False])
def test_a_day_before_leadbridge_was_there_is_explained_by_what_the_crm_remembers(
    store: Store, *, lead_first: bool
) -> None:
    """Also of somebody whom a second CRM told of first, and once only however often all is read."""
    fields = BASE["fields"] | {"employees": {"hubspot": "company.numberofemployees", "type": "integer"}}
    with stage(store, fields=fields, hubspot={"property_history": True}) as made, moving(made) as time:
        start = time.at
        company = made.sandbox.hubspot.add_company({"name": "Acme", "numberofemployees": "7"})
        record = made.sandbox.hubspot.add_contact({"email": ADA, "jobtitle": "Engineer"}, company_id=company)
        time.on(days=10)
        made.edit(record, jobtitle="Director")
        time.on(days=10)
        made.sandbox.hubspot.edit_company(company, {"numberofemployees": "70"})
        time.on(days=10)
        made.edit(record, jobtitle="")
        time.on(days=1)
        if not lead_first:
            shown = Lead(RecordRef("salesforce", "Lead", "00Q1"), ADA, {"budget": 9.0}, start + timedelta(days=15))
            with store.writing() as tx:
                identity.absorb(tx, [shown], made.now())
        lines: set[int] = set()
        for full in (False, True):
            made.sync(full=full)
            told = [explain.explain(store, made.parts.scorer, ADA, start + timedelta(days=day)) for day in (5, 16, 25)]
            assert explain.explain(store, made.parts.scorer, ADA, start - timedelta(days=1)) is None
            assert [[score.value for score in one.scores] for one in told if one] == [[15], [55], [55]]
            names = ("job_title", "employees", "lifecycle_stage", "budget")
            assert [[one.fields.get(name) for name in names] for one in told if one] == [
                ["Engineer", 7, None, None],
                ["Director", 7, None, None if lead_first else 9.0],
                ["Director", 70, None, None if lead_first else 9.0],
            ]
            now = explain.explain(store, made.parts.scorer, ADA)
            assert now is not None
            assert (now.fields.get("job_title"), now.fields["employees"]) == (None, 70)
            with store.reading() as tx:
                rows = tx.execute(select(func.count()).select_from(attribute_history)).scalar_one()
            lines.add(rows)
        assert len(lines) == 1


def test_who_has_no_score_is_told_why(store: Store) -> None:
    lead: dict[str, Any] = BASE["scores"]["lead"]
    scores = {"lead": lead, "customer": lead | {"applies_to": {"lifecycle_stage": "customer"}}}
    with stage(store, scores=scores) as made:
        record = made.lead(ADA)
        made.sync()
        found = explain.explain(store, made.parts.scorer, ADA)
        assert found is not None
        assert found.without == {"customer": "only for lifecycle_stage is customer"}
        with store.writing() as tx:
            consents.object_to_profiling(tx, [made.person(record)], "test", made.now())
        found = explain.explain(store, made.parts.scorer, ADA)
        assert found is not None
        assert found.without == dict.fromkeys(("lead", "customer"), "objects to profiling")


def test_an_instant_that_is_not_before_the_other_is_refused(made: Stage) -> None:
    made.lead(ADA)
    made.sync()
    with pytest.raises(ValueError, match="is not before"):
        explain.difference(made.store, made.parts.scorer, ADA, made.now() + timedelta(days=1))


def test_the_history_of_stages_says_why(made: Stage) -> None:
    record = made.lead(ADA, jobtitle="Director")
    made.sync()
    with made.store.reading() as tx:
        changes = score_store.stage_changes(tx, made.person(record))
    assert [(stage, cause) for _, stage, _, cause in changes] == [("mql", "the conditions of mql hold: lead 55")]


def test_the_phase_is_told_with_the_condition_that_holds(store: Store) -> None:
    phases = {"consideration": {"score.lead.fit": {"at_least": 10}}, "decision": {"score.lead": {"at_least": 50}}}
    with stage(store, buyer_journey=phases) as made:
        made.lead(ADA)
        made.sync()
        found = explain.explain(store, made.parts.scorer, ADA)
    assert found is not None
    assert (found.buyer_journey, found.phase_because) == ("consideration", "score.lead.fit at least 10")
