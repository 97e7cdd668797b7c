"""Person accounts: one person as an account and the contact that comes with it (vendor page, sections 2.1 and 2.3).

Both rows show the same values under other names; whoever edits one edits both. Field names and types after the recorded
describe of such an org.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leadbridge.sandbox.salesforce.fields import Field

# Of an account: its name there, and what it is called at the contact.
_SHARED: Mapping[str, str] = {
    "FirstName": "FirstName", "LastName": "LastName", "Phone": "Phone",
    "PersonEmail": "Email", "PersonTitle": "Title", "PersonMobilePhone": "MobilePhone", "PersonHomePhone": "HomePhone",
    "PersonDepartment": "Department", "PersonLeadSource": "LeadSource", "PersonBirthdate": "Birthdate",
    "PersonMailingCity": "MailingCity", "PersonMailingState": "MailingState", "PersonMailingCountry": "MailingCountry",
    "PersonHasOptedOutOfEmail": "HasOptedOutOfEmail", "PersonDoNotCall": "DoNotCall",
    "PersonEmailBouncedReason": "EmailBouncedReason", "PersonEmailBouncedDate": "EmailBouncedDate",
}  # fmt: skip
_OWN = (
    Field("IsPersonAccount", "boolean", "Is Person Account", createable=False, updateable=False, nillable=False),
    Field(
        "PersonContactId", "reference", "Contact ID", length=18, createable=False, updateable=False,
        refers_to=("Contact",), relationship="PersonContact",
    ),
)  # fmt: skip


def more_fields(kind: str, standard: Mapping[str, Field], contact: Mapping[str, Field]) -> dict[str, Field]:
    """What an object has besides, once the org has person accounts. ``contact``: every field of contacts."""
    if kind == "Contact":
        return {"IsPersonAccount": _OWN[0]}
    if kind == "Lead":  # without a company, a lead becomes a person account
        return {"Company": replace(standard["Company"], nillable=True)}
    if kind != "Account":
        return {}
    names = {there: here for here, there in _SHARED.items() if here not in standard}
    named = {names[name]: field for name, field in contact.items() if name in names}
    custom = {f"{name[:-1]}pc": field for name, field in contact.items() if field.custom}
    shared = {
        name: replace(field, name=name, nillable=field.type != "boolean", id_lookup=False)
        for name, field in (named | custom).items()
    }
    shared["PersonTitle"] = replace(shared["PersonTitle"], length=80)
    unnamed = {"Name": replace(standard["Name"], nillable=True)}  # a person's follows from its parts
    return {one.name: one for one in _OWN} | shared | unnamed


def is_person(values: Mapping[str, Any]) -> bool:
    """Does somebody make a person of this account, by giving it a last name?"""
    return values.get("LastName") is not None


def full_name(values: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (values.get("FirstName"), values.get("LastName"))))


def as_contact(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an account, as its contact has them."""
    found = {there: values[here] for here, there in _SHARED.items() if here in values}
    return found | {f"{name[:-2]}c": value for name, value in values.items() if name.endswith("__pc")}


def as_account(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a contact, as its account has them."""
    found = {here: values[there] for here, there in _SHARED.items() if there in values}
    found |= {f"{name[:-1]}pc": value for name, value in values.items() if name.endswith("__c")}
    return found | ({"Name": full_name(values)} if "Name" in values else {})
