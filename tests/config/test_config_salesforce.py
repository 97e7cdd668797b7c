"""Salesforce in the file: each wrong word is one fault that says what is right."""

from pathlib import Path

import pytest

from tests.helpers.config_files import ENVIRONMENT, SOUND, faults_of, loaded

EXAMPLE = Path(__file__).parents[2] / "examples" / "salesforce-mailchimp.yaml"
ENV = {**ENVIRONMENT, "SF_CLIENT_ID": "3MVG9.id", "SF_CLIENT_SECRET": "0000aaaa-secret", "SF_KEY": "-----BEGIN"}
SIGN_IN = 'domain: acme.my, client_id: "${SF_CLIENT_ID}", client_secret: "${SF_CLIENT_SECRET}"'


def text(connection: str = SIGN_IN, field: str = "Title", target: str = "Leadbridge_Score__c") -> str:
    """The sound file with Salesforce beside HubSpot."""
    found = SOUND.replace("  mailchimp: {api", f"  salesforce: {{{connection}}}\n  mailchimp: {{api", 1)
    found = found.replace("{hubspot: jobtitle}", f'{{hubspot: jobtitle, salesforce: "{field}"}}', 1)
    return found.replace("{hubspot: leadbridge_score,", f"{{hubspot: leadbridge_score, salesforce: {target},", 1)


def test_the_example_is_sound() -> None:
    config = loaded(EXAMPLE.read_text(encoding="utf-8"), ENV)
    assert config.connections.salesforce.domain == "acme.my"
    assert config.connections.hubspot is None


@pytest.mark.parametrize(
    "field",
    [
        "Title",
        "Lead.Title",
        "Account.Custom__c",
        "ns__Field__c",
        "Lead.A | Account.B|Opportunity.Amount",
        "Owner.Email",
    ],
)
def test_places_of_a_field(field: str) -> None:
    assert loaded(text(field=field), ENV).fields["job_title"].salesforce == field


@pytest.mark.parametrize("field", ["Campaign.Name", "Lead.Owner.Name", "Title |", "Ti tle", "Title; DROP", "1x", "'x'"])
def test_what_is_no_place_is_told_with_examples(field: str) -> None:
    (fault,) = faults_of(text(field=field), ENV)
    assert fault.where == "fields.job_title.salesforce"
    assert "Lead.NumberOfEmployees | Account.NumberOfEmployees" in fault.problem


@pytest.mark.parametrize("target", ["Title", "Leadbridge__Score__c", "Score__C", "_Score__c", f"{'x' * 41}__c", "__c"])
def test_a_score_goes_into_a_custom_field_only(target: str) -> None:
    (fault,) = faults_of(text(field="Website", target=target), ENV)
    assert (fault.where, "Leadbridge_Score__c" in fault.problem) == ("write_back.score.salesforce", True)


def test_a_score_must_not_feed_on_itself_wherever_it_is_read_and_however_it_is_spelt() -> None:
    (fault,) = faults_of(text(field="Account.Name | Lead.LEADBRIDGE_score__c"), ENV)
    assert "must not feed on itself" in fault.problem


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ('domain: login, client_id: "${SF_CLIENT_ID}", client_secret: "${SF_CLIENT_SECRET}"', "acme.my"),
        (SIGN_IN.replace("acme.my", "acme.lightning.force.com"), "not login, test or lightning"),
        (SIGN_IN.replace("acme.my", "acme.my.salesforce.com"), "what stands before .salesforce.com"),
        ('domain: acme.my, client_id: "${SF_CLIENT_ID}"', "does not say how to sign in"),
        (SIGN_IN + ', private_key: "${SF_KEY}", username: ada', "two ways"),
        ('domain: acme.my, client_id: "${SF_CLIENT_ID}", private_key: "${SF_KEY}"', "needs username"),
        (SIGN_IN + ", username: ada", "username and password both"),
        (SIGN_IN + ", api_version: 30.0", "65.0"),
        (SIGN_IN + ", objects: [Leads]", "Lead, Contact"),
        (SIGN_IN + ", objects: []", "at least one entry"),
        (SIGN_IN + ", read_until: 95%", "write_until must not be below read_until"),
        (SIGN_IN + ", lead_stages: {Working: salesready}", "allowed"),
    ],
)
def test_a_wrong_connection_says_what_is_right(connection: str, words: str) -> None:
    faults = faults_of(text(connection), ENV)
    assert any(words in str(fault) for fault in faults), faults
    assert len(faults) == 1


def test_fields_of_a_crm_that_is_not_connected_are_told() -> None:
    lines = text().splitlines(keepends=True)
    alone = "".join(line for line in lines if not line.startswith("  salesforce:"))
    assert {fault.where for fault in faults_of(alone, ENV)} == {
        "fields.job_title.salesforce",
        "write_back.score.salesforce",
    }
