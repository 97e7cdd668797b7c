"""What a score says of itself in the CRM: how sure, since when, by which rules; and that there is none (N16)."""

from typing import Any

from leadbridge.config.conditions import parse_condition
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, due
from leadbridge.testing import Skipping
from sync import cycle, setup, wiring
from sync.outlook import Scorer
from tests.helpers import rooms
from tests.helpers.syncing import BASE, Stage, moving, stage

ABOUT = {
    "confidence": "leadbridge_confidence",
    "scored_at": "leadbridge_scored_at",
    "model": "leadbridge_model",
    "matrix": "leadbridge_matrix",
}
NOT_PARTNERS = {"not": {"job_title": "Partner"}}
LEAD: dict[str, Any] = BASE["scores"]["lead"] | {
    "applies_to": NOT_PARTNERS,
    "matrix": {},
    "rules": [
        *BASE["scores"]["lead"]["rules"],
        {"name": "known firm", "category": "fit", "when": {"firm": {"contains": "acme"}}, "points": 5},
    ],
}
FIELDS = BASE["fields"] | {"firm": {"hubspot": "company"}}
WRITE_BACK = BASE["write_back"] | {name: {"hubspot": place} for name, place in ABOUT.items()}


def look_again(made: Stage, record: str) -> cycle.Round:
    with made.store.writing() as tx:
        due.mark_due(tx, [made.person(record)], made.now())
    return made.act()


def shown(made: Stage, record: str, *names: str) -> list[str | None]:
    held = made.held(record)
    return [held.get(f"leadbridge_{name}") for name in names]


def test_a_record_says_how_sure_its_score_is_since_when_and_by_which_rules(store: Store) -> None:
    with stage(store, scores={"lead": LEAD}, write_back=WRITE_BACK, fields=FIELDS) as made, moving(made) as time:
        record = made.lead(jobtitle="Director")  # of two rules that need to know, the firm is not known
        day = made.now()
        made.sync()
        model = made.parts.scorer.models[0].hash
        assert shown(made, record, "score", "grade", "matrix") == ["55", "A", "A3"]
        assert shown(made, record, "confidence", "scored_at", "model") == ["50", f"{day:%Y-%m-%d}", model]
        properties = made.sandbox.hubspot.dump()["properties"]["contacts"]
        assert properties["leadbridge_scored_at"]["type"] == "date"  # which a list can compare
        time.on(days=2)
        done = look_again(made, record)
        assert (done.rescored.people, done.written.written) == (1, 0)  # a later date alone is no news
        made.edit(record, company="Other")  # more is known, and it changes nothing that is shown
        assert made.sync().written.written == 0
        assert shown(made, record, "confidence", "scored_at") == ["50", f"{day:%Y-%m-%d}"]
        made.edit(record, company="Acme")
        assert made.sync().written.written == 1
        assert shown(made, record, "score", "confidence", "scored_at") == ["60", "100", f"{made.now():%Y-%m-%d}"]


def test_a_score_that_no_longer_applies_leaves_nothing_stale_in_hubspot(store: Store) -> None:
    with stage(store, scores={"lead": LEAD}, write_back=WRITE_BACK, fields=FIELDS) as made:
        record = made.lead(jobtitle="Director")
        made.sync()
        made.edit(record, jobtitle="Partner")
        assert made.sync().written.written == 1
        names = ("score", "grade", "matrix", "confidence", "scored_at", "model")
        assert not any(shown(made, record, *names))
        assert look_again(made, record).written.written == 0


def test_a_score_that_no_longer_applies_leaves_nothing_stale_in_salesforce(store: Store) -> None:
    """On both ways to write: a few by the call, a backlog in bulk, where an empty cell would mean no change."""
    with Sandbox() as sandbox:
        for kind in ("Lead", "Contact"):
            sandbox.salesforce.grant_field(kind, "HasOptedOutOfEmail")
        plain = rooms.configuration(sandbox.url, salesforce={"activities": [], "bulk_write_above": 250})
        lead = plain.scores["lead"].model_copy(update={"applies_to": parse_condition(NOT_PARTNERS)})
        config = plain.model_copy(update={"scores": {"lead": lead}})
        parts = wiring.Parts(
            config, store, Scorer(config), [rooms.salesforce(config, Skipping().pace())], None, owner="w1"
        )
        setup.apply(parts)
        org = sandbox.salesforce
        about = {"LastName": "L", "Company": "Acme", "Title": "Head"}
        known = [org.add("Lead", about | {"Email": f"l{n}@acme.example"}) for n in range(300)]
        assert cycle.sync(parts).written.written == 300
        assert {org.row(one)["Leadbridge_Score__c"] for one in known} == {5.0}
        org.edit(known[0], {"Title": "Partner"})
        assert cycle.sync(parts).written.written == 1
        assert org.row(known[0]).get("Leadbridge_Score__c") is None
        for one in known[1:]:
            org.edit(one, {"Title": "Partner"})
        assert cycle.sync(parts).written.written == 299
        assert {org.row(one).get("Leadbridge_Score__c") for one in known} == {None}
