"""What a configuration says in plain words, without secrets."""

from pathlib import Path

import pytest

from leadbridge.config.load import load
from leadbridge.config.report import describe
from tests.helpers.config_files import ENVIRONMENT, changed, loaded

EXAMPLE = Path(__file__).parents[2] / "examples" / "hubspot-mailchimp.yaml"


def test_the_example_in_plain_words() -> None:
    config = load(
        EXAMPLE, {"HUBSPOT_TOKEN": "t-canary", "HUBSPOT_APP_SECRET": "s-canary", "MAILCHIMP_KEY": "k-canary-us21"}
    )
    lines = describe(config)
    told = dict(lines)
    assert len(told) == len(lines)
    assert "canary" not in str(lines)
    assert told["store"] == "SQLite, leadbridge.db"
    assert told["HubSpot"].startswith("https://api.hubapi.com (API v3), with webhooks; reads events, forms")
    assert told["Mailchimp"] == "audience a36b032126, address from the key, without webhooks"
    assert told["fields"] == "8 mapped"
    assert told["hand-off"] == "at stage sql to sales, in touch within 4 h"
    assert told["score lead"].endswith("fit -20 to 40, engagement -20 to 40, bant 0 to 20; grades A, B, C, D by fit")
    assert told["stages"] == "sql, mql"
    assert told["journeys"] == "offer (10% held out), case studies (10% held out), how-to guides (10% held out)"
    assert told["guards"] == "an hour 100 people or 1%, a day 500 people or 5%"


def test_rules_are_counted_by_their_sort() -> None:
    quiet = "      - {name: quiet, category: engagement, no_activity_for: 60d, points: -5}\n    grades:"
    told = dict(describe(loaded(changed(("    grades:", quiet)))))
    assert told["score lead"].startswith("3 rules (1 on attributes, 1 on activity and 1 on silence); fit 0 to 40")
    assert told["fields"] == "6 mapped; in no rule: budget, country, partner, renewal"


@pytest.mark.parametrize(
    ("web", "page"),
    [
        ("{public_url: https://acme.example}", "closed until web.status_password is set"),
        ('{public_url: https://acme.example, status_password: "${STATUS_PASSWORD}"}', "by password"),
        ("{port: 8080}", "for this machine only"),
        ("{public_url: http://127.0.0.1}", "for this machine only"),
    ],
)
def test_who_may_see_the_page_is_said(web: str, page: str) -> None:
    text = changed(("nurture:\n", f"web: {web}\nnurture:\n"))
    told = dict(describe(loaded(text, {**ENVIRONMENT, "STATUS_PASSWORD": "a-long-password"})))
    assert told["web"].endswith(f"; page and /metrics {page}")


def test_what_is_not_there_is_said() -> None:
    rule = "{name: a, category: fit, when: {email: {present: true}}, points: 1}"
    text = f"connections: {{}}\nscores: {{lead: {{categories: {{fit: {{}}}}, rules: [{rule}]}}}}\n"
    told = dict(describe(loaded(text)))
    assert told["connections"] == "none"
    assert told["score lead"] == "1 rule (1 on attributes); fit 0 to 100"
    assert [told[key] for key in ("write back", "stages", "buyer's journey", "segments", "journeys")] == [
        "nothing",
        *["none"] * 4,
    ]


def test_switched_off_and_loosened_is_said() -> None:
    text = changed(
        ("nurture:\n", "guards: {per_hour: [1000, 2.5%], loosened_on_purpose: true}\nnurture:\n  enabled: false\n"),
    )
    told = dict(describe(loaded(text)))
    assert told["journeys"] == "guides; switched off, nobody is mailed"
    assert told["guards"] == "an hour 1000 people or 2.5%, a day 500 people or 5%; loosened on purpose"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("sqlite:////var/lib/leadbridge.db", "SQLite, /var/lib/leadbridge.db"),
        ("sqlite://", "SQLite, in memory"),
        (
            "postgresql://app:${PASSWORD}@db.acme.example:5432/leads?sslmode=require",
            "PostgreSQL, database leads at db.acme.example:5432",
        ),
        ("postgresql:///leads", "PostgreSQL, database leads at this machine"),
        ("postgresql+psycopg://${PASSWORD}@db", "PostgreSQL, database by default at db"),
    ],
)
def test_the_store_is_named_without_its_password(address: str, told: str) -> None:
    text = changed(("connections:\n", f'store: "{address}"\nconnections:\n'))
    said = dict(describe(loaded(text, {**ENVIRONMENT, "PASSWORD": "p@ss/w:rd"})))["store"]
    assert said == told
    assert "w:rd" not in said
