"""No request we send moves an existing member to subscribed or pending, or brings an archived one back (G21, fault 33).

Judged twice: by every body that goes out, and by what the audience says afterwards.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mailchimp_marketing.api_client import ApiClientError

from connectors.base import Consent, Outcome
from connectors.mailchimp.mapping import final_for
from connectors.mailchimp.wire import name_error
from leadbridge.errors import RetryLater, VendorError
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.types import SuppressionReason
from tests.helpers import rooms

STATUSES = ["subscribed", "pending", "unsubscribed", "cleaned", "transactional", "archived"]
CONSENT = Consent("form", datetime(2026, 1, 5, 10, tzinfo=UTC), "Send me news", "203.0.113.5")
JOURNEYS = [
    {"name": name, "mailchimp": way, "when": {"email": {"present": True}}}
    for name, way in {
        "tag": {"tag": "Guides", "exit_tag": "Out"},
        "field": {"merge_field": "LBNEXT=b"},
        "trigger": {"trigger": "journeys/12/steps/34"},
    }.items()
]


class Watched:
    """A room, what it sends, and the audience it sends it to."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.room = rooms.mailchimp(rooms.configuration(sandbox.url, journeys=JOURNEYS))
        self.room.create(self.room.specs())
        self.sent: list[tuple[str, dict[str, Any]]] = []
        client = self.room._api._client
        send = client.request

        def request(method: str, url: str, query_params: Any = None, headers: Any = None, body: Any = None) -> Any:
            if method != "GET":
                self.sent.append((method, json.loads(json.dumps(body)) or {}))
            return send(method, url, query_params, headers, body)

        client.request = request  # type: ignore[method-assign]

    def status(self, email: str) -> str | None:
        try:
            return self.sandbox.mailchimp.member(email).status
        except KeyError:
            return None


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Sandbox() as sandbox:
        sandbox.mailchimp.add_journey(11, "guides", tag="Guides", exit_tag="Out")
        sandbox.mailchimp.add_journey(12, "demo", step_id=34)
        sandbox.mailchimp.add_journey(13, "studies", merge_field="LBNEXT=b")
        yield Watched(sandbox)


ACTS = st.sampled_from(
    [
        *[("enrol", name, again) for name in ("tag", "field", "trigger") for again in (False, True)],
        ("leave", "tag", False),
        ("write", "", False),
        ("add", "", False),
        ("add", "consent", False),
    ]
)
_number = iter(range(10**9))


def act(watched: Watched, email: str, what: tuple[str, str, bool]) -> None:
    verb, name, flag = what
    room = watched.room
    match verb:
        case "enrol":
            room.enrol(name, email, again=flag)
        case "leave":
            room.leave(name, email)
        case "write":
            room.write({email: {"LBSCORE": "5"}})
        case "add":
            room.add_member(email, {"LBSCORE": "7"}, CONSENT if name else None)


@settings(max_examples=60)
@given(status=st.sampled_from(STATUSES), by_person=st.booleans(), acts=st.lists(ACTS, min_size=1, max_size=5))
def test_whatever_is_asked_no_member_is_raised(
    watched: Watched, status: str, by_person: bool, acts: list[tuple[str, str, bool]]
) -> None:
    email = f"member{next(_number)}@acme.example"
    watched.sandbox.mailchimp.add_member(email, status, opted_out_by_person=by_person and status == "unsubscribed")
    watched.sent.clear()
    for one in acts:
        act(watched, email, one)
        assert watched.status(email) == status
    for method, body in watched.sent:
        assert "status" not in body
        assert method != "DELETE"
    assert not any("status_if_new" in body for _, body in watched.sent)  # they were there


@pytest.mark.parametrize(("consent", "double", "status"), [
    (None, False, "transactional"),
    (None, True, "transactional"),
    (CONSENT, False, "subscribed"),
    (CONSENT, True, "pending"),
])  # fmt: skip
def test_who_is_added_is_mailed_only_with_consent_and_asked_where_the_audience_asks(
    consent: Consent | None, double: bool, status: str
) -> None:
    with Sandbox() as sandbox:
        sandbox.mailchimp.add_audience("b123", "Other", double_optin=double)
        config = rooms.configuration(sandbox.url, mailchimp={"audience": "b123"})
        room = rooms.mailchimp(config)
        room.create(room.specs())
        assert room.add_member("new@acme.example", {"LBSCORE": "7"}, consent).outcome is Outcome.WRITTEN
        (portion,) = room.read_members(["new@acme.example"])
        member = portion["new@acme.example"]
        assert (member.status, member.fields["LBSCORE"]) == (status, "7")


@pytest.mark.parametrize(
    ("title", "detail", "reason"),
    [
        ("Member In Compliance State", "", SuppressionReason.UNSUBSCRIBED),
        ("Forgotten Email Not Subscribed", "", SuppressionReason.ERASED),
        ("Invalid Resource", 'This member\'s status is "cleaned."', SuppressionReason.BOUNCED),
        ("Invalid Resource", "a has previously unsubscribed from this list", SuppressionReason.UNSUBSCRIBED),
        ("Invalid Resource", "a was previously removed from this audience.", SuppressionReason.UNSUBSCRIBED),
        ("Invalid Resource", "Please provide a valid email address.", None),
    ],
)
def test_a_refusal_that_is_final_for_the_person_says_why_nobody_may_mail_them(
    title: str, detail: str, reason: SuppressionReason | None
) -> None:
    assert final_for(title, detail) is reason


def test_somebody_erased_never_comes_back(watched: Watched) -> None:
    email = f"erased{next(_number)}@acme.example"
    watched.sandbox.mailchimp.add_member(email, "subscribed", forgotten=True)
    settled = watched.room.add_member(email, {"LBSCORE": "7"}, CONSENT)
    assert settled.outcome is Outcome.REFUSED
    assert settled.suppress is SuppressionReason.ERASED
    assert watched.status(email) is None


def test_an_address_in_too_many_audiences_is_tried_again_much_later() -> None:
    detail = "x@acme.example has signed up to a lot of lists very recently; we're not allowing more signups for now"
    body = json.dumps({"title": "Invalid Resource", "status": 400, "detail": detail})
    error = name_error("members.put", ApiClientError(body, 400))
    assert isinstance(error, RetryLater)
    assert (error.after or 0) >= 3600


def test_trouble_on_the_way_adds_nobody_twice_and_raises_nobody(watched: Watched) -> None:
    email = f"trouble{next(_number)}@acme.example"
    watched.sandbox.world.faults.add(Fault("reset_after", times=1, operation="members.put"))
    try:
        watched.room.add_member(email, {}, None)
    except VendorError:
        watched.room.add_member(email, {}, None)
    assert watched.status(email) == "transactional"
