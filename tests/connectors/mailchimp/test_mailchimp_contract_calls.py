"""Every call the room makes, and every answer it is given, against Mailchimp's own contract, where that is at hand.

A key that the contract does not know is a fault of a call: the service would ignore it without a word.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

import pytest

from connectors.base import Consent
from connectors.mailchimp.connector import Mailchimp
from leadbridge.sandbox.mailchimp.core import below
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms
from tests.sandbox.mailchimp.test_mc_contract import CONTRACT, contract, faults

pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="Mailchimp's contract is not beside this repository")

WHO = "dana@acme.example"
UNDOCUMENTED = "/customer-journeys/journeys"
"""What Mailchimp answers and does not document: its readings only (vendor page, section 9)."""


@dataclass(frozen=True)
class Told:
    """One call and its answer."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    answer: Any


@pytest.fixture
def told(sandbox: Sandbox) -> list[Told]:
    """Every call that reaches the API from now on."""
    found: list[Told] = []
    inner = sandbox._server.app

    def recording(environ: Any, start_response: Any) -> Any:
        sent = environ["wsgi.input"].read()
        environ["wsgi.input"] = BytesIO(sent)
        status: list[str] = []

        def started(line: str, headers: Any, *more: Any) -> Any:
            status.append(line)
            return start_response(line, headers, *more)

        answer = b"".join(inner(environ, started))
        path = environ["PATH_INFO"]
        if (
            path.startswith("/3.0/")
            and not path.startswith("/3.0/batch-results/")
            and "json" in str(environ.get("CONTENT_TYPE", "json"))
        ):
            found.append(
                Told(
                    environ["REQUEST_METHOD"],
                    below(path) or "/",
                    dict(parse_qsl(environ.get("QUERY_STRING", ""))),
                    json.loads(sent) if sent else None,
                    int(status[0].split()[0]),
                    json.loads(answer) if answer[:1] == b"{" else None,
                )
            )
        return [answer]

    sandbox._server.app = recording
    return found


def strangers(value: Any, schema: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Keys of a body that its schema does not know."""
    if isinstance(value, dict) and (known := schema.get("properties")):
        for name, one in value.items():
            if name not in known:
                yield f"{at}: {name} is no key"
            else:
                yield from strangers(one, known[name], f"{at}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for index, one in enumerate(value):
            yield from strangers(one, schema["items"], f"{at}[{index}]")


def documented(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """The contract's page for a call; literal pieces win over placeholders."""
    pieces = path.strip("/").split("/")
    fits = [
        known
        for known, ways in contract()["paths"].items()
        if method.lower() in ways
        and len(shape := known.strip("/").split("/")) == len(pieces)
        and all(want == got or want.startswith("{") for want, got in zip(shape, pieces, strict=True))
    ]
    best = min(fits, key=lambda known: known.count("{"), default=None)
    return (best, contract()["paths"][best][method.lower()]) if best is not None else None


def wrong(call: Told) -> Iterator[str]:
    """What about a call or its answer is not as the contract says."""
    page = documented(call.method, call.path)
    if page is None:
        if call.method != "GET" or not call.path.startswith(UNDOCUMENTED):
            yield "is not documented"
        return
    given = {one["name"]: one for one in page[1].get("parameters", ())}
    yield from (f"?{name} is no parameter" for name in call.query if given.get(name, {}).get("in") != "query")
    for name, text in call.query.items():
        one = given.get(name, {})
        several = one.get("type") == "array"
        allowed = (one.get("items", {}) if several else one).get("enum")
        if allowed and not set(text.split(",") if several else [text]) <= set(allowed):
            yield f"?{name}={text} is none of {allowed}"
    if call.body is not None and "body" in given:
        yield from faults(call.body, given["body"]["schema"])
        yield from strangers(call.body, given["body"]["schema"])
    elif call.body is not None:
        yield "has a body that the contract does not know"
    if call.status == 200 and "fields" not in call.query:
        yield from (f"answer {one}" for one in faults(call.answer, page[1]["responses"]["200"]["schema"]))
    if call.status >= 400:
        problem = contract()["paths"]["/ping"]["get"]["responses"]["default"]["schema"]
        yield from (f"refusal {one}" for one in faults(call.answer, problem))


def everything(sandbox: Sandbox, room: Mailchimp) -> None:
    """The room does all it can, with success and without."""
    now, account = datetime.now(UTC), sandbox.mailchimp
    for name, status in (("gone", "unsubscribed"), ("cold", "cleaned")):
        account.add_member(f"{name}@acme.example", status)
    room.account()
    room.faults()
    room.missing(room.specs())
    room.create(room.specs())
    consent = Consent("form demo request", now, "I agree")
    for email, given in ((WHO, consent), ("known@acme.example", None), ("gone@acme.example", consent)):
        room.add_member(email, {"LBSCORE": "5"}, given)
    for count in (1, 60):  # one by one, and by pages
        list(room.read_members([WHO, *(f"x{n}@acme.example" for n in range(count))]))
    room.write({WHO: {"LBSCORE": "72"}, "nobody@acme.example": {"LBSCORE": "1"}})
    for way in ("guides", "studies", "demo"):
        for again in (False, True):
            room.enrol(way, WHO, again=again)
            room.entered(way, WHO, again=again)
        room.leave(way, WHO)
        room.enrol(way, "nobody@acme.example")
    account.person_unsubscribes(WHO)
    page = list(room.pull_opt_outs(None))[-1]
    list(room.pull_opt_outs(page.progress))
    for campaigns in (1, 8):  # asked one by one, and by a batch
        for n in range(campaigns):
            sent = account.add_campaign(f"News {n}", now - timedelta(days=1))
            for action in ("sent", "open"):
                account.add_campaign_activity(sent, WHO, action, now - timedelta(hours=5))
        pages = list(room.pull_activities("campaigns", None))
        list(room.pull_activities("campaigns", pages[-1].progress))
    list(room.read_activities([WHO], now - timedelta(days=3)))


@pytest.mark.parametrize("readable", [False, True], ids=["journeys hidden", "journeys readable"])
def test_every_call_and_every_answer_is_as_the_contract_says(
    sandbox: Sandbox, told: list[Told], door: str, readable: bool
) -> None:
    sandbox.mailchimp.settings.journeys_readable = readable
    sandbox.mailchimp.add_journey(11, "guides", tag="Guides", exit_tag="Guides done", reentry=True)
    sandbox.mailchimp.add_journey(12, "studies", merge_field="LBNEXT=studies", exit_tag="Studies done", reentry=True)
    sandbox.mailchimp.add_journey(13, "demo", step_id=34, reentry=True)
    ways: dict[str, dict[str, str]] = {
        "guides": {"tag": "Guides", "exit_tag": "Guides done"},
        "studies": {"merge_field": "LBNEXT=studies", "exit_tag": "Studies done"},
        "demo": {"trigger": "journeys/13/steps/34", "exit_tag": "Demo done"},
    }
    journeys = [{"name": name, "mailchimp": way, "when": {"email": {"present": True}}} for name, way in ways.items()]
    config = rooms.configuration(
        sandbox.url, mailchimp={"webhook_secret": "x" * 32}, journeys=journeys, public_url=door
    )
    everything(sandbox, rooms.mailchimp(config))
    found = {f"{one.method} {one.path}": list(wrong(one)) for one in told}
    assert {call: problems for call, problems in found.items() if problems} == {}
    # And it was everything: each operation the room has a name for went over the wire.
    operations = {call.operation for call in sandbox.world.journal if call.vendor == "mailchimp"}
    assert operations >= {
        "lists.get", "members.list", "members.get", "members.put", "members.patch", "members.tags",
        "members.tags.list", "merge_fields.list", "merge_fields.create", "webhooks.list", "webhooks.create",
        "journeys.trigger", "campaigns.list", "reports.email_activity", "batches.create", "batches.status",
    }  # fmt: skip
