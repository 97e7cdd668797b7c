"""`leadbridge demo`: the whole loop on stand-ins of the vendors, told so that a newcomer sees what it is for.

Everything goes through the front door: a configuration file like anyone's, the real loader, the real SDKs over HTTP,
the real server. What happened is counted from the stand-ins' own journal, not from our word.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from leadbridge import demo_report, report
from leadbridge.conditions import words_of
from leadbridge.config.conditions import FieldTest
from leadbridge.config.load import as_written, load
from leadbridge.errors import ConfigError, Fault, LeadbridgeError
from leadbridge.run import Embedded, stop_signal
from leadbridge.starting import example
from leadbridge.store import leads, ranking
from sync import cycle, explain, setup, wiring

if TYPE_CHECKING:
    from leadbridge.config.schema import Config
    from sync.wiring import Parts

FAST = 240
"""Calls in ten seconds: what an account with HubSpot's limit increase allows is 250 (vendors/hubspot.md section 13)."""

EDITS = 12
"""Leads a human edits in the stand-in CRM, to let it send webhooks."""

PATIENCE = 20.0
"""Seconds the webhook part may take before the demo says that it failed."""


BRANDS = {"hubspot": "HubSpot", "mailchimp": "Mailchimp"}
"""How the vendors spell themselves."""


class DemoFailed(LeadbridgeError):
    """The demo did not come to its end; the text says where."""


class WrongLeads(LeadbridgeError):
    """The file of leads or its mapping cannot be used; every fault is a line of the text."""


@dataclass(slots=True)
class Sandbox:
    """The stand-ins, as a process of their own."""

    url: str
    people: int
    remarks: list[str] = field(default_factory=list)  # what was odd about a file of leads

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_sandbox{path}", timeout=30) as answer:  # noqa: S310 - our own stand-in
            return json.load(answer)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own stand-in
            f"{self.url}/_sandbox{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own stand-in
            return json.load(answer)

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.get(f"/journal?since={since}")
        return calls


@contextmanager
def sandbox_process(*options: str) -> Iterator[Sandbox]:
    """Start `leadbridge sandbox` with these options; it ends with us, however we end. Raises WrongLeads."""
    command = [sys.executable, "-m", "leadbridge.cli", "sandbox", "--port", "0", "--until-stdin-closes", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"the sandbox did not start (exit code {process.wait(10)}); its words are above")
        told = json.loads(line)
        if "faults" in told:
            raise WrongLeads("\n".join(told["faults"]))
        yield Sandbox(told["url"], told["people"], told["remarks"])
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def configuration(directory: Path, sandbox: Sandbox, base: Path) -> tuple[Path, dict[str, str]]:
    """Write the demo's own leadbridge.yaml, an example pointed at the stand-ins; returns it and its secrets."""
    yaml = YAML()
    raw = yaml.load(base.read_text(encoding="utf-8"))
    raw["store"] = f"sqlite:///{directory / 'leadbridge.db'}"
    connections = raw["connections"]
    for connection in connections.values():
        for key in [key for key in connection if key.startswith("webhook_")]:
            del connection[key]
    if "hubspot" in connections:
        connections["hubspot"].update(
            token="${HUBSPOT_TOKEN}",  # noqa: S106 - a variable's name
            webhook_secret="${HUBSPOT_APP_SECRET}",  # noqa: S106 - as above
            base_url=sandbox.url,
            requests_per_10s=FAST,
        )
    if "salesforce" in connections:
        connections["salesforce"]["base_url"] = sandbox.url
    connections["mailchimp"].update(api_key="${MAILCHIMP_KEY}", base_url=f"{sandbox.url}/3.0", audience="a36b032126")
    # A first run may contact as many as it likes here, because nobody in the sandbox can be bothered by a mail.
    raw["guards"] = {"per_hour": [sandbox.people, "100%"], "per_day": [sandbox.people, "100%"],
                     "loosened_on_purpose": True}  # fmt: skip
    raw["web"] = {"host": "127.0.0.1", "port": 0, "public_url": "http://127.0.0.1"}
    path = directory / "leadbridge.yaml"
    with path.open("w", encoding="utf-8") as out:
        yaml.dump(raw, out)
    return path, {
        "HUBSPOT_TOKEN": "sandbox-hubspot-token",
        "HUBSPOT_APP_SECRET": secrets.token_hex(16),
        "SF_CLIENT_ID": "sandbox-salesforce-client",
        "SF_CLIENT_SECRET": "sandbox-salesforce-secret",
        "MAILCHIMP_KEY": "sandbox-mailchimp-key-us1",
    }


def usable(base: Path) -> None:
    """Raises ConfigError when the demo cannot run with this configuration; its secrets need not be set."""
    config, _ = as_written(base)
    faults = [
        Fault(0, where, problem)
        for where, problem, there in (
            ("connections", "needs hubspot: for the demo", config.connections.hubspot),
            ("connections", "needs mailchimp: for the demo", config.connections.mailchimp),
            ("write_back", "needs score: {hubspot: PROPERTY} for the demo, which looks for new scores in the CRM",
             "score" in config.write_back and config.write_back["score"].hubspot),
            ("scores", "needs a rule with points for a contact's own property, such as job_title, for the demo to edit",
             improvement(config)),
        )
        if not there
    ]  # fmt: skip
    if faults:
        raise ConfigError(str(base), faults)


def improvement(config: Config) -> tuple[str, str, str] | None:
    """Our field, its HubSpot contact property and the value that earns the most points: what a human will edit."""
    found: list[tuple[float, str, str, str]] = []
    for rule in next(iter(config.scores.values())).rules:
        if rule.activity is not None or not isinstance(rule.when, FieldTest) or rule.points <= 0:
            continue
        mapping = config.fields.get(rule.when.field)
        if mapping is None or mapping.hubspot is None or "." in mapping.hubspot:
            continue
        test = rule.when.test
        for value in (
            test.words and next(iter(words_of(test.words))), isinstance(test.in_, list) and test.in_[0], test.equals,
            test.at_least, test.between and test.between[0],
        ):  # fmt: skip
            if value:
                text = f"{value:g}" if isinstance(value, float) else str(value)
                found.append((rule.points, rule.when.field, mapping.hubspot, text))
                break
    return max(found)[1:] if found else None


def subscriptions(config: Config) -> list[str]:
    """The webhooks an admin would subscribe to: what happens to contacts, and each property that rules read."""
    read = {field.hubspot for field in config.fields.values() if field.hubspot and "." not in field.hubspot}
    happenings = ("creation", "deletion", "privacyDeletion", "merge", "restore")
    return [
        *(f"contact.{happening}" for happening in happenings),
        *(f"contact.propertyChange:{name}" for name in sorted(read | {"email", "lifecyclestage", "hs_email_optout"})),
    ]


def calls_of(journal: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Calls per vendor and kind, webhooks the vendor sent left out."""
    found: dict[str, Counter[str]] = {}
    for call in journal:
        if not call["operation"].startswith("webhook."):
            found.setdefault(call["vendor"], Counter())[call["operation"]] += 1
    return {vendor: dict(counts.most_common()) for vendor, counts in found.items()}


def effects_of(journal: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Every effect of one kind, each with the instant of its call."""
    return [
        {**effect["detail"], "at": call["at"]}
        for call in journal
        for effect in call["effects"]
        if effect["kind"] == kind
    ]


def demo(
    *,
    people: int,
    seed: int,
    data: Path | None,
    mapping: Path | None,
    limit: int | None,
    config_file: Path | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Run the loop and tell about it.

    Raises DemoFailed when a part does not come to its end; ConfigError and WrongLeads for what it was given.
    """
    started = time.monotonic()
    options = ["--people", str(people), "--seed", str(seed)]
    if data and mapping:
        options += ["--data", str(data), "--mapping", str(mapping)]
        options += ["--limit", str(limit)] if limit else []
        beside = mapping.with_name(f"{mapping.stem}.leadbridge.yaml")
        config_file = config_file or (beside if beside.exists() else None)
    base = config_file or example()
    usable(base)
    story = demo_report.Story(quiet=as_json)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leadbridge-demo-")))
        with story.step("Starting a HubSpot and a Mailchimp that live on this machine only") as note:
            sandbox = stack.enter_context(sandbox_process(*options))
            if sandbox.remarks:
                note("; ".join(sandbox.remarks))
        sandbox.post("/hubspot/settings", {"burst_limit": FAST + 10})
        path, environ = configuration(directory, sandbox, base)
        parts = wiring.build(load(path, environ))
        stack.callback(parts.close)
        stack.enter_context(wiring.sole_worker(parts))
        with story.step("Creating leadbridge's properties in the CRM"):
            setup.apply(parts)
        embedded = Embedded(parts, pull_every=None)
        stack.callback(embedded.stop)
        embedded.server.start()
        sandbox.post(
            "/hubspot/webhooks/target",
            {
                "url": f"{embedded.url}/webhooks/hubspot",
                "secret": environ["HUBSPOT_APP_SECRET"],
                "subscriptions": subscriptions(parts.config),
            },
        )
        with story.step("Pulling leads and their activity, scoring, writing back, enrolling") as note:
            with report.progress(quiet=as_json) as tell:
                first = cycle.sync(parts, tell=tell)
            note(f"{first.pulled.leads:,} leads, {first.pulled.activities:,} activities")
        with parts.store.reading() as tx:
            best = ranking.best(tx, next(iter(parts.config.scores)), 5)
        after_loop = sandbox.journal()
        with story.step("Doing it all again: nothing changed, so nothing may be written") as note:
            time.sleep(2.0)  # the stand-in's search index lags as HubSpot's does
            cycle.sync(parts)
            again = sandbox.journal(len(after_loop))
            rewrites = len(effects_of(again, "property_changed")) + len(effects_of(again, "property_written_equal"))
            note(f"{rewrites} values written")
        embedded.worker.start()
        with story.step(f"Letting a human edit {EDITS} leads in the CRM; its webhooks come in") as note:
            edited, rescored = _edit_and_wait(parts, sandbox)
            note(f"{len(rescored)} rescored in the CRM")
        journal = sandbox.journal()
        figures = {
            "pulled": first.pulled.leads,
            "activities": first.pulled.activities,
            "scored": first.rescored.people,
            "written": first.written.written,
            "enrolled": len({(e["journey"], e["email_hash"]) for e in effects_of(journal, "journey_entered")}),
            "refused": first.enrolled.refused + first.enrolled.cancelled,
            "held_out": first.rescored.held_out,
            "rescored_by_webhook": len(rescored),
            "second_run_writes": rewrites,
            "vendor_calls": calls_of(journal),
            "seconds": round(time.monotonic() - started, 1),
        }
        if as_json:
            kept = {"url": embedded.url, "sandbox": sandbox.url, "config": str(path)} if keep else {}
            print(json.dumps(figures | kept, ensure_ascii=False), flush=True)
        else:
            story.tables(parts, best, rescored)
            story.sum_up(figures, {BRANDS[vendor]: sum(kinds.values()) for vendor, kinds in calls_of(journal).items()})
            if keep:
                story.still_running(embedded.url, environ, path, best[0].email or "" if best else "")
            story.what_next(embedded.url, example(), kept=keep)
        if rewrites:
            raise DemoFailed(f"the second run wrote {rewrites} values although nothing had changed")
        if not edited or len(rescored) < edited:
            raise DemoFailed(f"{len(rescored)} of {edited} leads edited in the CRM were rescored in {PATIENCE:.0f} s")
        if keep:
            stop_signal()()  # so that what the demo made is cleared away after Ctrl-C and SIGTERM alike


@dataclass(frozen=True, slots=True)
class Rescoring:
    """One lead before and after the human's edit."""

    person_id: int
    name: str
    before: int
    after: int
    grade: str
    reasons: str
    seconds: float  # from the edit to the new score confirmed in the CRM


def _edit_and_wait(parts: Parts, sandbox: Sandbox) -> tuple[int, list[Rescoring]]:
    """Let a human edit some leads, and wait until their new scores stand in the CRM. How many, and which of them do."""
    config, store = parts.config, parts.store
    change = improvement(config)
    if change is None:
        raise DemoFailed("the configuration has no rule on a contact's own property, so there is nothing to edit")
    field, prop, value = change
    target = config.write_back["score"].hubspot
    score = next(iter(config.scores))
    with store.reading() as tx:
        candidates = ranking.between(tx, score, 25, 75, 40 * EDITS)
        records = leads.refs_of(tx, [row.person_id for row in candidates], "hubspot")
    then = explain.what_if(store, parts.scorer, [row.person_id for row in candidates], {field: value})
    chosen = [
        (row, records[row.person_id][0])
        for row in candidates
        if row.person_id in records and then[row.person_id].get(score, row.value) > row.value
    ][:EDITS]
    seen = len(sandbox.journal())
    edited: dict[str, float] = {}
    for _, record in chosen:
        edited[record.ref.record_id] = time.time()
        sandbox.post(f"/hubspot/contacts/{record.ref.record_id}", {"properties": {prop: value}})
    arrived: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + PATIENCE
    while len(arrived) < len(edited) and time.monotonic() < deadline:
        time.sleep(0.1)
        for effect in effects_of(sandbox.journal(seen), "property_changed"):
            if effect["name"] == target and effect["id"] in edited:
                arrived[effect["id"]] = effect
    with store.reading() as tx:
        after = ranking.standing(tx, score, [row.person_id for row, _ in chosen])
    return len(edited), [
        Rescoring(
            row.person_id,
            row.name,
            row.value,
            after[row.person_id].value,
            after[row.person_id].grade or "",
            after[row.person_id].reasons,
            datetime.fromisoformat(arrived[record.ref.record_id]["at"]).timestamp() - edited[record.ref.record_id],
        )
        for row, record in chosen
        if record.ref.record_id in arrived
    ]
