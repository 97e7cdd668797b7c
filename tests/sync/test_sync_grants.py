"""Access of an OAuth app that expires (reliability fault 18, pattern 15): renewed once, stored before it is used."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.hubspot.connector import HubSpot
from connectors.salesforce.connector import Salesforce
from leadbridge import clock
from leadbridge.call import Pace
from leadbridge.errors import NeedsOperator
from leadbridge.sandbox import salesforce as org
from leadbridge.sandbox.hubspot import CLIENT_ID, REFRESH_TOKEN
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, grants, open_store, tables
from sync.grants import StoredGrants
from tests.helpers import rooms
from tests.helpers.databases import KEY
from tests.helpers.waiting import LONG

SECRET = "sandbox-hubspot-secret"
OAUTH = {"token": None, "client_id": CLIENT_ID, "client_secret": SECRET, "refresh_token": REFRESH_TOKEN}


@pytest.fixture(params=["v3", "2026-09"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An account that gives a new refresh token with each access token, and takes the old one back."""
    with Sandbox() as sandbox:
        sandbox.hubspot.settings.rotate_refresh_tokens = True
        yield rooms.unlimited(sandbox)


@pytest.fixture
def later(sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    """Move our clock, or the vendor's, or both."""
    ours = timedelta(0)

    def move(by: timedelta, *, vendor: bool = True, us: bool = True) -> None:
        nonlocal ours
        if vendor:
            sandbox.world.clock.advance(by)
        if us:
            ours += by
            ahead = ours
            clock.set_source(lambda: datetime.now(UTC) + ahead)

    yield move
    clock.set_source(None)


def room(sandbox: Sandbox, store: Store, owner: str = "w1", **connection: Any) -> HubSpot:
    config = rooms.configuration(sandbox.url, hubspot=OAUTH | connection)
    assert config.connections.hubspot is not None
    kept = StoredGrants(store, owner, Pace().wait)
    return HubSpot(config.connections.hubspot, config, pace=Pace(), grants=kept)


def renewals(sandbox: Sandbox) -> int:
    return sum(call.operation == "oauth.token" for call in sandbox.world.journal)


def refused(sandbox: Sandbox) -> int:
    return sum(call.status == 401 for call in sandbox.world.journal)


def test_access_is_got_once_and_renewed_before_it_ends(
    sandbox: Sandbox, store: Store, later: Any, version: str
) -> None:
    one = room(sandbox, store, api_version=version)
    for _ in range(3):
        assert one.account() == str(sandbox.hubspot.portal_id)
    assert renewals(sandbox) == 1
    later(timedelta(minutes=29, seconds=30))
    one.account()
    assert (renewals(sandbox), refused(sandbox)) == (2, 0)


def at_once(act: Callable[[Any], object], workers: Sequence[Any]) -> None:
    """Let all of them do it at the same moment. Raises what any of them raised."""
    start = threading.Barrier(len(workers), timeout=LONG)

    def work(one: Any) -> None:
        start.wait()
        act(one)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))


def test_eight_workers_renew_once_between_them(sandbox: Sandbox, store_url: str, later: Any) -> None:
    stores = [open_store(store_url, key=KEY) for _ in range(8)]
    workers = [room(sandbox, store, f"w{n}") for n, store in enumerate(stores)]
    for round_ in (1, 2):
        at_once(HubSpot.account, workers)
        assert renewals(sandbox) == round_
        later(timedelta(hours=2))
    for store in stores:
        store.close()


@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_that_jumps_two_hours_costs_one_renewal(sandbox: Sandbox, store: Store, later: Any, hours: int) -> None:
    """Ahead: ours says expired. Back, or the vendor's ahead: the vendor says so, and is believed once."""
    one = room(sandbox, store)
    one.account()
    later(timedelta(hours=hours), vendor=False)
    if hours < 0:
        later(timedelta(hours=-hours), us=False)
    one.account()
    assert renewals(sandbox) == 2
    assert refused(sandbox) == (0 if hours > 0 else 1)


def test_a_revoked_grant_needs_an_operator_who_is_told_what_to_do(sandbox: Sandbox, store: Store) -> None:
    sandbox.hubspot.tokens.refresh_tokens.clear()
    with pytest.raises(NeedsOperator, match="refresh_token") as told:
        room(sandbox, store).account()
    assert REFRESH_TOKEN not in str(told.value)
    assert SECRET not in str(told.value)


def test_what_was_granted_outlives_the_process_that_got_it(sandbox: Sandbox, store: Store, later: Any) -> None:
    room(sandbox, store).account()
    room(sandbox, store, "w2").account()  # takes the access that is there
    assert renewals(sandbox) == 1
    later(timedelta(hours=1))
    room(sandbox, store, "w3").account()  # the configured refresh token is worth nothing by now
    assert renewals(sandbox) == 2


def test_new_access_is_stored_before_it_is_used(
    sandbox: Sandbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(grants, "keep", full_disk)
    with pytest.raises(Exception):  # noqa: B017 - whatever becomes of it, see below
        room(sandbox, store).account()
    assert [call.operation for call in sandbox.world.journal] == ["oauth.token"] * renewals(sandbox)


def test_another_refresh_token_in_the_configuration_takes_the_place_of_what_is_stored(
    sandbox: Sandbox, store: Store
) -> None:
    room(sandbox, store).account()
    sandbox.hubspot.tokens.refresh_tokens.clear()  # uninstalled, and granted anew:
    sandbox.hubspot.tokens.refresh_tokens["granted-anew"] = sandbox.hubspot.tokens.known[sandbox.hubspot.token].scopes
    room(sandbox, store, refresh_token="granted-anew").account()
    assert renewals(sandbox) == 2


def test_tokens_are_sealed_in_the_store_and_shown_nowhere(sandbox: Sandbox, store: Store) -> None:
    one = room(sandbox, store)
    one.account()
    with store.reading() as tx:
        kept = grants.read(tx, store.vault, "hubspot")
        raw = tx.execute(tables.grants.select()).one()
    assert kept is not None
    for name in ("access", "refresh"):
        assert kept[name].encode() not in raw.sealed
        assert kept[name] not in f"{one!r} {vars(one)!r} {vars(one._api)!r} {vars(one._api._access)!r}"


# --- Salesforce, whose tokens end without saying when -----------------------------------------------------------------


def org_room(sandbox: Sandbox, store: Store, owner: str = "w1", **connection: Any) -> Salesforce:
    config = rooms.configuration(sandbox.url, salesforce=connection)
    assert config.connections.salesforce is not None
    kept = StoredGrants(store, owner, Pace().wait)
    return Salesforce(config.connections.salesforce, config, pace=Pace(), grants=kept)


def limits(room: Salesforce) -> Any:
    """One call that needs a token."""
    return room._api.ask("limits", lambda library: library.limits(), lambda answer: answer["DailyApiRequests"])


def test_workers_sign_in_to_salesforce_once_between_them(sandbox: Sandbox, store_url: str) -> None:
    stores = [open_store(store_url, key=KEY) for _ in range(4)]
    workers = [org_room(sandbox, store, f"w{n}") for n, store in enumerate(stores)]
    for round_ in (1, 2):
        at_once(limits, workers)
        assert renewals(sandbox) == round_
        sandbox.salesforce.end_sessions()  # all of them meet the same 401 the next time
    for store in stores:
        store.close()


def test_a_session_of_another_process_that_ended_too_is_not_the_last_word(sandbox: Sandbox, store: Store) -> None:
    one, other = org_room(sandbox, store, "w1"), org_room(sandbox, store, "w2")
    limits(one)
    limits(other)  # takes the session that is there
    assert renewals(sandbox) == 1
    sandbox.salesforce.end_sessions()
    limits(other)  # signs in, and `one` does not know
    sandbox.salesforce.end_sessions()
    limits(one)  # refused with its own, refused with the other's, signs in
    assert renewals(sandbox) == 3
    assert one.account() == other.account()


def test_other_credentials_take_no_session_of_the_ones_before(sandbox: Sandbox, store: Store) -> None:
    limits(org_room(sandbox, store))
    with pytest.raises(NeedsOperator, match="signing in is refused"):
        limits(org_room(sandbox, store, client_secret="guessed"))
    limits(org_room(sandbox, store))
    assert renewals(sandbox) == 2  # the refused one among them; what was stored is still there


def test_a_session_of_salesforce_is_sealed_in_the_store_and_shown_nowhere(sandbox: Sandbox, store: Store) -> None:
    one = org_room(sandbox, store)
    limits(one)
    with store.reading() as tx:
        held = grants.read(tx, store.vault, "salesforce")
        raw = tx.execute(tables.grants.select()).one()
    assert held is not None
    assert held["access"].encode() not in raw.sealed
    assert held["access"] not in f"{one!r} {vars(one)!r} {vars(one._api)!r}"
    assert "sandbox-salesforce-secret" not in json.dumps(held)


# --- whole processes --------------------------------------------------------------------------------------------------

PROCESS = """
import json, sys
from connectors import registry
from leadbridge.call import Pace
from leadbridge.config.schema import Config
from leadbridge.store import open_store
from sync.grants import StoredGrants
order = json.loads(sys.stdin.readline())
config = Config.model_validate(order["config"])
store = open_store(order["store"], key=bytes.fromhex(order["key"]))
kept = StoredGrants(store, order["owner"], Pace().wait)
one = registry.crm(order["vendor"], config, pace=Pace(), grants=kept)
print("ready", flush=True)
sys.stdin.readline()
print(one.account(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_processes_renew_once_between_them(sandbox: Sandbox, store_url: str, vendor: str) -> None:
    connections: dict[str, dict[str, Any]] = {
        "hubspot": {name: value for name, value in OAUTH.items() if value is not None} | {"base_url": sandbox.url},
        "salesforce": {
            "domain": "acme.my",
            "base_url": sandbox.url,
            "client_id": org.CLIENT_ID,
            "client_secret": org.CLIENT_SECRET,
        },
    }
    accounts = {"hubspot": str(sandbox.hubspot.portal_id), "salesforce": sandbox.salesforce.organization_id}
    config = {
        "connections": {vendor: connections[vendor]},
        "fields": {},
        "write_back": {},
        "scores": rooms.SCORES,
    }
    root = Path(__file__).parents[2]
    running = []
    for n in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        order = {"config": config, "store": store_url, "key": KEY.hex(), "owner": f"p{n}", "vendor": vendor}
        print(json.dumps(order), file=process.stdin, flush=True)
        running.append(process)
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:  # all at once
        print(file=process.stdin, flush=True)
    for process in running:
        told, _ = process.communicate(timeout=LONG)
        assert told.strip() == accounts[vendor]
    assert renewals(sandbox) == 1
