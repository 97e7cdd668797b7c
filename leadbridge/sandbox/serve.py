"""`leadbridge sandbox`: the stand-ins as a process of their own."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from leadbridge.sandbox import leads_file, people
from leadbridge.sandbox.org import load_org
from leadbridge.sandbox.population import Population, load_mailchimp
from leadbridge.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET
from leadbridge.sandbox.server import Sandbox

CRMS = {"hubspot": "HubSpot", "salesforce": "Salesforce", "both": "HubSpot and Salesforce"}
"""Who may keep the people, and how that is told."""


def serve(
    *,
    port: int,
    people_count: int,
    seed: int,
    data: Path | None = None,
    mapping: Path | None = None,
    limit: int | None = None,
    crm: str = "hubspot",
    until_stdin_closes: bool = False,
) -> None:
    """Serve seeded stand-ins on this machine until interrupted; the people are in `crm`, one of `CRMS`.

    A caller that reads our output gets one JSON line {"url", "people", "remarks"} when everything is ready. With
    `until_stdin_closes` the sandbox also ends when its caller does, however the caller ends.
    """
    now = datetime.now(UTC)
    population = (
        leads_file.read(data, mapping, now, limit=limit)
        if data is not None and mapping is not None
        else people.invent(people_count, seed, now)
    )
    sandbox = Sandbox(port=port, index_delay=2.0)
    try:
        if crm == "salesforce":
            load_mailchimp(population, sandbox.mailchimp)
        else:
            people.load(population, sandbox.hubspot, sandbox.mailchimp)
        if crm != "hubspot":
            load_org(population, sandbox.salesforce)
        sandbox.start()
        _tell(sandbox, population, crm)
        if until_stdin_closes:
            sys.stdin.buffer.read()
        else:
            while True:  # Ctrl-C given to another thread does not wake this one, which has to see to it
                time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()


def _tell(sandbox: Sandbox, population: Population, crm: str) -> None:
    """Say on stdout that everything is ready, and where."""
    events = _change_events(sandbox)
    ready = {"url": sandbox.url, "people": len(population.contacts), "remarks": population.remarks}
    ready |= {"change_events": events} if events else {}
    if sys.stdout.isatty():
        print("To point a leadbridge.yaml at it, put under connections:")
        print(f"  hubspot:    {{base_url: {sandbox.url}, ...}}")
        print(f"  mailchimp:  {{base_url: {sandbox.url}/3.0, audience: {sandbox.mailchimp.audience}, ...}}")
        pubsub = f", pubsub: {events}" if events else ""
        print(f"  salesforce: {{base_url: {sandbox.url}{pubsub}, ...}}")
        print("and into the environment the secrets that the examples name:")
        print(f"  export HUBSPOT_TOKEN={sandbox.hubspot.token} HUBSPOT_APP_SECRET={sandbox.hubspot.client_secret}")
        print(f"  export MAILCHIMP_KEY={sandbox.mailchimp.api_key}")
        print(f"  export SF_CLIENT_ID={CLIENT_ID} SF_CLIENT_SECRET={CLIENT_SECRET}")
        for remark in population.remarks:
            print(remark)
        empty = "" if crm == "both" else ", and nobody in the other CRM (see --crm)"
        print(f"{ready['people']} people in {CRMS[crm]}{empty}.")
        print(f"Journal: {sandbox.url}/_sandbox/journal  (Ctrl-C to stop)")
    else:
        print(json.dumps(ready), flush=True)


def _change_events(sandbox: Sandbox) -> str | None:
    """Where Salesforce's change events come from; None where gRPC and Avro are not installed."""
    try:
        return sandbox.salesforce.serve_events()
    except ImportError:
        return None
