"""Mail of journeys: which campaigns they are, and what one contact did with any mail (vendors/mailchimp.md 9 and 10).

No listing shows the mail of journeys. Calls that Mailchimp does not document tell which campaigns they are, on accounts
that have them; where they do not, the feed of each contact that leadbridge enrolled tells the same.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, ValidationError

from connectors.base import Page, Progress
from connectors.batches import in_batches
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.batches import GIVE_UP, MOST, Batches, Read, Result
from connectors.mailchimp.mapping import FEED_ACTIONS, feed_activity, hash_of
from connectors.mailchimp.wire import CampaignRow, FeedRow, Id, Refused, Shape, Text, Titles, row
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, VendorError
from leadbridge.types import Activity

log = logs.logger(__name__)

LOOK_AGAIN = timedelta(days=1)
"""Journeys change seldom: their mail is looked for once in this time."""

FEED_PAGE = 1000

FEW = 10
"""So many contacts cost no more calls one by one than by a batch."""

BATCH, BEGUN, LAST, DONE = "batch", "begun", "last", "done"
"""In the progress of a reading: a batch that was begun, when, the last contact it reads; the last one wholly read."""

_MAIL_STEP = "action-send_email"


class JourneyRow(Shape):
    id: Id
    name: Text = Field("", alias="journey_name")
    audience: Text = Field("", alias="list_id")
    status: Text = ""
    lets_in_again: bool | None = Field(None, alias="can_contacts_reenter")
    exit: Any = Field(None, alias="journey_wide_exit_condition")  # of what shape nobody says


class JourneysPage(Shape):
    journeys: list[dict[str, Any]]


class StartTag(Shape):
    name: Text = Field("", alias="tag_name")


class StartDetails(Shape):
    tag: StartTag = StartTag()


class StepRow(Shape):
    id: Id
    type: Text = Field("", alias="step_type")
    details: Any = Field(None, alias="trigger_details")  # of other starts than tags of what shape nobody says

    @property
    def start(self) -> StartDetails:
        """What a start by tag says of itself; empty for others."""
        try:
            return StartDetails.model_validate(self.details)
        except ValidationError:
            return StartDetails()


class StepsPage(Shape):
    steps: list[dict[str, Any]]


class StepMail(Shape):
    settings: Titles = Titles()


class StepDetails(Shape):
    email: StepMail = StepMail()


class StepSettings(Shape):
    campaign: Text = Field("", alias="campaign_id")


class Step(Shape):
    """One step in full."""

    settings: StepSettings = Field(StepSettings(), alias="action_settings")
    details: StepDetails = Field(StepDetails(), alias="action_details")


class FeedPage(Shape):
    activity: list[dict[str, Any]]


class Feeds:
    """The journeys' mail of one audience."""

    def __init__(self, api: Api, audience: str, simultaneous: int) -> None:
        self._api = api
        self._audience = audience
        self._simultaneous = simultaneous
        self._batches = Batches(api)
        self._lock = threading.Lock()
        self._looked_at: datetime | None = None
        self._mails: list[CampaignRow] | None = None

    def journey_mails(self) -> list[CampaignRow] | None:
        """The campaigns that journeys of this audience send; None when the account does not tell."""
        with self._lock:
            if self._looked_at is None or clock.now() - self._looked_at >= LOOK_AGAIN:
                self._mails = self._look()
                self._looked_at = clock.now()
            return self._mails

    def _look(self) -> list[CampaignRow] | None:
        try:
            return [mail for journey in self._journeys() for mail in self._mails_of(journey)]
        except (FeatureMissing, Refused):
            return None
        except VendorError as error:  # never depended on: what leadbridge enrolled is followed all the same
            log.warning("journeys not read", vendor=error.vendor, why=error.problem)
            return None

    def journeys(self) -> list[tuple[JourneyRow, list[StepRow]]] | None:
        """This audience's journeys with their steps; None when the account does not tell."""
        try:
            return [(one, self._steps(one)) for one in self._journeys()]
        except (FeatureMissing, Refused):
            return None

    def _steps(self, journey: JourneyRow) -> list[StepRow]:
        page = self._api.ask("journeys.steps", StepsPage, _get(f"/customer-journeys/journeys/{journey.id}/steps"))
        return [found for raw in page.steps if (found := row(StepRow, raw)) is not None]

    def _journeys(self) -> list[JourneyRow]:
        page = self._api.ask("journeys.list", JourneysPage, _get("/customer-journeys/journeys"))
        rows = [found for raw in page.journeys if (found := row(JourneyRow, raw)) is not None]
        return [one for one in rows if one.audience in ("", self._audience)]

    def _mails_of(self, journey: JourneyRow) -> Iterator[CampaignRow]:
        path = f"/customer-journeys/journeys/{journey.id}/steps"
        for one in self._steps(journey):
            if one.type != _MAIL_STEP:
                continue
            step = self._api.ask("journeys.step", Step, _get(f"{path}/{one.id}"))  # the list abbreviates
            if step.settings.campaign:
                titles = Titles(title=journey.name, subject_line=step.details.email.settings.subject)
                yield CampaignRow(id=step.settings.campaign, settings=titles, journey=journey.name)

    def read(
        self, emails: Sequence[str], since: datetime, progress: Progress | None = None
    ) -> Iterator[Page[Activity]]:
        """See `EmailPlatform.read_activities`. By batches of 500; a call for each of those whom no batch told of,
        because it was lost or never finished, or they did very much.

        In the order of the contacts' hashes. Progress: up to which all is read, and the batch that reads on from there.
        """
        by_hash = {hash_of(email): email for email in emails}
        place = dict(progress or {})
        todo = sorted(one for one in by_hash if one > place.get(DONE, ""))
        while todo:
            if BATCH not in place and len(todo) <= FEW:
                yield from self._singly([by_hash[one] for one in todo], since, place)
                break
            if BATCH not in place:
                batch = self._batches.submit([self._question(one) for one in todo[:MOST]])
                place |= {BATCH: batch, LAST: todo[:MOST][-1], BEGUN: clock.now().isoformat()}
                yield Page((), place)
            told = self._told(place, by_hash, since)
            if told is None:
                return  # the batch is not finished: the next pull looks again
            part = [one for one in todo if one <= place[LAST]]
            todo = todo[len(part) :]
            yield Page([one for rows in told.values() for one in rows], place)
            yield from self._singly([by_hash[one] for one in part if one not in told], since, place)
            place = {DONE: place[LAST]}
            yield Page((), place)
        yield Page((), {})

    def _question(self, contact: str) -> Read:
        params = {"count": str(FEED_PAGE), "activity_filters": ",".join(FEED_ACTIONS)}
        return Read(contact, f"/lists/{self._audience}/members/{contact}/activity-feed", params)

    def _told(self, place: Progress, by_hash: Mapping[str, str], since: datetime) -> dict[str, list[Activity]] | None:
        """What each contact did, by hash, as far as the batch tells; None while it may still tell."""
        try:
            found = self._batches.finished(place[BATCH])
        except Refused as refused:
            if refused.status != 404:
                raise
            return {}
        if found is None:
            begun = instant_in(place, BEGUN)
            return None if begun is not None and clock.now() - begun <= GIVE_UP else {}
        told: dict[str, list[Activity]] = {}
        for results in self._batches.results(found):
            for result in results:
                email = by_hash.get(result.operation)
                if email is not None and (rows := _told(email, result)) is not None:
                    told[result.operation] = [one for one in rows if one.at >= since]
        return told

    def _singly(self, emails: Sequence[str], since: datetime, progress: Progress) -> Iterator[Page[Activity]]:
        with ThreadPoolExecutor(self._simultaneous) as pool:
            for part in in_batches(emails, self._simultaneous * 4):
                found = list(pool.map(lambda email: self._feed(email, since), part))
                yield Page([one for rows in found for one in rows], progress)

    def _feed(self, email: str, since: datetime) -> list[Activity]:
        """What one contact did since then. Newest first is not promised: only a page that shows it ends this early."""
        found: list[Activity] = []
        offset, more = 0, True
        while more:

            def call(sdk: Sdk, offset: int = offset) -> Any:
                return sdk.lists.get_list_member_activity_feed(
                    self._audience,
                    hash_of(email),
                    count=FEED_PAGE,
                    offset=offset,
                    activity_filters=list(FEED_ACTIONS),
                )

            try:
                page = self._api.ask("members.activity_feed", FeedPage, call)
            except Refused as refused:
                if refused.status == 404:
                    return found
                raise
            told = _activities(email, page)
            found += [one for one in told if one.at >= since]
            offset += FEED_PAGE
            at = [one.at for one in told]
            past = at and at[0] > at[-1] and at == sorted(at, reverse=True) and at[-1] < since
            more = len(page.activity) == FEED_PAGE and not past
        return found


def _told(email: str, result: Result) -> list[Activity] | None:
    """All that a contact did; None when this result does not tell all of it."""
    if result.status == 404:
        return []
    try:
        page = FeedPage.model_validate_json(result.response)
    except ValidationError:
        return None
    return _activities(email, page) if result.status == 200 and len(page.activity) < FEED_PAGE else None


def _activities(email: str, page: FeedPage) -> list[Activity]:
    items = [item for raw in page.activity if (item := row(FeedRow, raw)) is not None]
    return [one for item in items if (one := feed_activity(email, item)) is not None]


def _get(path: str) -> Any:
    """A call of an address that the client has no method for."""

    def call(sdk: Sdk) -> Any:
        return sdk.client.call_api(path, "GET", query_params=[("count", "1000")])

    return call
