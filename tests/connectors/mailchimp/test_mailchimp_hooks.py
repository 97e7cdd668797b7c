"""Our webhook at the audience, made by `apply` and put right when somebody changed it."""

from typing import Any

import pytest

from connectors.grants import SIGNING, MemoryGrants
from connectors.mailchimp.connector import Mailchimp
from leadbridge.errors import NeedsOperator
from leadbridge.sandbox.server import Sandbox
from leadbridge.testing import Skipping
from tests.helpers import rooms

PATH_SECRET = "x" * 32


def room(sandbox: Sandbox, public_url: str | None, grants: MemoryGrants | None = None) -> Mailchimp:
    config = rooms.configuration(sandbox.url, mailchimp={"webhook_secret": PATH_SECRET}, public_url=public_url)
    assert config.connections.mailchimp is not None
    return Mailchimp(config.connections.mailchimp, config, pace=Skipping().pace(), grants=grants)


def hooks(sandbox: Sandbox) -> list[Any]:
    return list(sandbox.mailchimp.core.state.audiences[rooms.AUDIENCE].webhooks.values())


def test_apply_makes_it_once_and_keeps_the_secret_that_is_shown_once(sandbox: Sandbox, door: str) -> None:
    kept = MemoryGrants()
    one = room(sandbox, door, kept)
    assert "webhook" in {spec.kind for spec in one.missing(one.specs())}
    for _ in range(2):
        one.create(one.missing(one.specs()))
        assert one.missing(one.specs()) == []
    (hook,) = hooks(sandbox)
    assert hook.url == f"{door}/webhooks/mailchimp/{PATH_SECRET}"
    assert hook.events == {name: name != "campaign" for name in hook.events}
    assert hook.sources == {"user": True, "admin": True, "api": False}
    assert kept.secrets[SIGNING] == hook.secret
    assert PATH_SECRET not in repr(one.specs())


def test_a_hook_that_differs_by_its_query_is_ours_and_no_second_one_is_made(sandbox: Sandbox, door: str) -> None:
    """Mailchimp refuses two of them (section 15)."""
    one = room(sandbox, door)
    one.create(one.specs())
    (hook,) = hooks(sandbox)
    hook.url += "?from=elsewhere"
    hook.events["unsubscribe"] = False
    assert "webhook" in {spec.kind for spec in one.missing(one.specs())}
    one.create(one.specs())
    (hook,) = hooks(sandbox)
    assert hook.events["unsubscribe"]


def test_what_somebody_changed_is_shown_and_put_right(sandbox: Sandbox, door: str) -> None:
    one = room(sandbox, door)
    one.create(one.specs())
    (hook,) = hooks(sandbox)
    hook.events["unsubscribe"] = False
    hook.sources["api"] = True
    assert [spec.kind for spec in one.missing(one.specs())] == ["webhook"]
    one.create(one.missing(one.specs()))
    assert one.missing(one.specs()) == []
    assert len(hooks(sandbox)) == 1


def test_an_address_mailchimp_cannot_reach_is_told_with_its_cure(sandbox: Sandbox) -> None:
    one = room(sandbox, "http://127.0.0.1:9")
    with pytest.raises(NeedsOperator, match="start leadbridge first"):
        one.create(one.specs())
    assert hooks(sandbox) == []


def test_without_a_public_address_there_is_no_webhook_to_want(sandbox: Sandbox) -> None:
    assert "webhook" not in {spec.kind for spec in room(sandbox, None).specs()}
