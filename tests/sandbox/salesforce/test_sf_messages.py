"""Outbound Messages until the Ack, and signed callouts (vendor page, sections 6.2 and 6.3)."""

import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests

from leadbridge.sandbox.salesforce import ORG_ID, Salesforce
from leadbridge.sandbox.server import Sandbox
from tests.helpers.waiting import until

ACK = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    '<soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>{}</Ack>'
    "</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
LEAD = {"LastName": "Lee", "Company": "A & B", "Email": "ann@acme.example"}


class Receiver:
    """Keeps what arrives; answers from a script, then always well."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.script: list[tuple[int, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers.items()), body))
                status, answer = outer.script.pop(0) if outer.script else (200, ACK.format("true"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *args: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def ids(self, which: int) -> list[str]:
        return re.findall("<Notification><Id>(04l[^<]*)</Id>", self.got[which][1].decode())

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_a_message_carries_the_record_as_it_is_when_sent(sf: Salesforce, receiver: Receiver) -> None:
    sf.send_outbound_messages(receiver.url, fields=["Email", "Company", "IsConverted", "Title"], background=False)
    lead = sf.add("Lead", LEAD)
    assert sf.waiting() == 0  # seeding is not told
    sf.edit(lead, {"Email": "one@acme.example"})
    sf.edit(lead, {"Email": "two@acme.example"})
    assert sf.deliver() == {"requests": 1, "acknowledged": 2, "failed": 0, "dropped": 0}
    headers, body = receiver.got[0]
    text = body.decode()
    assert headers["Content-Type"] == "text/xml; charset=utf-8"
    assert f"<OrganizationId>{ORG_ID}</OrganizationId>" in text
    assert '<SessionId xsi:nil="true"/>' in text
    assert text.count("<sf:Email>two@acme.example</sf:Email>") == 2
    assert (
        "<sf:Company>A &amp; B</sf:Company><sf:IsConverted>false</sf:IsConverted></sObject>" in text
    )  # no empty Title
    assert len(set(receiver.ids(0))) == 2


@pytest.mark.parametrize("answer", [(200, ACK.format("false")), (200, ""), (500, ACK.format("true")), (204, "")])
def test_anything_but_an_ack_is_repeated_with_the_same_id(
    sf: Salesforce, receiver: Receiver, answer: tuple[int, str]
) -> None:
    sf.settings.outbound_retry_seconds = 0.01
    receiver.script = [answer, answer]
    lead = sf.add("Lead", LEAD)
    sf.send_outbound_messages(receiver.url)
    sf.edit(lead, {"Title": "CTO"})
    until(lambda: len(receiver.got) >= 3 and sf.waiting() == 0)
    assert receiver.ids(0) == receiver.ids(1) == receiver.ids(2)
    assert len(receiver.got) == 3


def test_after_a_day_without_ack_a_message_is_dropped(sandbox: Sandbox, sf: Salesforce, receiver: Receiver) -> None:
    receiver.script = [(500, "")] * 2
    sf.send_outbound_messages(receiver.url, background=False)
    sf.edit(sf.add("Lead", LEAD), {"Title": "CTO"})
    assert sf.deliver()["failed"] == 1
    sandbox.world.clock.advance(timedelta(hours=25))
    assert sf.deliver()["dropped"] == 1
    assert sf.waiting() == 0


def test_own_writes_are_sent_only_where_the_rule_says_so(
    sf: Salesforce, api: Callable[..., requests.Response], receiver: Receiver
) -> None:
    lead = sf.add("Lead", LEAD)
    for own_writes, sent in ((False, 0), (True, 1)):
        sf.send_outbound_messages(receiver.url, own_writes=own_writes, background=False)
        assert api("PATCH", f"/sobjects/Lead/{lead}", json={"Title": "CTO"}).status_code == 204
        assert sf.deliver()["acknowledged"] == sent


def test_deleted_records_are_not_sent(sf: Salesforce, receiver: Receiver) -> None:
    sf.send_outbound_messages(receiver.url, background=False)
    lead = sf.add("Lead", LEAD)
    sf.edit(lead, {"Title": "CTO"})
    sf.delete(lead)
    assert sf.deliver() == {"requests": 0, "acknowledged": 0, "failed": 0, "dropped": 0}
    assert receiver.got == []


def test_messages_may_be_doubled_cut_and_of_another_org(sf: Salesforce, receiver: Receiver) -> None:
    sf.settings.outbound_duplicate_every, sf.settings.outbound_batch = 2, 2
    sf.settings.outbound_org_id = "00D000000000001EAA"
    sf.send_outbound_messages(receiver.url, background=False)
    for n in range(2):
        sf.edit(sf.add("Lead", LEAD), {"Title": f"T{n}"})
    sf.deliver()
    assert [len(receiver.ids(n)) for n in range(len(receiver.got))] == [2, 1]
    assert receiver.ids(0)[1] == receiver.ids(1)[0]
    assert b"<OrganizationId>00D000000000001EAA<" in receiver.got[0][1]


def test_an_apex_callout_is_signed_and_sent_once(sf: Salesforce, receiver: Receiver) -> None:
    receiver.script = [(500, "")]
    sf.send_outbound_messages("http://127.0.0.1:9/", background=False)
    sf.send_outbound_messages(None)
    sf.send_callouts(receiver.url, "key", background=False)
    lead = sf.add("Lead", LEAD)
    sf.edit(lead, {"Title": "CTO"})
    sf.deliver()
    sf.deliver()
    [(headers, body)] = receiver.got
    stamp = headers["X-Leadbridge-Timestamp"]
    seal = hmac.new(b"key", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Leadbridge-Signature"] == f"v1={seal}"
    assert int(stamp) == int(sf.world.clock.now().timestamp())
    assert body.decode() == (
        f'{{"orgId":"{ORG_ID}","event":"lead.changed","sentAt":"2026-11-22T02:00:30Z",'
        f'"records":[{{"type":"Lead","id":"{lead}"}}]}}'
    )


def test_a_flow_callout_shows_the_secret_itself(sf: Salesforce, receiver: Receiver) -> None:
    sf.send_outbound_messages("http://127.0.0.1:9/", background=False)
    sf.send_outbound_messages(None)
    sf.send_callouts(receiver.url, "key", kind="flow", header="X-Secret", background=False)
    sf.edit(sf.add("Lead", LEAD), {"Title": "CTO"})
    sf.deliver()
    assert receiver.got[0][0]["X-Secret"] == "key"
    assert "X-Leadbridge-Signature" not in receiver.got[0][0]
