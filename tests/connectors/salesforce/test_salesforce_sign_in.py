"""Signing in and staying in: once for all threads, once more after a 401, and never a secret in an error."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connectors.base import Change
from connectors.salesforce.connector import Salesforce
from leadbridge.errors import NeedsOperator, RetryLater
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.types import RecordRef
from tests.helpers import rooms

Rooms = Callable[..., Salesforce]


def operations(sandbox: Sandbox) -> Counter[str]:
    return Counter(call.operation for call in sandbox.world.journal)


def lead(org: stand_in.Salesforce) -> RecordRef:
    return RecordRef("salesforce", "Lead", org.add("Lead", {"LastName": "Ada", "Company": "Acme"}))


def test_the_grant_names_the_organisation(a_room: Rooms) -> None:
    assert a_room().account() == stand_in.ORG_ID


def test_one_thread_signs_in_and_the_rest_wait_for_its_token(
    a_room: Rooms, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    room, one, gate = a_room(simultaneous=8), lead(org), threading.Barrier(8)

    def read() -> int:
        gate.wait()
        return len(room.read_leads([one]).found)

    for signed_in in (1, 2):
        with ThreadPoolExecutor(8) as pool:
            assert [task.result() for task in [pool.submit(read) for _ in range(8)]] == [1] * 8
        assert operations(sandbox)["oauth.token"] == signed_in
        org.end_sessions()  # all eight meet the same 401 the next time


def test_a_token_that_ended_is_renewed_once_and_the_call_repeated(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = lead(org)
    room.read_leads([one])
    org.end_sessions()
    before = operations(sandbox)
    assert len(room.read_leads([one]).found) == 1
    assert operations(sandbox)["oauth.token"] - before["oauth.token"] == 1


def test_fresh_tokens_that_are_refused_end_in_a_call_for_help_not_in_a_loop(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = lead(org)
    room.read_leads([one])
    sandbox.world.faults.add(Fault("status", operation="queryAll", status=401, times=1000))
    before = operations(sandbox)
    with pytest.raises(NeedsOperator, match="a fresh token is not accepted"):
        room.read_leads([one])
    assert operations(sandbox)["oauth.token"] - before["oauth.token"] == 1


def test_a_session_without_the_api_scope_is_not_renewed(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    org.settings.rest_scope = False
    before = operations(sandbox)
    with pytest.raises(NeedsOperator, match="scope api"):
        room.read_leads([lead(org)])
    assert operations(sandbox)["oauth.token"] == before["oauth.token"]


def test_an_app_without_a_run_as_user_is_told_what_to_do(a_room: Rooms, org: stand_in.Salesforce) -> None:
    org.settings.run_as_user = False
    with pytest.raises(NeedsOperator, match="run-as user"):
        a_room().account()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def test_a_certificate_signs_in_without_a_secret(
    a_room: Rooms, org: stand_in.Salesforce, key: rsa.RSAPrivateKey
) -> None:
    org.set_jwt_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    by_key = {"client_secret": None, "private_key": private, "username": "integration@acme.example"}
    assert len(a_room(**by_key).read_leads([lead(org)]).found) == 1
    org.settings.preauthorised = False
    with pytest.raises(NeedsOperator, match="admin-approved"):
        a_room(**by_key).account()
    with pytest.raises(NeedsOperator, match="PEM") as caught:
        a_room(**by_key | {"private_key": "no key at all"}).account()
    assert "no key at all" not in f"{caught.value} {caught.value.__context__}"


def test_a_password_signs_in_only_where_the_org_still_lets_it(a_room: Rooms, org: stand_in.Salesforce) -> None:
    """Both outcomes (section 1.1)."""
    by_password = {"username": "integration@acme.example", "password": "secret and token"}
    with pytest.raises(NeedsOperator, match="authentication failure") as caught:
        a_room(**by_password).account()
    assert "secret and token" not in str(caught.value)
    org.settings.password = "secret and token"
    assert a_room(**by_password).account() == stand_in.ORG_ID


def test_a_host_that_is_not_ours_is_never_called(a_room: Rooms, org: stand_in.Salesforce) -> None:
    """`instance_url` and page links are the vendor's words: a token must not follow them anywhere (G29)."""
    org.settings.instance_url = "https://evil.example"
    with pytest.raises(NeedsOperator, match=r"evil\.example, which is not allowed"):
        a_room().read_leads([lead(org)])


def test_hosts_of_salesforce_are_allowed_and_look_alikes_are_not() -> None:
    connection = {"base_url": None, "domain": "acme.my"}
    room = rooms.salesforce(rooms.configuration("http://127.0.0.1:1", salesforce=connection))
    allowed = room._api._is_allowed
    assert allowed("acme.my.salesforce.com")
    assert allowed("acme--dev.sandbox.my.salesforce.com")
    for host in ("salesforce.com.evil.example", "evil-salesforce.com", "x@evil.example", "acme.my.salesforce.com:99"):
        assert not allowed(host)


def test_the_daily_quota_is_left_alone_and_a_crowd_waited_for(a_room: Rooms, org: stand_in.Salesforce) -> None:
    """One code, two meanings (section 7)."""
    room, one = a_room(), lead(org)
    room.account()
    org.settings.daily_limit = 1
    with pytest.raises(RetryLater) as caught:
        room.read_leads([one])
    assert caught.value.after == 3600.0
    org.settings.daily_limit, org.settings.concurrent_limit_hit = 100_000, True
    with pytest.raises(RetryLater) as caught:
        a_room().read_leads([one])
    assert caught.value.after == 5.0


def test_reading_stops_before_the_quota_and_writing_later(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    """The rest of the org's calls is for its people and other apps (reliability pattern 13)."""
    one = lead(org)
    room.read_leads([one])  # what there is to read is known now
    org.settings.other_usage = 85_000
    room.read_leads([one])  # this answer tells
    before = len(sandbox.world.journal)
    for _ in range(3):  # one call in five minutes looks whether it has fallen; no other leaves
        with pytest.raises(RetryLater, match="no room in the budget of reads"):
            [room.read_leads([one]) for _ in range(2)]
    assert len(sandbox.world.journal) - before <= 3
    assert room.write([Change(one, {"Leadbridge_Score__c": "5"})])[one].outcome.value == "written"
