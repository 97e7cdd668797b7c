"""Vendors' rooms over a sandbox, with a clock that skips waits: nothing here sleeps."""

import json
from typing import Any

import urllib3

from connectors.hubspot.connector import HubSpot
from connectors.mailchimp.connector import Mailchimp
from connectors.salesforce.connector import Salesforce
from leadbridge.call import Pace
from leadbridge.config.schema import Config
from leadbridge.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET
from leadbridge.sandbox.server import Sandbox
from leadbridge.testing import Skipping

HUBSPOT_TOKEN = "sandbox-hubspot-token"
MAILCHIMP_KEY = "sandbox-mailchimp-key-us1"
AUDIENCE = "a36b032126"
SCORES = {
    "lead": {
        "categories": {"fit": {"max": 60}, "engagement": {"max": 40}},
        "rules": [{"name": "known", "category": "fit", "when": {"job_title": {"present": True}}, "points": 5}],
        "grades": {"A": 40, "B": 20, "C": 0},
    }
}
FIELDS = {
    "job_title": {"hubspot": "jobtitle", "salesforce": "Title", "empty": ["Select"]},
    "employees": {
        "hubspot": "company.numberofemployees",
        "salesforce": "Lead.NumberOfEmployees | Account.NumberOfEmployees",
        "type": "integer",
    },
    "industry": {"hubspot": "company.industry", "salesforce": "Lead.Industry | Account.Industry"},
    "budget": {"hubspot": "budget_amount", "salesforce": "Opportunity.Amount", "type": "number"},
    "unworked": {"hubspot": "hs_is_unworked", "type": "boolean"},
    "born": {"hubspot": "date_of_birth", "type": "date"},
    "last_open": {"hubspot": "hs_email_last_open_date", "type": "datetime"},
}
WRITE_BACK = {
    "score": {"hubspot": "leadbridge_score", "salesforce": "Leadbridge_Score__c", "mailchimp": "LBSCORE"},
    "score.fit": {"hubspot": "leadbridge_fit", "salesforce": "Leadbridge_Fit__c"},
    "grade": {"hubspot": "leadbridge_grade", "salesforce": "Leadbridge_Grade__c", "mailchimp": "LBGRADE"},
    "stage": {"hubspot": "lifecyclestage", "salesforce": "Leadbridge_Stage__c", "mailchimp": "LBSTAGE"},
    "reasons": {"hubspot": "leadbridge_reasons", "salesforce": "Leadbridge_Reasons__c", "mailchimp": "LBREASONS"},
}
JOURNEYS = [
    {"name": "guides", "mailchimp": {"tag": "Leadbridge guides"}, "when": {"email": {"present": True}}},
    {
        "name": "demo",
        "mailchimp": {
            "trigger": "https://us1.api.mailchimp.com/3.0/customer-journeys/journeys/12/steps/34/actions/trigger"
        },
        "when": {"email": {"present": True}},
    },
]


def configuration(
    url: str,
    *,
    hubspot: dict[str, Any] | None = None,
    mailchimp: dict[str, Any] | None = None,
    salesforce: dict[str, Any] | None = None,
    fields: dict[str, Any] | None = None,
    journeys: list[dict[str, Any]] | None = None,
    write_back: dict[str, Any] | None = None,
    public_url: str | None = None,
) -> Config:
    """A configuration of all vendors at one address; the dictionaries add to their connections."""
    return Config.model_validate(
        {
            "connections": {
                "hubspot": {"token": HUBSPOT_TOKEN, "base_url": url, "requests_per_10s": 10000} | (hubspot or {}),
                "salesforce": {
                    "domain": "acme.my",
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "base_url": url,
                }
                | (salesforce or {}),
                "mailchimp": {"api_key": MAILCHIMP_KEY, "audience": AUDIENCE, "base_url": f"{url}/3.0"}
                | (mailchimp or {}),
            },
            "fields": FIELDS if fields is None else fields,
            "write_back": WRITE_BACK if write_back is None else write_back,
            "web": {"public_url": public_url},
            "scores": SCORES,
            "nurture": {"journeys": JOURNEYS if journeys is None else journeys},
        }
    )


def hubspot(config: Config, pace: Pace | None = None) -> HubSpot:
    assert config.connections.hubspot is not None
    return HubSpot(config.connections.hubspot, config, pace=pace or Skipping().pace())


def salesforce(config: Config, pace: Pace | None = None) -> Salesforce:
    assert config.connections.salesforce is not None
    return Salesforce(config.connections.salesforce, config, pace=pace or Skipping().pace())


def mailchimp(config: Config, pace: Pace | None = None) -> Mailchimp:
    assert config.connections.mailchimp is not None
    return Mailchimp(config.connections.mailchimp, config, pace=pace or Skipping().pace())


def salesforce_api(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    """What another client of the same org does. Returns the JSON answered, None when there is none."""
    token = sandbox.salesforce.sign_in()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib3.PoolManager() as pool:
        given = None if body is None else json.dumps(body).encode()
        answer = pool.request(method, f"{sandbox.url}/services/data/v65.0{path}", body=given, headers=headers)
        assert answer.status < 300, answer.data
        return json.loads(answer.data) if answer.data else None


def unlimited(sandbox: Sandbox) -> Sandbox:
    """Without the rate limits of HubSpot, which tests would otherwise wait for in real time."""
    sandbox.hubspot.settings.search_per_second = 0
    sandbox.hubspot.settings.burst_limit = 0
    return sandbox


def hubspot_api(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    """What another client of the same HubSpot account does. Returns the JSON answered, None when there is none."""
    headers = {"Authorization": f"Bearer {HUBSPOT_TOKEN}", "Content-Type": "application/json"}
    with urllib3.PoolManager() as pool:
        given = None if body is None else json.dumps(body).encode()
        answer = pool.request(method, sandbox.url + path, body=given, headers=headers)
        assert answer.status < 300, answer.data
        return json.loads(answer.data) if answer.data else None
