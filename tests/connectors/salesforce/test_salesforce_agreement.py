"""`leadbridge check --live`: where file and org do not agree, each with its cure; and nothing where they do."""

from collections.abc import Iterable
from typing import Any

import pytest

from connectors.salesforce.connector import Salesforce
from leadbridge.errors import Fault
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms


def faults(sandbox: Sandbox, fields: dict[str, Any], **connection: Any) -> list[Fault]:
    config = rooms.configuration(
        sandbox.url, salesforce=connection, fields={"job_title": {"salesforce": "Title"}} | fields
    )
    return rooms.salesforce(config).faults()


def where(found: Iterable[Fault]) -> list[str]:
    return [fault.where for fault in found]


def test_an_org_that_agrees_has_no_fault(room: Salesforce, sandbox: Sandbox) -> None:
    before = len(sandbox.world.journal)
    assert room.faults() == []
    assert not any(call.effects for call in sandbox.world.journal.since(before))


@pytest.mark.parametrize(
    ("field", "kind", "words"),
    [
        ("Titel", "text", "Titel of Lead and Contact is not there, or hidden"),
        ("Lead.Budget__c | Account.NumberOfEmployees", "integer", "Budget__c of Lead is not there, or hidden"),
        ("Account.NumberOfEmployes", "integer", "NumberOfEmployes of Account"),
        ("Owner.Shoe_Size__c", "text", "Shoe_Size__c of Owner"),
        ("Lead.IsConverted", "number", "is a boolean field, and cannot be read as number"),
        ("Lead.NumberOfEmployees", "date", "is a int field, and cannot be read as date"),
    ],
)
def test_a_place_that_cannot_be_read_is_named_with_a_cure(sandbox: Sandbox, field: str, kind: str, words: str) -> None:
    found = faults(sandbox, {"budget": {"salesforce": field, "type": kind}})
    assert [(fault.where, words in fault.problem, bool(fault.hint)) for fault in found] == [
        ("fields.budget.salesforce", True, True)
    ]


def test_a_field_of_one_object_only_is_no_fault(sandbox: Sandbox) -> None:
    assert faults(sandbox, {"team": {"salesforce": "Department"}, "who": {"salesforce": "Owner.Email"}}) == []


def test_consent_nobody_can_see_is_told_before_anything_is_read(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    for row in list(org._store.state.live("FieldPermissions")):
        org.delete(row.id)
    found = faults(sandbox, {})
    assert where(found) == ["connections.salesforce.opt_out"] * 2
    assert "nobody's consent is known" in found[0].hint


def test_an_opt_out_that_is_no_checkbox_is_told(sandbox: Sandbox) -> None:
    found = faults(sandbox, {}, opt_out="Title")
    assert where(found) == ["connections.salesforce.opt_out"] * 2
    assert "Lead.Title is no checkbox but of type string" in found[0].problem


def test_values_a_picklist_does_not_have_are_told(sandbox: Sandbox) -> None:
    rule = {"name": "tech", "category": "fit", "when": {"industry": {"in": ["Technology", "Tech"]}}, "points": 5}
    config = rooms.configuration(sandbox.url, fields={"industry": {"salesforce": "Lead.Industry"}})
    scores = {"lead": {"categories": {"fit": {"max": 9}, "engagement": {"max": 9}}, "rules": [rule]}}
    made = config.model_validate(config.model_dump(by_alias=True, exclude_unset=True) | {"scores": scores})
    (fault,) = rooms.salesforce(made).faults()
    assert (fault.where, "'Tech'" in fault.problem) == ("scores.lead.rules.0.when", True)


def test_a_status_and_a_source_the_org_lacks_are_told(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    org.settings.lacks = frozenset({"EmailMessage"})
    status, source = faults(sandbox, {}, lead_stages={"Working - Contacted": "sql", "Warm": "mql"})
    assert (status.where, "'Warm'" in status.problem) == ("connections.salesforce.lead_stages", True)
    assert (source.where, "emails cannot be read" in source.problem) == ("connections.salesforce.activities", True)


def test_a_version_the_org_does_not_serve_is_told_first(sandbox: Sandbox) -> None:
    (fault,) = faults(sandbox, {"budget": {"salesforce": "Nowhere"}}, api_version="68.0")
    assert (fault.where, fault.hint) == ("connections.salesforce.api_version", "its newest is 67.0")


def test_the_fields_to_map_for_conversion_are_told_where_both_objects_are_read(sandbox: Sandbox) -> None:
    (told,) = rooms.salesforce(rooms.configuration(sandbox.url)).by_hand()
    assert "Lead.Leadbridge_Score__c to Contact.Leadbridge_Score__c" in told.entries
    assert rooms.salesforce(rooms.configuration(sandbox.url, salesforce={"objects": ["Lead"]})).by_hand() == ()
