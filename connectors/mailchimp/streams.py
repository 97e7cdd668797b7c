"""What contacts did with campaigns (vendors/mailchimp.md section 10).

One question per campaign, each campaign with a cursor of its own: a campaign sent long ago still gathers clicks.
Reports trail, so each question reaches back over the last one. Mail of journeys is not in the list of campaigns; where
the account tells which campaigns it is, it is followed like them (`feeds.py`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from connectors.base import Page, Progress
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.batches import GIVE_UP, MOST, Batches, Read, Result
from connectors.mailchimp.feeds import Feeds
from connectors.mailchimp.mapping import activities_of
from connectors.mailchimp.wire import CampaignRow, Campaigns, EmailActivity, EmailRow, Refused, row
from connectors.watermark import instant_in
from leadbridge import clock
from leadbridge.types import Activity

PAGE = 500  # a thousand has produced 504s
CURSOR = "campaign:"
BATCH = "batch"
EMAIL_FIELDS = ("email_id", "email_address", "activity")
NO_REPORT = "campaign without a report"

FEW = 4
"""So many campaigns cost no more calls one by one than by a batch."""

_LIST_PAGE = 1000


class Streams:
    """Reads the engagement of one audience."""

    def __init__(self, api: Api, feeds: Feeds, audience: str, *, history: timedelta, lookback: timedelta) -> None:
        self._api = api
        self._feeds = feeds
        self._batches = Batches(api)
        self._audience = audience
        self._history = history
        self._lookback = lookback
        self._untold: set[str] = set()  # campaigns without a report, seen by this process

    def tells_of_journeys(self) -> bool:
        """Does `campaigns` bring what people did with the mail of journeys?"""
        mails = self._feeds.journey_mails()
        return mails is not None and not self._untold & {mail.id for mail in mails}

    def campaigns(self, progress: Progress | None) -> Iterator[Page[Activity]]:
        """See `Crm.pull_activities`.

        Few campaigns are asked one by one, many by one batch: one call to send it and a few to see it through, whatever
        their number. What a batch sent by an earlier pull found is fetched first; when it is not finished, the next
        pull looks again.
        """
        progress = dict(progress or {})
        if BATCH in progress:
            yield from self._collect(progress, self._campaigns())
            return
        if progress.get("campaign"):  # an interrupted round is ended first, and then brought up to date
            for page in self._round(progress, self._campaigns()):
                progress = dict(page.progress)
                yield page
        campaigns = self._campaigns()
        if len(campaigns) <= FEW:
            yield from self._round(progress, campaigns)
            return
        page = self._sent_off(progress, campaigns)
        yield page
        yield from self._collect(page.progress, campaigns)

    def _campaigns(self) -> list[CampaignRow]:
        """All mail to follow, oldest first; the mail of journeys, which never ends, comes last."""
        sent = self._sent_since(clock.now() - self._history)
        return [*sent, *(self._feeds.journey_mails() or ())]

    # --- by one batch ------------------------------------------------------------------------------------------------

    def _sent_off(self, progress: Progress, campaigns: Sequence[CampaignRow]) -> Page[Activity]:
        """Send a batch that asks for those longest not asked for. Nothing is read yet, but the batch is known."""
        cursors = _cursors(progress, campaigns)
        begun = clock.now()
        todo = sorted(campaigns, key=lambda one: cursors.get(CURSOR + one.id, ""))[:MOST]
        batch = self._batches.submit([self._question(one.id, cursors) for one in todo])
        return Page((), {**cursors, BATCH: batch, "begun": begun.isoformat()})

    def _question(self, campaign: str, cursors: Mapping[str, str]) -> Read:
        fields = ",".join([*(f"emails.{name}" for name in EMAIL_FIELDS), "total_items"])
        cursor = instant_in(cursors, CURSOR + campaign)
        since = {"since": _text(cursor - self._lookback)} if cursor is not None else {}
        return Read(campaign, f"/reports/{campaign}/email-activity", {"fields": fields, **since})

    def _collect(self, progress: Progress, campaigns: Sequence[CampaignRow]) -> Iterator[Page[Activity]]:
        """What the batch found. Until all of it is stored, progress still names the batch; repeats do no harm.

        A campaign's cursor moves when every page of it was answered, so what failed is asked for again.
        """
        cursors = _cursors(progress, campaigns)
        begun = instant_in(progress, "begun") or clock.now()
        try:
            batch = self._batches.finished(progress[BATCH])
        except Refused as refused:
            if refused.status != 404:
                raise
            yield Page((), cursors, {"batch that Mailchimp lost": 1})
            return
        if batch is None:
            if clock.now() - begun > GIVE_UP:
                yield Page((), cursors, {"batch that never finished": 1})
            return
        known = {campaign.id: campaign for campaign in campaigns}
        answered: set[str] = set()
        failed: set[str] = set()
        standing = {**cursors, BATCH: progress[BATCH], "begun": begun.isoformat()}
        for results in self._batches.results(batch):
            skipped: Counter[str] = Counter()
            activities: list[Activity] = []
            for result in results:
                campaign = known.get(result.operation, CampaignRow(id=result.operation))
                found = _told(result)
                if isinstance(found, EmailActivity):
                    answered.add(campaign.id)
                    page = _page(campaign, found, {})
                    activities += page.rows
                    skipped.update(page.skipped)
                else:
                    skipped[found] += 1
                    (answered if found == NO_REPORT else failed).add(campaign.id)
                    self._untold |= {campaign.id} if found == NO_REPORT else set()
            yield Page(activities, standing, skipped)
        cursors |= {CURSOR + one: begun.isoformat() for one in answered - failed if one in known}
        yield Page((), cursors)

    # --- one by one --------------------------------------------------------------------------------------------------

    def _round(self, progress: Mapping[str, str], campaigns: Sequence[CampaignRow]) -> Iterator[Page[Activity]]:
        """Every campaign once, beginning where `progress` stands. Progress: cursors, and the place in the round."""
        ids = [campaign.id for campaign in campaigns]
        cursors = _cursors(progress, campaigns)
        standing = progress.get("campaign", "")
        first = ids.index(standing) if standing in ids else 0
        for n, campaign in enumerate(campaigns[first:], first):
            resumed = campaign.id == standing
            begun = (instant_in(progress, "begun") if resumed else None) or clock.now()
            offset = int(progress.get("offset") or 0) if resumed else 0
            following = {"campaign": ids[n + 1]} if n + 1 < len(ids) else {}
            for page in self._campaign(campaign, cursors, begun, offset):
                yield page if "campaign" in page.progress else replace(page, progress={**page.progress, **following})
            cursors[CURSOR + campaign.id] = begun.isoformat()
        if not campaigns:
            yield Page((), cursors)

    def _campaign(
        self, campaign: CampaignRow, cursors: Mapping[str, str], begun: datetime, offset: int
    ) -> Iterator[Page[Activity]]:
        cursor = instant_in(cursors, CURSOR + campaign.id)
        since = cursor - self._lookback if cursor is not None else None
        done = {**cursors, CURSOR + campaign.id: begun.isoformat()}
        more = True
        while more:
            found = self._activity(campaign.id, since, offset)
            if found is None:
                self._untold.add(campaign.id)
                yield Page((), done, {NO_REPORT: 1})
                return
            offset += PAGE
            more = len(found.emails) == PAGE and offset < found.total
            place = {"campaign": campaign.id, "begun": begun.isoformat(), "offset": str(offset)}
            yield _page(campaign, found, {**cursors, **place} if more else done)

    def _sent_since(self, since: datetime) -> list[CampaignRow]:
        """Campaigns of this audience sent since then, oldest first."""
        found: list[CampaignRow] = []
        while True:
            offset = len(found)

            def call(sdk: Sdk, offset: int = offset) -> Any:
                return sdk.campaigns.list(
                    status="sent",
                    list_id=self._audience,
                    since_send_time=since.isoformat(timespec="seconds"),
                    sort_field="send_time",
                    sort_dir="ASC",
                    count=_LIST_PAGE,
                    offset=offset,
                    fields=["campaigns.id", "campaigns.settings", "total_items"],
                )

            page = self._api.ask("campaigns.list", Campaigns, call)
            found += page.campaigns
            if not page.campaigns or len(found) >= page.total:
                return found

    def _activity(self, campaign_id: str, since: datetime | None, offset: int) -> EmailActivity | None:
        """A page of the campaign's report; None when it has none."""
        window = {"since": _text(since)} if since is not None else {}

        def call(sdk: Sdk) -> Any:
            fields = [f"emails.{name}" for name in EMAIL_FIELDS]
            return sdk.reports.get_email_activity_for_campaign(
                campaign_id, count=PAGE, offset=offset, fields=[*fields, "total_items"], **window
            )

        try:
            return self._api.ask("reports.email_activity", EmailActivity, call)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None


def _cursors(progress: Mapping[str, str], campaigns: Sequence[CampaignRow]) -> dict[str, str]:
    """The cursors of campaigns that are still followed."""
    names = {CURSOR + campaign.id for campaign in campaigns}
    return {name: at for name, at in progress.items() if name in names}


def _told(result: Result) -> EmailActivity | str:
    """A page of a campaign's report, or why there is none."""
    if result.status == 404:
        return NO_REPORT
    try:
        if result.status == 200:
            return EmailActivity.model_validate_json(result.response)
    except ValidationError:
        return "unreadable report"
    return "report that failed"


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _page(campaign: CampaignRow, found: EmailActivity, progress: Progress) -> Page[Activity]:
    skipped: Counter[str] = Counter()
    activities: list[Activity] = []
    for raw in found.emails:
        contact = row(EmailRow, raw)
        for one in activities_of(campaign, contact) if contact else ["unreadable contact"]:
            if isinstance(one, str):
                skipped[one] += 1
            else:
                activities.append(one)
    return Page(activities, progress, skipped)
