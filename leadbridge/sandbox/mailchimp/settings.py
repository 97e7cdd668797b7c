"""What can be set about the stand-in."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Settings:
    """Choices where the service is not documented (vendor page, 17), and limits. May be changed at any time."""

    # Trigger for somebody who may not enter: "ignore" answers 204 and does nothing, "reject" answers 400.
    journeys_refuse: Literal["ignore", "reject"] = "ignore"
    journeys_readable: bool = False  # the undocumented GETs below /customer-journeys
    journeys_tell_conditions: bool = True  # those GETs show exit conditions, and more of starts than tags
    journey_email_activity: bool = True  # email-activity of a journey's e-mail; off: 404
    # Do tags set at creation, by batch list or by segment calls start journeys?
    other_tag_paths_start_journeys: bool = False
    feed_newest_first: bool = True  # the order of a contact's activity-feed; off: the oldest first
    since_keeps_idle: bool = False  # email-activity with `since` keeps members who did nothing
    consents: bool = True  # whoever is asked at the consent page says yes
    sign_webhooks: bool = True
    fake_domains: frozenset[str] = frozenset({"example.com"})  # "looks fake or invalid"
    merge_field_limit: int = 30
    max_in_flight: int = 10
    batch_page: int = 500  # rows per page of a batched GET that gives no `count`
    batch_seconds: float = 30.0  # a batch nobody polls runs after this long all the same
    webhook_deadline: float = 10.0
    webhook_retries: tuple[float, ...] = (30, 60, 120, 300, 600, 1200, 2190)  # seconds; 75 minutes in all
