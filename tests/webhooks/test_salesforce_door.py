"""Salesforce's doors: signed callouts and outbound messages (salesforce.md 6.2, 6.3; reliability G1, G3-G8, G26;
faults 6, 7, 11, 12, 13)."""

import base64
import hashlib
import hmac
import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import pytest
import sqlalchemy as sa

from connectors.events import read_event
from leadbridge.metrics import WEBHOOK_EVENTS, WEBHOOK_REFUSED
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import quarantine
from leadbridge.store.engine import Store
from leadbridge.store.tables import deliveries
from leadbridge.types import RecordRef
from tests.helpers.tally import Tally
from tests.webhooks.conftest import Door, OpenDoor, on_sqlite
from webhooks.base import MAX_BODY

SECRET, OLD_SECRET = "canary-callout-secret-1234567", "canary-callout-old-123456789"
FLOW = "canary-flow-secret-123456789"
PATH, OLD_PATH = "canary-outbound-path-123456", "canary-outbound-old-1234567"
ORG, FOREIGN = "00Dx0000000BV7z", "00Dx0000000BV7Z"
LEAD, OTHER = "00Qx0000003Ab1cEAC", "00Qx0000003Ab1d"
SESSION = "00Dx0000000BV7z!canary-session-id"

SALESFORCE: dict[str, Any] = {
    "domain": "acme.my", "client_id": "canary-client", "client_secret": "canary-consumer-secret", "organization": ORG,
    "webhook_secret": SECRET, "webhook_secret_previous": OLD_SECRET, "flow_secret": FLOW,
    "outbound_secret": PATH, "outbound_secret_previous": OLD_PATH,
}  # fmt: skip
CALL = {
    "orgId": ORG, "event": "lead.changed", "sentAt": "2026-11-22T12:00:00Z",
    "records": [{"type": "Lead", "id": LEAD}, {"type": "Contact", "id": "003x0000003Ab1c"}],
}  # fmt: skip


@pytest.fixture
def org(open_door: OpenDoor) -> Door:
    return open_door(connections={"salesforce": SALESFORCE})


def signature(body: bytes, at: int | str, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).digest()


def call(door: Door, content: Any, *, secret: str = SECRET, at: int | None = None, **headers: str) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    at = int(time.time()) if at is None else at
    signed = {"X-Leadbridge-Timestamp": str(at), "X-Leadbridge-Signature": f"v1={signature(body, at, secret).hex()}"}
    given = signed | {name.replace("_", "-"): text for name, text in headers.items()}
    return door.ask("POST", "/webhooks/salesforce", body, {name: text for name, text in given.items() if text})


def notification(number: int, record: str = LEAD, type_: str = "Lead", **fields: str) -> str:
    cells = "".join(f"<sf:{name}>{escape(text)}</sf:{name}>" for name, text in fields.items())
    named = f"<sf:Id>{record}</sf:Id>" if record else ""
    return (
        f'<Notification><Id>04lx000000{number:05d}AAA</Id><sObject xsi:type="sf:{type_}" '
        f'xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{named}{cells}</sObject></Notification>'
    )


def envelope(*notes: str, org: str = ORG, session: str = SESSION, before: str = "", namespace: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f'<notifications xmlns="{namespace or "http://soap.sforce.com/2005/09/outbound"}">'
        f"<OrganizationId>{org}</OrganizationId><ActionId>04kx00000004CQAAA2</ActionId>"
        f"<SessionId>{session}</SessionId>{''.join(notes)}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


def tell(door: Door, body: bytes, path: str = PATH) -> Any:
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    return door.ask("POST", f"/webhooks/salesforce/outbound/{path}", body, headers)


def acknowledged(answer: Any) -> bool:
    return answer.status == 200 and re.search(rb"<Ack>true</Ack>", answer.body) is not None


# --- callouts --------------------------------------------------------------------------------------------------------


def test_a_signed_callout_is_stored_record_by_record(org: Door) -> None:
    answer = call(org, CALL)
    assert (answer.status, answer.body) == (204, b"")
    found = [read_event("salesforce", json.dumps(body).encode()).refs for body in org.bodies("salesforce")]
    assert sorted(found) == [
        (RecordRef("salesforce", "Contact", "003x0000003Ab1cAAC"),),
        (RecordRef("salesforce", "Lead", LEAD),),
    ]


@on_sqlite
def test_a_forged_altered_old_or_unsigned_callout_leaves_no_trace(org: Door, tally: Tally) -> None:
    now, body = int(time.time()), json.dumps(CALL).encode()
    answers = {
        "bad_signature": [
            call(org, CALL, secret="guessed-guessed-guessed"),
            call(org, body.replace(b"lead", b"deal"), X_Leadbridge_Signature=f"v1={signature(body, now).hex()}"),
            call(org, CALL, at=now, X_Leadbridge_Timestamp=str(now - 1)),
            call(org, CALL, X_Leadbridge_Signature="v1="),
        ],
        "bad_signature_header": [call(org, CALL, X_Leadbridge_Signature=signature(body, now).hex())],
        "missing_signature": [call(org, CALL, X_Leadbridge_Signature="")],
        "missing_timestamp": [call(org, CALL, X_Leadbridge_Timestamp="")],
        "bad_timestamp": [call(org, CALL, X_Leadbridge_Timestamp="now")],
        "too_old": [call(org, CALL, at=now - 301)],
        "from_the_future": [call(org, CALL, at=now + 310)],
    }
    for reason, several in answers.items():
        assert {(answer.status, answer.error) for answer in several} == {(401, reason)}
    tally(6, trials=sum(map(len, answers.values())), wrong=org.count() + len(org.quarantined()))
    assert WEBHOOK_REFUSED.value(vendor="salesforce", reason="bad_signature") == 4


@on_sqlite
def test_a_digest_may_be_hex_or_base64_and_both_secrets_are_good_while_rotating(org: Door) -> None:
    now, body = int(time.time()), json.dumps(CALL).encode()
    coded = f"v1={base64.b64encode(signature(body, now)).decode()}"
    assert call(org, body, at=now, X_Leadbridge_Signature=coded).status == 204
    assert call(org, CALL, secret=OLD_SECRET).status == 204


@on_sqlite
def test_a_flow_without_code_may_send_its_secret_and_never_beats_a_signature(org: Door, open_door: OpenDoor) -> None:
    unsigned: dict[str, Any] = {"X_Leadbridge_Signature": "", "X_Leadbridge_Timestamp": ""}
    assert call(org, CALL, **unsigned, X_Leadbridge_Secret=FLOW).status == 204
    assert call(org, CALL, **unsigned, X_Leadbridge_Secret="guessed").error == "bad_secret"
    assert call(org, CALL, secret="guessed-guessed", X_Leadbridge_Secret=FLOW).error == "bad_signature"
    strict = open_door(connections={"salesforce": SALESFORCE | {"flow_secret": None}})
    assert call(strict, CALL, **unsigned, X_Leadbridge_Secret=FLOW).error == "missing_signature"


def test_the_callers_id_tells_two_tries_of_one_callout(org: Door) -> None:
    for sent in ("2026-11-22T12:00:00Z", "2026-11-22T12:00:07Z"):
        assert call(org, CALL | {"id": "a1", "sentAt": sent}).status == 204
    assert org.count() == 2
    call(org, CALL | {"id": "a2"})
    assert org.count() == 4
    for _ in range(2):
        call(org, CALL)  # without an id, the same bytes are the same callout
    assert org.count() == 6
    assert WEBHOOK_EVENTS.value(vendor="salesforce", outcome="repeated") == 4


def test_a_record_that_is_none_or_of_another_org_is_set_aside_alone(org: Door) -> None:
    records = [{"type": "Lead", "id": LEAD}, {"type": "Lead", "id": "nonsense"}, {"id": LEAD}, 17]
    assert call(org, CALL | {"records": records}).status == 204
    assert org.count() == 1
    assert call(org, CALL | {"orgId": FOREIGN}).status == 204
    reasons = [reason for _, reason in org.quarantined()]
    assert reasons == ["foreign_organization"] * 2 + ["no_object"] + ["no_type"] * 2


@on_sqlite
def test_a_callout_that_cannot_be_read_is_4xx(org: Door) -> None:
    for content, reason in {
        b"{": "bad_json", b"[]": "not_an_object", b"{}": "no_records", b'{"records":[]}': "no_records",
        b'{"records":[1],"id":7}': "bad_id", b'{"a":' * 40 + b"1" + b"}" * 40: "too_deep",
    }.items():  # fmt: skip
        answer = call(org, content)
        assert (answer.status, answer.error) == (400, reason)
    assert call(org, json.dumps({"records": [1] * 1001}).encode()).status == 413
    assert org.count() == 0


# --- outbound messages ---------------------------------------------------------------------------------------------


@on_sqlite
def test_numbers_that_no_json_has_are_set_aside_with_their_record_and_never_a_fault_of_ours(org: Door) -> None:
    """Python reads NaN, and 1e999 as an infinity; neither can be written again."""
    huge = "9" * 5000
    for odd in ("NaN", "-Infinity", "1e999", huge):
        told = json.dumps(CALL).replace('"2026-11-22T12:00:00Z"', odd)
        named = told.replace("}]", f'}}, {{"type": "Lead", "id": {odd}}}, {{"type": {odd}, "id": "{OTHER}"}}]')
        assert call(org, named.encode()).status == 204, odd[:10]
    assert sorted(reason for _, reason in org.quarantined()) == ["no_object"] * 4 + ["no_type"] * 4
    assert org.count() == 2 * 4
    assert {event["sentAt"] for event in org.bodies("salesforce")} == {None}


@on_sqlite
def test_what_a_callout_says_once_does_not_grow_with_the_records_it_names(org: Door) -> None:
    """A megabyte, repeated for each of a thousand records, would be a gigabyte; whoever sends it proves nothing."""
    records = [{"type": "Lead", "id": LEAD}] * 999
    body = json.dumps({"orgId": "o" * 300_000, "event": "e" * 300_000, "sentAt": "s" * 300_000, "records": records})
    assert len(body) < MAX_BODY
    for secret, status in (("guessed-guessed-guessed", 401), (SECRET, 204)):
        tracemalloc.start()
        try:
            assert call(org, body.encode(), secret=secret).status == status
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


def test_a_message_of_a_hundred_is_acknowledged_once_it_is_stored(org: Door) -> None:
    answer = tell(org, envelope(*(notification(number, Email="ann@acme.example") for number in range(100))))
    assert acknowledged(answer)
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert org.count() == 100
    assert {tuple(sorted(body)) for body in org.bodies("salesforce")} == {("event", "record", "sentAt", "type")}


def test_notifications_grouped_anew_are_told_by_their_ids(org: Door) -> None:
    tell(org, envelope(notification(1), notification(2)))
    assert acknowledged(tell(org, envelope(notification(2), notification(3))))
    assert org.count() == 3


def test_what_a_message_says_of_records_and_its_session_are_kept_nowhere(org: Door, store: Store) -> None:
    tell(org, envelope(notification(1, Email="canary@acme.example"), notification(2, record="")))
    with store.reading() as tx:
        sealed = tx.execute(sa.select(deliveries)).one()
    raw = store.vault.open(sealed.body, "delivery:salesforce")
    assert b"canary" not in raw
    assert org.quarantined() == [("inbox:salesforce", "no_object")]
    with store.reading() as tx:
        (item,) = quarantine.listing(tx)
        assert b"canary" not in (quarantine.body_of(tx, store.vault, item.id) or b"canary")
    assert "canary" not in json.dumps(org.bodies("salesforce"))


@on_sqlite
def test_a_message_to_a_guessed_path_or_of_another_org_is_never_acknowledged(org: Door) -> None:
    assert acknowledged(tell(org, envelope(notification(1)), path=OLD_PATH))
    refused = {
        "not_found": (404, tell(org, envelope(notification(2)), path="guessed-guessed-guessed-guessed")),
        "foreign_organization": (403, tell(org, envelope(notification(2), org=FOREIGN))),
        "no_organization": (400, tell(org, envelope(notification(2), org="acme"))),
    }
    for reason, (status, answer) in refused.items():
        assert (answer.status, answer.error) == (status, reason)
        assert b"Ack" not in answer.body
    assert org.count() == 1


def test_a_store_that_fails_half_way_is_never_acknowledged(open_door: OpenDoor, store: Store, tally: Tally) -> None:
    class Failing:
        vault, reading, is_current, free_space = store.vault, store.reading, store.is_current, store.free_space

        @contextmanager
        def writing(self) -> Iterator[sa.Connection]:
            with store.writing() as tx:
                yield tx
                raise OSError("disk")

    door = open_door(over=Failing(), connections={"salesforce": SALESFORCE})
    answer = tell(door, envelope(notification(1)))
    assert (answer.status, answer.error) == (503, "store_failed")
    assert answer.headers["Retry-After"]
    tally(12, trials=1, lost=int(acknowledged(answer)), wrong=door.count())


BOMB = "<!DOCTYPE x [" + "".join(
    f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(9)
) + "]>"  # fmt: skip
HOSTILE: dict[str, bytes] = {
    "entities": envelope(notification(1), before=BOMB, org="&e8;"),
    "external entity": envelope(notification(1), before='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    "external parameter": envelope(
        notification(1), before='<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>'
    ),
    "bare document type": envelope(notification(1), before="<!DOCTYPE soapenv>"),
    "instruction": envelope(notification(1), before='<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>'),
    "depth": envelope("<a>" * 40 + "</a>" * 40),
    "elements": envelope("<a/>" * 25_000),
    "attributes": envelope("<a " + " ".join(f"a{number}=''" for number in range(40)) + "/>"),
    "other namespace": envelope(notification(1), namespace="http://soap.sforce.com/2006/04/metadata"),
    "no notification": envelope(),
    "too many": envelope(*(notification(number) for number in range(101))),
    "cut": envelope(notification(1))[:-20],
    "no xml": b"hello",
    "nothing": b"",
    "other encoding": b'<?xml version="1.0" encoding="klingon"?><a/>',
    "utf-16 disguise": envelope(notification(1), before=BOMB).decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "in another place": b"<x>" + envelope(notification(1)).partition(b"?>")[2] + b"</x>",
}


@on_sqlite
def test_hostile_xml_is_refused_and_opens_nothing(org: Door, tally: Tally) -> None:
    for what, body in HOSTILE.items():
        answer = tell(org, body)
        assert answer.status == 400, what
        assert re.fullmatch(r"(bad|forbidden)_xml|too_(deep|many_events)|not_a_message|no_organization", answer.error)
        assert b"Ack" not in answer.body
    assert tell(org, envelope("x" * 1_000_000)).status == 413
    tally(11, trials=len(HOSTILE) + 1, wrong=org.count() + len(org.quarantined()))


# --- an org that knows nothing of us -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["outbound", "apex", "flow"])
@on_sqlite
def test_what_an_org_sends_is_taken_and_names_the_records_that_changed(org: Door, way: Any) -> None:
    with Sandbox(datetime.now(UTC)) as sandbox:
        salesforce = sandbox.salesforce
        salesforce.settings.callout_wall_time = True
        base = f"{org.server.url}/webhooks/salesforce"
        salesforce.send_outbound_messages(f"{base}/outbound/{PATH}", background=False)
        if way != "outbound":
            salesforce.send_callouts(base, SECRET if way == "apex" else FLOW, kind=way, background=False)
        lead = salesforce.add("Lead", {"LastName": "Lovelace", "Company": "A & B", "Email": "ada@acme.example"})
        salesforce.edit(lead, {"Title": "CTO"})
        sent = salesforce.deliver()
        assert (sent["acknowledged"], sent["failed"], salesforce.waiting()) == (1, 0, 0)
        assert salesforce.deliver()["requests"] == 0  # acknowledged, so never sent again
    assert {body["record"] for body in org.bodies("salesforce")} == {lead}
    assert org.count() == (1 if way == "outbound" else 2)
    assert org.quarantined() == []
