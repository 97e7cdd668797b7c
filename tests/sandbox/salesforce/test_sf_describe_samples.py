"""Describes against recorded ones of real orgs, where they are at hand: the same keys, fields of the same making."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from leadbridge.sandbox.salesforce import Salesforce

SAMPLES = Path(__file__).parents[4] / "shared" / "specs" / "salesforce" / "cumulusci" / "describe"
Api = Callable[..., requests.Response]

pytestmark = pytest.mark.skipif(not SAMPLES.exists(), reason="recorded describes are not beside this repository")

RECORDED = {
    "Lead": "Lead", "Contact": "Contact", "Account": "Account", "Opportunity": "Opportunity",
    "OpportunityContactRole": "OpportunityContactRole", "Event": "Event", "Account_PersonAccount": "Account",
}  # fmt: skip
NEWER = {"associateEntityType", "associateParentEntity", "sobjectDescribeOption"}
"""Keys that the older of the recordings do not have."""

OLDER = {(name, "length") for name in ("AccountSource", "Industry", "Ownership", "Rating", "Type")}
"""Of the two recorded orgs the one with person accounts describes these picklists of accounts as longer."""

ODD = {("Opportunity", "ForecastCategory", "nillable"), ("Event", "Subject", "groupable")}
"""Differences that nothing here turns on."""

ALIKE = ("type", "length", "precision", "scale", "nillable", "createable", "updateable", "calculated", "referenceTo",
         "relationshipName", "filterable", "sortable", "groupable", "idLookup", "externalId", "soapType")  # fmt: skip


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_an_object_is_described_as_a_real_org_describes_it(name: str, sf: Salesforce, api: Api) -> None:
    if person := name == "Account_PersonAccount":
        sf.enable_person_accounts()
    real, ours = recorded(name), api("GET", f"/sobjects/{RECORDED[name]}/describe").json()
    assert set(ours) <= set(real) | NEWER
    assert {key: type(ours[key]) for key in ours if ours[key] is not None and real.get(key) is not None} == {
        key: type(real[key]) for key in ours if ours[key] is not None and real.get(key) is not None
    }
    assert ours["keyPrefix"] == real["keyPrefix"]
    theirs = {field["name"]: field for field in real["fields"]}
    shared = [field for field in ours["fields"] if field["name"] in theirs]
    assert len(shared) > 8
    differences = {}
    for field in shared:
        there = theirs[field["name"]]
        assert set(field) == set(there), field["name"]
        for key in ALIKE:
            if (RECORDED[name], field["name"], key) in ODD or (person and (field["name"], key) in OLDER):
                continue
            if key == "referenceTo" and set(field[key]) <= set(there[key]):
                continue  # objects that the stand-in does not have
            if key in there and field[key] != there[key]:
                differences[f"{field['name']}.{key}"] = (field[key], there[key])
    assert differences == {}
