"""A stand-in of the Mailchimp Marketing API 3.0, written from its public documentation.

`Mailchimp.app` is the HTTP face, for any client. The other methods are for whoever runs the sandbox: seeding, what
people do themselves, and looking at what came of it. They leave no journal entry but the deliveries of webhooks.
"""

import pickle
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from leadbridge.sandbox.mailchimp import (
    batches,
    changes,
    feeds,
    journeys,
    lists,
    members,
    merge_fields,
    reports,
    tags,
    webhooks,
)
from leadbridge.sandbox.mailchimp.answers import PROBLEM_JSON, Problem, new_request_id
from leadbridge.sandbox.mailchimp.app import InFlight, build, operation_of
from leadbridge.sandbox.mailchimp.core import Act, Core, Routes
from leadbridge.sandbox.mailchimp.dump import dump
from leadbridge.sandbox.mailchimp.settings import Settings
from leadbridge.sandbox.mailchimp.state import (
    PERSON_IP,
    PROXY_IP,
    SCANNER_IP,
    Activity,
    Audience,
    Automation,
    Campaign,
    Journey,
    Member,
    MergeField,
    code_of,
    hash_of,
)
from leadbridge.sandbox.world import World

ROUTES = Routes(
    (
        *lists.ROUTES,
        *members.ROUTES,
        *merge_fields.ROUTES,
        *tags.ROUTES,
        *journeys.ROUTES,
        *reports.ROUTES,
        *feeds.ROUTES,
        *batches.ROUTES,
        *webhooks.ROUTES,
    )
)


class Mailchimp:
    """One account with one audience (more by `add_audience`). Thread-safe.

    ``options`` are fields of `Settings`; they may be changed later through ``settings``.
    """

    name = "mailchimp"
    roots: tuple[str, ...] = ("/3.0", "/oauth2")
    acts = frozenset(
        {
            "add_audience", "add_automation", "add_campaign", "add_campaign_activity", "add_journey", "add_member",
            "add_merge_field", "mail_bounces", "pause_journey", "person_confirms", "person_unsubscribes", "proxy_opens",
            "scanner_clicks",
        }
    )  # fmt: skip
    fault_content_type = PROBLEM_JSON

    def __init__(
        self,
        world: World,
        *,
        api_key: str = "sandbox-mailchimp-key-us1",
        audience: str = "a36b032126",
        oauth_tokens: Iterable[str] = ("sandbox-mailchimp-token",),
        **options: Any,
    ) -> None:
        self.settings = Settings(**options)
        self.api_key = api_key
        self.audience = audience
        self.core = Core(world, ROUTES, audience, self.settings)
        self.in_flight = InFlight(self.core)
        self.app = build(self.core, self.in_flight, api_key, set(oauth_tokens))

    @property
    def _audience(self) -> Audience:
        return self.core.state.audiences[self.core.default_audience]

    def operation_of(self, method: str, path: str) -> str:
        """The stable name the journal and the faults know a call by."""
        return operation_of(ROUTES, method, path)

    def fault_body(self, status: int) -> dict[str, Any]:
        """The problem document Mailchimp gives with this status, for scripted faults; its type is problem+json."""
        body: dict[str, Any] = Problem.of_status(status).answer(new_request_id()).body
        return body

    # --- looking -------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The account as comparable JSON: sorted, without instants, made-up ids and what is under way."""
        with self.core.lock:
            return dump(self.core.state)

    def snapshot(self) -> bytes:
        """All state, to be given back to `restore`. Deliveries under way are not part of it."""
        with self.core.lock:
            return pickle.dumps(self.core.state, protocol=pickle.HIGHEST_PROTOCOL)

    def restore(self, snapshot: bytes) -> None:
        with self.core.lock:
            self.core.state = pickle.loads(snapshot)  # noqa: S301 - our own bytes, from `snapshot`

    def settle(self, timeout: float = 5.0) -> bool:
        """Wait for the webhook deliveries that are due; False when that takes too long."""
        return self.core.courier.settle(timeout)

    def close(self) -> None:
        """Stop delivering."""
        self.core.courier.close()

    # --- seeding -------------------------------------------------------------------------------------------------

    def add_audience(
        self, list_id: str, name: str, *, double_optin: bool = False, permissions: Mapping[str, str] | None = None
    ) -> None:
        """A further audience."""
        self.core.add_audience(list_id, name, double_optin=double_optin, permissions=permissions)

    def add_merge_field(self, tag: str, name: str, kind: str = "text", *, required: bool = False) -> None:
        """A further audience field, beside those every audience starts with."""
        with self.core.lock:
            fields = self._audience.merge_fields
            merge_id = max(fields, default=0) + 1
            fields[merge_id] = MergeField(merge_id, tag, name, kind, required=required, display_order=merge_id + 1)

    def add_member(
        self,
        email: str,
        status: str,
        *,
        merge_fields: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        opted_out_by_person: bool = False,
        forgotten: bool = False,
        timestamp: datetime | None = None,
    ) -> None:
        """A contact as it is found, in any status ("archived" too). ``forgotten``: erased, never to come back."""
        with self.core.lock:
            audience, act = self._audience, self._quiet(timestamp)
            if forgotten:
                audience.forgotten.add(hash_of(email))
                return
            if hash_of(email) in audience.members:
                raise ValueError(f"{email} is in the audience already")
            member = changes.new_member(self.core, audience, email.strip(), act)
            known = {field.tag for field in audience.merge_fields.values()}
            member.merge_fields.update({tag: value for tag, value in (merge_fields or {}).items() if tag in known})
            why = changes.BY_PERSON if opted_out_by_person else changes.BY_ADMIN
            changes.set_status(self.core, audience, member, status, act, why=why)
            member.compliance = opted_out_by_person or status == "cleaned"
            member.timestamp_signup = act.at
            member.timestamp_opt = act.at if status in ("subscribed", "unsubscribed", "cleaned") else None
            for tag in tags:
                changes.add_tag(self.core, audience, member, tag, act, starts=False)

    def add_journey(
        self,
        journey_id: int,
        name: str,
        *,
        step_id: int | None = None,
        tag: str | None = None,
        merge_field: str | None = None,
        event: str | None = None,
        exit_tag: str | None = None,
        reentry: bool = False,
        paused: bool = False,
    ) -> None:
        """A flow with one e-mail, one or more starting points and perhaps an exit condition.

        ``step_id`` is its Customer Journeys API step; ``merge_field`` is ``TAG`` (any change) or ``TAG=value``.
        """
        with self.core.lock:
            campaign = self._new_campaign(name, None, "automation-email")
            self.core.state.journeys[journey_id] = Journey(
                journey_id,
                name,
                self.core.default_audience,
                campaign.id,
                step_id=step_id,
                tag=tag,
                merge_field=merge_field,
                event=event,
                exit_tag=exit_tag,
                reentry=reentry,
                paused=paused,
            )
            act, audience = self.core.act("user"), self.core.state.audiences[self.core.default_audience]
            for one in filter(None, (tag, exit_tag)):  # the flow builder chooses among tags, or makes one
                changes.tag_for(self.core, audience, one, act)

    def pause_journey(self, journey_id: int, *, paused: bool = True) -> None:
        with self.core.lock:
            self.core.state.journeys[journey_id].paused = paused

    def add_campaign(self, title: str, send_time: datetime) -> str:
        """A regular campaign that was sent; its id."""
        with self.core.lock:
            return self._new_campaign(title, send_time, "regular").id

    def add_campaign_activity(
        self,
        campaign_id: str,
        email: str,
        action: str,
        at: datetime,
        url: str | None = None,
        bounce_type: str | None = None,
        ip: str = PERSON_IP,
    ) -> None:
        """One "sent", "open", "click", "bounce" or "unsub" of one contact. Changes no status."""
        with self.core.lock:
            member = self._audience.members[hash_of(email)]
            activity = Activity(action, at, campaign_id, url or "", bounce_type or "", ip)
            self.core.state.happened(member.contact_id, activity)

    def scanner_clicks(self, campaign_id: str, email: str, at: datetime, urls: Iterable[str]) -> None:
        """A security scanner opens a mail and follows all its links, one a second."""
        self.add_campaign_activity(campaign_id, email, "open", at, ip=SCANNER_IP)
        for second, url in enumerate(urls):
            self.add_campaign_activity(campaign_id, email, "click", at + timedelta(seconds=second), url, ip=SCANNER_IP)

    def proxy_opens(self, campaign_id: str, email: str, at: datetime) -> None:
        """A mail client's privacy proxy fetches the images of a mail that nobody opened."""
        self.add_campaign_activity(campaign_id, email, "open", at, ip=PROXY_IP)

    def add_automation(self, workflow_id: str, title: str, email_id: str) -> None:
        """A classic automation of type "api"."""
        with self.core.lock:
            self.core.state.automations[workflow_id] = Automation(
                workflow_id, title, email_id, self.core.default_audience, self.core.now()
            )

    def _quiet(self, at: datetime | None) -> Act:
        act = self.core.act("admin", silent=True)
        if at is not None:
            act.at = at.replace(microsecond=0)
        return act

    def _new_campaign(self, title: str, send_time: datetime | None, kind: str) -> Campaign:
        number = self.core.state.next("campaign")
        campaign = Campaign(
            code_of("campaign", number)[:10],
            number,
            title,
            self.core.default_audience,
            kind,
            created=send_time or self.core.now(),
            send_time=send_time,
        )
        self.core.state.campaigns[campaign.id] = campaign
        return campaign

    # --- what people do themselves -------------------------------------------------------------------------------

    def member(self, email: str) -> Member:
        """The contact with this address; KeyError when there is none. To look at, not to change."""
        return self._audience.members[hash_of(email)]

    def person_unsubscribes(self, email: str, campaign_id: str | None = None) -> None:
        """A person's own unsubscribe, perhaps from a mail: no API call can undo it."""
        with self.core.lock:
            audience, act = self._audience, self.core.act("user")
            member = self.member(email)
            was_subscribed = member.status == "subscribed"
            if was_subscribed:
                about = {"action": "unsub", "reason": "manual", **webhooks.about(audience, member)}
                if campaign_id:
                    about["campaign_id"] = campaign_id
                webhooks.announce(self.core, audience, "unsubscribe", about, act)
            act.silent = True  # told above, with the campaign
            changes.set_status(self.core, audience, member, "unsubscribed", act, why=changes.BY_PERSON)
            member.compliance = True
            if campaign_id:
                self.core.state.happened(member.contact_id, Activity("unsub", act.at, campaign_id))

    def person_confirms(self, email: str) -> None:
        """A pending contact follows the link of the confirmation mail: subscribed, whatever was before."""
        with self.core.lock:
            member = self.member(email)
            if member.status == "pending":
                changes.set_status(self.core, self._audience, member, "subscribed", self.core.act("user"))

    def mail_bounces(self, email: str, campaign_id: str | None = None) -> None:
        """A hard bounce: the contact is cleaned."""
        with self.core.lock:
            member, act = self.member(email), self.core.act("admin")
            if campaign_id:
                self.core.state.happened(member.contact_id, Activity("bounce", act.at, campaign_id, bounce_type="hard"))
            changes.set_status(self.core, self._audience, member, "cleaned", act, why="hard")
            member.compliance = True


__all__ = ["Mailchimp", "Settings"]
