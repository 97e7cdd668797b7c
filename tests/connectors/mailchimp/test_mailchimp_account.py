"""What is peculiar to Mailchimp, over the real client and real HTTP."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mailchimp_marketing.api_client import ApiClientError
from pydantic import SecretStr

from connectors.base import Entry, MemberStatus
from connectors.mailchimp.auth import KeptClient, _host
from connectors.mailchimp.connector import Mailchimp
from leadbridge import clock
from leadbridge.config.connections import MailchimpConnection
from leadbridge.errors import FeatureMissing, NeedsOperator, Unknown
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.testing.stages import PATIENT
from tests.helpers import rooms


def room(sandbox: Sandbox, **connection: Any) -> Mailchimp:
    return rooms.mailchimp(rooms.configuration(sandbox.url, mailchimp=connection))


def now() -> datetime:
    return datetime.now(UTC)


# --- the account -----------------------------------------------------------------------------------------------------


def test_the_account_can_be_pinned(sandbox: Sandbox) -> None:
    assert room(sandbox).account() == room(sandbox).account() != ""


@pytest.mark.parametrize(
    ("base", "host"),
    [
        (None, "https://us21.api.mailchimp.com/3.0"),
        ("https://api.mailchimp.com/3.0", "https://api.mailchimp.com/3.0"),
        ("https://api.mailchimp.com", "https://api.mailchimp.com/3.0"),
    ],
)
def test_the_keys_ending_names_the_data_centre_unless_an_address_is_given(base: str | None, host: str) -> None:
    key = "0123456789abcdef0123456789abcdef-us21"
    assert _host(MailchimpConnection(api_key=SecretStr(key), audience="a", base_url=base), key) == host


def test_a_key_of_another_data_centre_needs_an_operator(sandbox: Sandbox) -> None:
    with pytest.raises(NeedsOperator, match="datacenter"):
        room(sandbox, api_key="0123456789abcdef0123456789abcdef-us6").account()


def test_the_word_server_in_an_id_stays_what_it_is(sandbox: Sandbox) -> None:
    here = sandbox.url.removeprefix("http://").partition(":")[0]
    client = KeptClient("Basic bm9ib2R5", f"{sandbox.url}/3.0", 1, 1.0, trusted=(here,))
    client.within(5.0, fresh=False)
    with pytest.raises(ApiClientError):  # there is no such audience
        client.call_api("/lists/server/members", "GET")
    assert sandbox.world.journal.since()[-1].path == "/3.0/lists/server/members"


def test_a_redirect_never_carries_the_key_elsewhere(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.05)
        location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        sandbox.world.faults.add(Fault("empty", status=307, headers={"Location": location}, times=100))
        with pytest.raises(Unknown):
            room(sandbox).account()
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_connections_are_kept_but_not_for_a_call_that_must_not_be_repeated(sandbox: Sandbox) -> None:
    found = room(sandbox, simultaneous=1)
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    sandbox.mailchimp.add_journey(12, "demo", step_id=34)
    for _ in range(4):
        found.account()
    adapter: Any = found._api._client._kept.get_adapter(sandbox.url)
    (kept,) = [adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys()]  # noqa: SIM118 - no mapping
    assert (kept.num_connections, kept.num_requests) == (1, 4)
    assert found.enrol("demo", "dana@acme.example")[0] is Entry.ENTERED
    assert kept.num_requests == 4


# --- members ---------------------------------------------------------------------------------------------------------


def test_an_archived_contact_is_not_taken_for_absent(sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("dana@acme.example", "archived")
    (portion,) = room(sandbox).read_members(["dana@acme.example"])
    assert portion["dana@acme.example"].status is MemberStatus.ARCHIVED


def test_portions_come_while_the_reading_goes_on(sandbox: Sandbox) -> None:
    known = [f"m{n}@acme.example" for n in range(1100)]
    for email in known:
        sandbox.mailchimp.add_member(email, "subscribed")
    before = len(sandbox.world.journal)
    next(iter(room(sandbox).read_members(known)))
    assert len(sandbox.world.journal) - before == 1


# --- journeys --------------------------------------------------------------------------------------------------------


def test_a_tag_spelt_in_another_case_is_the_same_tag(sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed", tags=["LEADBRIDGE Guides"])
    assert room(sandbox).entered("guides", "dana@acme.example") is True


def test_a_tag_beyond_the_first_fifty_is_found(sandbox: Sandbox) -> None:
    tags = [f"tag {n}" for n in range(80)]
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed", tags=[*tags, "Leadbridge guides"])
    assert room(sandbox).entered("guides", "dana@acme.example") is True


def test_a_tag_that_is_there_already_starts_nothing_again(sandbox: Sandbox) -> None:
    """As documented: it is not taken off and put on, so a journey by tag is entered once for each contact."""
    sandbox.mailchimp.add_journey(11, "guides", tag="Leadbridge guides", reentry=True)
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed", tags=["Leadbridge guides"])
    assert room(sandbox).enrol("guides", "dana@acme.example")[0] is Entry.ENTERED
    assert not [
        e for call in sandbox.world.journal for e in call.effects if e.kind in ("journey_entered", "tag_removed")
    ]


# --- merge fields ----------------------------------------------------------------------------------------------------


def test_a_merge_field_beyond_the_first_ten_is_there(sandbox: Sandbox) -> None:
    """A list without `count` shows ten rows (section 15)."""
    one = room(sandbox)
    one.create(one.specs())
    fields = sandbox.mailchimp.core.state.audiences[rooms.AUDIENCE].merge_fields
    ours = {spec.name for spec in one.specs()}
    first = [held for held in fields.values() if held.tag not in ours]
    mine = [held for held in fields.values() if held.tag in ours]
    more = [replace(first[0], merge_id=900 + n, tag=f"OTHER{n}") for n in range(12)]
    fields.clear()
    fields |= {held.merge_id: held for held in [*first, *more, *mine]}
    assert len(first) + len(more) > 10
    assert one.missing(one.specs()) == []


def test_creation_that_fails_is_noticed_and_named(sandbox: Sandbox) -> None:
    sandbox.mailchimp.settings.merge_field_limit = 7  # five are there
    found = room(sandbox)
    with pytest.raises(NeedsOperator, match=r"LBSTAGE, LBREASONS could not be created: .*limit"):
        found.create(found.specs())


def test_a_merge_field_of_another_type_is_named(sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_merge_field("LBSCORE", "Old score", "text")
    found = room(sandbox)
    with pytest.raises(NeedsOperator, match="LBSCORE is text, number is needed"):
        found.missing(found.specs())


def test_a_field_somebody_else_made_required_does_not_keep_a_score_out(sandbox: Sandbox) -> None:
    found = room(sandbox)
    found.create(found.specs())
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    sandbox.mailchimp.add_merge_field("VAT", "VAT number", required=True)
    found.write({"dana@acme.example": {"LBSCORE": "5"}})
    assert sandbox.mailchimp.member("dana@acme.example").merge_fields["LBSCORE"] == 5


def test_one_member_that_fails_does_not_hold_up_the_others(sandbox: Sandbox) -> None:
    found = room(sandbox, simultaneous=1)
    found.create(found.specs())
    known = [f"m{n}@acme.example" for n in range(3)]
    for email in known:
        sandbox.mailchimp.add_member(email, "subscribed")
    sandbox.world.faults.add(Fault("status", operation="members.patch", status=500, times=PATIENT.tries))
    settled = found.write({email: {"LBSCORE": "1"} for email in known})
    assert [settled[email].outcome.value for email in known] == ["unanswered", "written", "written"]


@pytest.mark.parametrize("many", [1, 30])  # asked for one by one, and by pages of the audience
def test_a_status_is_as_old_as_the_question_however_slow_the_answer(sandbox: Sandbox, many: int) -> None:
    known = [f"m{n}@acme.example" for n in range(many)]
    for email in known:
        sandbox.mailchimp.add_member(email, "subscribed")
    begun = now()
    clock.set_source(lambda: begun + timedelta(seconds=40 * len(sandbox.world.journal)))  # a call takes 40 s
    try:
        found = [member for part in room(sandbox).read_members(known) for member in part.values()]
    finally:
        clock.set_source(None)
    assert [member.read_at for member in found] == [begun] * many


def test_an_audience_that_is_not_there_is_named_with_the_cure(sandbox: Sandbox) -> None:
    with pytest.raises(NeedsOperator, match=r"no such audience in this account; set connections\.mailchimp\.audience"):
        list(room(sandbox, audience="beefbeef00").pull_opt_outs(None))


# --- engagement ------------------------------------------------------------------------------------------------------


def test_reports_the_account_lacks_are_named_so(sandbox: Sandbox) -> None:
    sandbox.world.faults.add(Fault("status", operation="campaigns.list", status=403, times=100))
    with pytest.raises(FeatureMissing):
        list(room(sandbox).pull_activities("campaigns", None))


def test_a_campaign_without_a_report_is_counted_and_passed_over(sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    for days in (3, 2):
        campaign = sandbox.mailchimp.add_campaign("News", now() - timedelta(days=days))
        sandbox.mailchimp.add_campaign_activity(campaign, "dana@acme.example", "open", now())
    sandbox.world.faults.add(Fault("status", operation="reports.email_activity", status=404))
    pages = list(room(sandbox).pull_activities("campaigns", None))
    assert [len(page.rows) for page in pages] == [0, 1]
    assert pages[0].skipped == {"campaign without a report": 1}


def test_campaigns_beyond_the_history_are_let_go(sandbox: Sandbox) -> None:
    old = sandbox.mailchimp.add_campaign("Old", now() - timedelta(days=29))
    found = room(sandbox)
    progress = list(found.pull_activities("campaigns", None))[-1].progress
    assert f"campaign:{old}" in progress
    sandbox.mailchimp.core.state.campaigns[old].send_time = now() - timedelta(days=31)
    assert dict(list(found.pull_activities("campaigns", progress))[-1].progress) == {}


def test_a_source_nobody_knows_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no source 'tweets'"):
        room(sandbox).pull_activities("tweets", None)
