"""A pass over everybody: who moved is stored, nobody else; by any number of workers, killed anywhere (G8, G10, G18)."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from leadbridge import clock
from leadbridge.columns import values_of
from leadbridge.config.schema import Config
from leadbridge.errors import StoreConflict
from leadbridge.store import Store, activities, bulk, consents, due, enrolments, leads, packs, quarantine, tables
from leadbridge.store import passes as pass_store
from leadbridge.store import scores as score_store
from leadbridge.types import Activity, ActivityKind, Lead, RecordRef
from scoring import engine
from sync import cycle, passes, rescore, wiring
from sync.loading import Loaded, load
from sync.outlook import Scorer
from sync.worker import Enough
from tests.helpers import rooms
from tests.helpers.databases import KEY

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PEOPLE = 45
KINDS = [ActivityKind.PAGE_VIEW, ActivityKind.CALL, ActivityKind.PURCHASE]
RULES: list[dict[str, Any]] = [
    {"name": "boss", "category": "fit", "when": {"job_title": {"words": ["director"]}}, "points": 20},
    {"name": "acme", "category": "fit", "when": {"email_domain": "acme.example"}, "points": 5.4},
    {"name": "pages", "category": "engagement", "activity": "page_view", "points": 9, "half_life": "5d"},
    {"name": "calls", "category": "engagement", "activity": "call", "points": 6, "within": "9d"},
    {"name": "spent", "category": "engagement", "activity": "purchase", "each": "value", "points": 0.1, "cap": 8},
]


def written(url: str, **changes: Any) -> dict[str, Any]:
    """The file, as data."""
    return (
        {
            "store": url,
            "connections": {"hubspot": {"token": "t", "webhook_secret": "s"}},
            "fields": {"job_title": {"hubspot": "jobtitle"}},
            "write_back": {"score": {"hubspot": "leadbridge_score"}, "stage": {"hubspot": "leadbridge_stage"}},
            "scores": {
                "lead": {
                    "categories": {"fit": {"max": 40}, "engagement": {"max": 40}},
                    "rules": RULES,
                    "grades": {"A": 20, "B": 5},
                },
                "customer": {
                    "applies_to": {"job_title": {"present": True}},
                    "categories": {"loyalty": {}},
                    "rules": [{"name": "bought", "category": "loyalty", "activity": "purchase", "points": 7,
                               "within": "12d"}],
                },
            },
            "stages": {"mql": {"when": {"score.lead": {"at_least": 25}}, "until": {"score.lead": {"below": 20}}}},
            "buyer_journey": {"decision": {"score.lead.engagement": {"at_least": 20}}},
            "segments": {"buyers": {"score.customer": {"at_least": 7}}},
        }
        | changes
    )  # fmt: skip


def config(url: str, **changes: Any) -> Config:
    return Config.model_validate(written(url, **changes))


def parts_of(store: Store, url: str, **changes: Any) -> wiring.Parts:
    made = config(url, **changes)
    return wiring.Parts(made, store, Scorer(made), [rooms.hubspot(made)], None, owner="w1")


@pytest.fixture(autouse=True)
def _small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "SPAN", 16)
    monkeypatch.setattr(packs, "FEW", 3)
    monkeypatch.setattr(rescore, "BATCH", 6)


@pytest.fixture
def at() -> Iterator[list[datetime]]:
    """The present instant, in a list so that a test can move it."""
    now = [AT]
    clock.set_source(lambda: now[0])
    yield now
    clock.set_source(None)


@pytest.fixture
def parts(store: Store, store_url: str, at: list[datetime]) -> wiring.Parts:
    """Everybody is scored as of AT, and nothing is due."""
    fill(store)
    found = parts_of(store, store_url)
    by_rows(found)
    return found


def fill(store: Store) -> None:
    dice = np.random.default_rng(5)
    with store.writing() as tx:
        people = leads.new_people(tx, PEOPLE, AT)
        rows = []
        for person in people:
            ref = RecordRef("hubspot", "contact", str(person))
            email = f"p{person}@{dice.choice(['acme', 'other'])}.example"
            facts = {"job_title": str(dice.choice(["Director", "Engineer"]))} if dice.random() < 0.7 else {}
            leads.link_keys(tx, {ref.key: person})
            leads.save_records(tx, [(person, Lead(ref, email, facts, modified_at=AT))], AT)
            rows.append(leads.PersonRow(person, email, facts))
        leads.save_people(tx, rows, AT)
        happened = [
            did(int(dice.choice(people)), float(dice.random() * 20), number, dice) for number in range(6 * PEOPLE)
        ]
        activities.add_activities(tx, happened, AT)


def did(person: int, days_ago: float, number: int, dice: np.random.Generator) -> Activity:
    kind = KINDS[int(dice.integers(3))]
    when = AT - timedelta(days=days_ago)
    return Activity(f"hubspot:contact:{person}", kind, when, "s", str(number), {"value": int(dice.integers(60))})


def by_rows(parts: wiring.Parts) -> rescore.Rescored:
    """Score everybody the way single people are."""
    with parts.store.writing() as tx:
        due.mark_due(tx, leads.all_person_ids(tx, 0, 1000), clock.now(), due.Lane.BACKFILL)
    return rescore.rescore(replace(parts, owner="rows"))


def through(parts: wiring.Parts, **options: Any) -> rescore.Rescored:
    passes.ask(parts)
    done = rescore.Rescored()
    while passes.step(parts, done, **options):
        pass
    return done


def stored(store: Store) -> dict[str, Any]:
    """What a pass sees to: scores, and where people stand."""
    with store.reading() as tx:
        people = leads.all_person_ids(tx, 0, 1000)
        scores = score_store.current_scores(tx, people)
        standings = score_store.standings(tx, people)
    return {
        "scores": {
            (person, name): (row.value, row.grade, {key: round(one) for key, one in row.categories.items()}, row.model)
            for person, held in scores.items()
            for name, row in held.items()
        },
        "standings": {person: (row.stage, row.buyer_journey, row.segments) for person, row in standings.items()},
    }  # fmt: skip


OF_PASSES = {"passes", "activity_packs", "activity_changes"}
"""Tables by which passes keep their own order: nothing that follows for a person."""

RESULTS = [
    tables.scores, tables.score_history, tables.standings, tables.stage_history, tables.write_backs, tables.due,
]  # fmt: skip


def everything(store: Store, people: Iterable[int] | None = None) -> dict[str, list[str]]:
    """Every row of every table, but for the numbers that rows and leases bear; of these people, if any are named."""
    found = {}
    with store.reading() as tx:
        for table in tables.metadata.sorted_tables:
            query = sa.select(*(column for column in table.c if column.name not in ("id", "lease_token")))
            if people is not None:
                if "person_id" not in table.c:
                    continue
                query = query.where(table.c.person_id.in_(list(people)))
            if table.name not in OF_PASSES:
                found[table.name] = sorted(map(repr, tx.execute(query)))
    return found


def without_results(store: Store) -> None:
    with store.writing() as tx:
        for table in RESULTS:
            tx.execute(table.delete())


def ids(store: Store) -> list[int]:
    with store.reading() as tx:
        return leads.all_person_ids(tx, 0, 1000)


def spans_of(store: Store) -> list[int]:
    return sorted({packs.span_of(person) for person in ids(store)})


def history(store: Store) -> int:
    with store.reading() as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(tables.score_history)).scalar_one())


def test_nobody_moved_nothing_is_stored(parts: wiring.Parts) -> None:
    before, lines = stored(parts.store), history(parts.store)
    done = through(parts)
    assert (done.seen, done.people, done.changed, done.writes) == (PEOPLE, 0, 0, 0)
    assert (stored(parts.store), history(parts.store)) == (before, lines)


@pytest.mark.parametrize("days", [1, 4, 11])
def test_a_pass_stores_what_scoring_everybody_one_by_one_would(
    parts: wiring.Parts, at: list[datetime], days: int
) -> None:
    at[0] += days * DAY
    done = through(parts)
    assert 0 < done.people < PEOPLE or days > 4
    after = stored(parts.store)
    assert by_rows(parts).changed == 0
    assert stored(parts.store) == after


def test_a_first_pass_leaves_every_table_as_scoring_everybody_one_by_one_does(
    parts: wiring.Parts, at: list[datetime]
) -> None:
    at[0] += DAY
    without_results(parts.store)
    through(parts)
    after = everything(parts.store)
    assert all(after[table.name] for table in RESULTS)
    without_results(parts.store)
    by_rows(parts)
    assert everything(parts.store) == after


def test_a_span_is_loaded_as_its_people_are_one_by_one(parts: wiring.Parts) -> None:
    """Whatever is added to what is known of a person has to be known to a pass too."""
    store = parts.store
    with store.writing() as tx:
        consents.object_to_profiling(tx, ids(store)[:3], "test", AT)
    for span in spans_of(store):
        people = [person for person in ids(store) if packs.span_of(person) == span]
        with store.reading() as tx:
            single = load(tx, parts.scorer, people, AT)
            standings = bulk.current_standings(tx, *packs.ids_of(span))
            together, _ = passes.load(tx, parts.scorer, span, standings, AT)
        assert together.people.ids.tolist() == single.people.ids.tolist()
        assert together.stages == single.stages
        assert together.people.facts.by_name.keys() == single.people.facts.by_name.keys()
        for name, column in single.people.facts.by_name.items():
            assert values_of(together.people.facts.by_name[name]) == values_of(column), name
        assert did_by(together) == did_by(single)


def did_by(found: Loaded) -> list[tuple[int, int, int, dict[str, Any]]]:
    """(person, kind, when, attributes) of what is loaded."""
    done = found.activities
    rows = zip(done.person.tolist(), done.kind.tolist(), done.at.tolist(), done.documents.codes.tolist(), strict=True)
    return [(person, kind, at, dict(done.documents.documents[code])) for person, kind, at, code in rows]


def test_who_objects_to_profiling_is_not_scored_by_a_pass(parts: wiring.Parts, at: list[datetime]) -> None:
    person = ids(parts.store)[4]
    with parts.store.writing() as tx:
        consents.object_to_profiling(tx, [person], "test", AT)
    at[0] += timedelta(minutes=1)
    through(parts)
    with parts.store.reading() as tx:
        assert score_store.current_scores(tx, [person]) == {}


def test_what_happened_after_packing_counts(parts: wiring.Parts, at: list[datetime]) -> None:
    through(parts)
    at[0] += DAY
    person = ids(parts.store)[3]
    with parts.store.writing() as tx:
        fresh = Activity(f"hubspot:contact:{person}", KINDS[0], at[0], "s", "new", {})
        activities.add_activities(tx, [fresh], at[0])
    through(parts)
    after = stored(parts.store)
    assert by_rows(parts).changed == 0
    assert stored(parts.store) == after


def test_new_rules_are_applied_to_everybody_at_once_and_once(
    parts: wiring.Parts, store_url: str, at: list[datetime]
) -> None:
    cycle.act(parts)
    rules = [*RULES, {"name": "known", "category": "fit", "when": {"email": {"present": True}}, "points": 3}]
    lead = {"categories": {"fit": {"max": 40}, "engagement": {"max": 40}}, "rules": rules}
    new = parts_of(parts.store, store_url, scores={"lead": lead}, segments={})
    at[0] += timedelta(hours=1)
    passes.note_rules(new)
    done = rescore.Rescored()
    while passes.step(new, done):
        pass
    assert done.changed == PEOPLE
    with parts.store.reading() as tx:
        rows = score_store.current_scores(tx, ids(parts.store))
    assert {held["lead"].model for held in rows.values()} == {new.scorer.models[0].hash}
    for again in (new, parts_of(parts.store, store_url, scores={"lead": lead}, segments={})):
        passes.note_rules(again)
        assert not passes.step(again, done)


@pytest.mark.parametrize(
    "changes",
    [
        {"consent": {"objection": {"job_title": "Director"}}},
        {"fields": {"job_title": {"hubspot": "jobtitle"}, "size": {"hubspot": "size", "type": "integer"}}},
    ],
)
def test_everybody_is_looked_at_again_when_who_objects_or_what_a_field_is_was_written_anew(
    parts: wiring.Parts, store_url: str, at: list[datetime], changes: dict[str, Any]
) -> None:
    through(parts)
    passes.note_rules(parts)
    while passes.step(parts, rescore.Rescored()):
        pass
    new = parts_of(parts.store, store_url, **changes)
    passes.note_rules(new)
    done = rescore.Rescored()
    while passes.step(new, done):
        pass
    assert done.seen == PEOPLE
    if "consent" in changes:
        with parts.store.reading() as tx:
            held = score_store.current_scores(tx, ids(parts.store))
            facts = leads.people(tx, ids(parts.store))
        scored = {person for person in held if held[person]}
        assert scored == {person for person in facts if facts[person].attributes.get("job_title") != "Director"}


def test_killed_between_two_batches_a_pass_ends_like_one_left_alone(parts: wiring.Parts, at: list[datetime]) -> None:
    at[0] += 4 * DAY

    class Killed(BaseException):
        pass

    def kill(what: str, count: int) -> None:
        raise Killed

    for _ in range(4):
        with pytest.raises(Killed):
            through(parts, tell=kill)
        at[0] += timedelta(seconds=61)  # the lease of the dead runs out
    through(parts)
    after = stored(parts.store)
    assert by_rows(parts).changed == 0
    assert stored(parts.store) == after


def test_a_worker_told_to_stop_gives_its_span_back_at_once(parts: wiring.Parts, at: list[datetime]) -> None:
    at[0] += 4 * DAY
    with pytest.raises(Enough):
        through(parts, tell=enough)
    with parts.store.writing() as tx:
        claim = pass_store.claim(tx, "w2")
    assert claim is not None
    assert claim.span == spans_of(parts.store)[0]


def enough(what: str, count: int) -> None:
    raise Enough


def test_a_span_asked_for_again_while_somebody_is_at_it_is_gone_through_again(parts: wiring.Parts) -> None:
    asked: list[int] = []

    def ask(what: str, count: int) -> None:
        if not asked:
            asked.append(passes.ask(parts))

    done = through(parts, tell=ask)
    first, *_ = spans_of(parts.store)
    twice = sum(packs.span_of(person) == first for person in ids(parts.store))
    assert done.seen == PEOPLE + twice


def test_who_changes_while_a_pass_looks_at_them_is_left_to_the_next_look(
    parts: wiring.Parts, at: list[datetime]
) -> None:
    at[0] += 4 * DAY
    changed: list[int] = []

    class Changing(Scorer):
        def outlooks(self, view: Any, rows: Any = None) -> Any:
            found = super().outlooks(view, rows)
            people = [outlook.person_id for outlook in found]
            with parts.store.writing() as tx:
                fresh = [Activity(f"hubspot:contact:{one}", KINDS[0], at[0], "s", f"n{one}", {}) for one in people[:2]]
                added = activities.add_activities(tx, fresh, at[0])
                due.mark_due(tx, added.people, at[0])
            changed.extend(people[:2])
            return found

    parts.scorer = Changing(parts.config)
    through(parts)
    with parts.store.reading() as tx:
        rows = score_store.current_scores(tx, changed)
    assert {held["lead"].at for held in rows.values()} == {AT}  # not stored: it was computed without what is new
    parts.scorer = Scorer(parts.config)
    done = rescore.rescore(replace(parts, owner="w2"))
    assert done.people >= len(changed)
    after = stored(parts.store)
    assert by_rows(parts).changed == 0
    assert stored(parts.store) == after


def test_who_is_held_by_another_worker_is_left_to_it(parts: wiring.Parts, at: list[datetime]) -> None:
    at[0] += 4 * DAY
    with parts.store.writing() as tx:
        due.mark_due(tx, ids(parts.store), at[0])
        claims = due.claim_due(tx, limit=20, owner="other", now=at[0])
    held = {claim.person_id for claim in claims}
    through(parts)
    with parts.store.writing() as tx:
        assert {claim.person_id for claim in due.still_held(tx, claims)} == held
        rows = score_store.current_scores(tx, held)
    assert {row.at for one in rows.values() for row in one.values()} == {AT}


def test_one_person_who_cannot_be_scored_is_set_aside_and_the_rest_go_on(
    parts: wiring.Parts, at: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    at[0] += 4 * DAY
    bad, really = ids(parts.store)[7], engine.score

    def breaking(model: Any, people: Any, *given: Any) -> Any:
        if bad in people.ids.tolist():
            raise ZeroDivisionError
        return really(model, people, *given)

    monkeypatch.setattr(engine, "score", breaking)
    through(parts)
    done = rescore.rescore(replace(parts, owner="w1"))
    assert done.failed == 1
    with parts.store.reading() as tx:
        assert [row.ref for row in quarantine.listing(tx)] == [str(bad)]
    monkeypatch.undo()
    before = stored(parts.store)
    by_rows(parts)
    after = stored(parts.store)
    assert {key for key in after["scores"] if before["scores"].get(key) != after["scores"][key]} <= {
        (bad, "lead"), (bad, "customer")
    }  # fmt: skip


def test_a_batch_whose_transaction_the_database_ended_is_stored_again_and_counted_once(
    parts: wiring.Parts, at: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    at[0] += 4 * DAY
    whole, really = stored(parts.store), rescore.save
    ended: list[Any] = []

    def deadlocked(*given: Any) -> None:
        really(*given)
        if len(ended) < 2:
            ended.append(given)
            raise StoreConflict("the database ended a transaction")

    monkeypatch.setattr(rescore, "save", deadlocked)
    done = through(parts)
    assert done.handed_on == 0
    now = stored(parts.store)
    assert done.people == len(
        {person for person, name in whole["scores"] if whole["scores"][person, name] != now["scores"][person, name]}
        | {person for person in whole["standings"] if whole["standings"][person] != now["standings"][person]}
    )
    assert through(parts).people == 0, "nobody was left out"


def test_several_workers_share_a_pass_span_by_span(parts: wiring.Parts, at: list[datetime]) -> None:
    at[0] += 4 * DAY
    spans = spans_of(parts.store)
    assert passes.ask(parts) == len(spans) >= 3
    claimed = []
    for worker in range(len(spans) + 1):
        with parts.store.writing() as tx:
            found = pass_store.claim(tx, f"w{worker}")
        claimed.append(None if found is None else found.span)
    assert claimed == [*spans, None]
    with parts.store.reading() as tx:
        assert pass_store.remaining(tx) == len(spans)


def test_a_worker_overtaken_in_a_span_does_not_settle_it(parts: wiring.Parts, at: list[datetime]) -> None:
    passes.ask(parts)
    with parts.store.writing() as tx:
        slow = pass_store.claim(tx, "w1")
    at[0] += timedelta(seconds=61)
    with parts.store.writing() as tx:
        other = pass_store.claim(tx, "w2")
        assert slow is not None
        assert other is not None
        assert other.span == slow.span
        assert not pass_store.settle(tx, slow)
        assert not pass_store.renew(tx, slow)
        assert pass_store.settle(tx, other)


def test_a_pass_of_several_processes_leaves_every_table_as_one_does(
    store: Store, store_url: str, at: list[datetime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADBRIDGE_KEY", base64.b64encode(KEY).decode())
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.setattr(packs, "SPAN", 16_384)  # as the other processes have it
    fill(store)
    everybody = ids(store)
    everybody.append(everybody[-1] + 2 * packs.SPAN)  # so that there is more than one span
    with store.writing() as tx:
        tx.execute(tables.persons.insert().values(id=everybody[-1], created_at=AT, changed_at=AT))
    file = tmp_path / "leadbridge.yaml"
    secret = {"token": "${SECRET}", "webhook_secret": "${SECRET}"}
    web = {"public_url": "https://leadbridge.acme.example"}
    file.write_text(json.dumps(written(store_url, connections={"hubspot": secret}, web=web)))
    command = [sys.executable, "-m", "leadbridge.cli", "score", "--processes", "2", "--json", "-c", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    # What the processes logged says who was handed on, and why, should this ever not be everybody.
    assert (found["people"], found["moved"]) == (PEOPLE + 1, PEOPLE + 1), ran.stderr
    with store.reading() as tx:
        assert pass_store.remaining(tx) == 0
        rows = score_store.current_scores(tx, everybody)
    moments = {rows[person]["lead"].at for person in everybody}
    assert len(moments) == 2  # one of each span
    people_at = {when: [one for one in everybody if rows[one]["lead"].at == when] for when in moments}
    after = {moment: everything(store, people) for moment, people in people_at.items()}
    for moment, people in people_at.items():
        without_results(store)
        at[0] = moment
        through(parts_of(store, store_url))
        assert everything(store, people) == after[moment]


def test_entering_a_journey_follows_from_a_pass_too(store: Store, store_url: str, at: list[datetime]) -> None:
    fill(store)
    journeys = [{"name": "guides", "mailchimp": {"tag": "guides"}, "when": {"stage": "mql"}}]
    found = config(
        store_url,
        connections={
            "hubspot": {"token": "t", "webhook_secret": "s"},
            "mailchimp": {"api_key": "k-us1", "audience": "a"},
        },
        nurture={"journeys": journeys},
    )
    parts = wiring.Parts(found, store, Scorer(found), [rooms.hubspot(found)], rooms.mailchimp(found), owner="w1")
    done = through(parts)
    with store.reading() as tx:
        standings = score_store.standings(tx, ids(store))
        rows = enrolments.history(tx, ids(store))
    assert done.intents == len(rows) > 0
    assert set(rows) == {person for person, row in standings.items() if row.stage == "mql"}
