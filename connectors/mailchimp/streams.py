"""What contacts did with campaigns (vendors/mailchimp.md section 10).

One question per campaign, paged, each campaign with a cursor of its own: a campaign sent long ago still gathers
clicks. Reports trail, so each question reaches back over the last one. Mail of journeys is not in the list of
campaigns and is not followed here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Page, Progress
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.mapping import activities_of
from connectors.mailchimp.wire import CampaignRow, Campaigns, EmailActivity, EmailRow, Refused, row
from connectors.watermark import instant_in
from leadbridge import clock
from leadbridge.types import Activity

PAGE = 500  # a thousand has produced 504s
CURSOR = "campaign:"
_LIST_PAGE = 1000


class Streams:
    """Reads the engagement of one audience."""

    def __init__(self, api: Api, audience: str, *, history: timedelta, lookback: timedelta) -> None:
        self._api = api
        self._audience = audience
        self._history = history
        self._lookback = lookback

    def campaigns(self, progress: Progress | None) -> Iterator[Page[Activity]]:
        """See `Crm.pull_activities`. An interrupted round is ended first, and then brought up to date."""
        progress = dict(progress or {})
        if progress.get("campaign"):
            for page in self._round(progress):
                progress = dict(page.progress)
                yield page
        yield from self._round(progress)

    def _round(self, progress: Mapping[str, str]) -> Iterator[Page[Activity]]:
        """Every campaign once, beginning where `progress` stands. Progress: cursors, and the place in the round."""
        campaigns = self._sent_since(clock.now() - self._history)
        ids = [campaign.id for campaign in campaigns]
        cursors = {name: at for name, at in progress.items() if name.removeprefix(CURSOR) in ids}
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
                yield Page((), done, {"campaign without a report": 1})
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
        window = {"since": since.isoformat(timespec="seconds")} if since is not None else {}

        def call(sdk: Sdk) -> Any:
            fields = [f"emails.{name}" for name in ("email_id", "email_address", "activity")]
            return sdk.reports.get_email_activity_for_campaign(
                campaign_id, count=PAGE, offset=offset, fields=[*fields, "total_items"], **window
            )

        try:
            return self._api.ask("reports.email_activity", EmailActivity, call)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None


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
