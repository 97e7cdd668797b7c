"""Words to people at the company, through the library apprise: chat, e-mail, webhook.

Each alert is tried until it is told, with growing pauses; after the last try it is set down as failed and shown. A
round spends a few seconds on alerts at most, so that a slow chat keeps nobody waiting (G22).
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from leadbridge import clock, logs
from leadbridge.config.hand_off import HandOff, unusable
from leadbridge.store import alerts
from leadbridge.store.engine import Store
from nurture.hand_off import HAND_OFF
from sync import retry

log = logs.logger(__name__)

AT_ONCE = 20
LONGEST = 10.0
"""Seconds a round spends on alerts."""

CONNECT, ANSWER = 3.0, 5.0
"""Seconds a receiver has to take the connection, and to answer."""


@dataclass(frozen=True, slots=True)
class Text:
    """What an alert says."""

    title: str
    body: str


Render = Callable[[Sequence[alerts.Alert]], Mapping[int, tuple[Text, Sequence[SecretStr]]]]
"""Alerts to what each says, and the addresses it may go to; those that need not be told any more are left out."""


def channels(config: HandOff, rule: str, route: str | None, kind: str) -> Sequence[SecretStr]:
    """Where an alert of this rule, route and kind goes."""
    own: Sequence[SecretStr]
    if rule == HAND_OFF:
        own = next((one.alert for one in config.routes if one.name == route), ())
        if kind == alerts.OVERDUE and config.sla.escalate:
            return config.sla.escalate
    else:
        own = next((one.alert for one in config.care if one.name == rule), ())
    return own or config.alert


def send(store: Store, config: HandOff, render: Render, *, owner: str) -> tuple[int, int]:
    """Tell what is to be told. Returns how many were told, and how many could not be."""
    begun, told, missed = time.monotonic(), 0, 0
    silent: set[str] = set()  # addresses that did not answer in this round
    with store.writing() as tx:
        claims = alerts.claim(tx, limit=AT_ONCE, owner=owner, now=clock.now())
    texts = render(claims) if claims else {}
    for claim in claims:
        problem, where = "nobody needs to be told any more", ""
        if claim.id in texts:
            text, places = texts[claim.id]
            address = places[claim.channel].get_secret_value() if claim.channel < len(places) else ""
            if address in silent or time.monotonic() - begun > LONGEST:
                problem = "waits for its turn"
            else:
                where, problem = deliver(address, text, config.alert_hosts)
                if problem:
                    silent.add(address)
        _settle(store, claim, problem, where)
        told += not problem
        missed += bool(problem)
    return told, missed


def _settle(store: Store, claim: alerts.Alert, problem: str, where: str) -> None:
    now = clock.now()
    with store.writing() as tx:
        if not problem:
            alerts.sent(tx, [(claim, where)], now)
            return
        over = problem.startswith("nobody needs")
        again = (
            None
            if over
            else now + timedelta(seconds=15)
            if "its turn" in problem
            else retry.next_try(claim.attempts, now)
        )
        alerts.failed(tx, [(claim, problem, again)], now)
    if again is None and not over:
        log.error("alert given up", alert=claim.id, why=problem)


def deliver(address: str, text: Text, hosts: Sequence[str]) -> tuple[str, str]:
    """Send one alert to one address. Returns (kind of place, what went wrong or ""). Neither holds the address."""
    import apprise  # heavy, and needed by few

    if not address:
        return "", "its address is not configured any more"
    for problem in unusable([SecretStr(address)], hosts):
        return "", problem
    logs.hide(address)
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log addresses
    place = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if not isinstance(place, apprise.NotifyBase):
        return "", "apprise cannot read the address"
    place.redirects = False  # the address is allowed, where it points to is not known (G29)
    place.socket_connect_timeout, place.socket_read_timeout = CONNECT, ANSWER
    told = apprise.Apprise()
    told.add(place)
    try:
        # Plain text, by name: without it e-mail and Telegram take the words for HTML, and chats for their markup (G28).
        done = told.notify(body=inert(text.body), title=inert(text.title), body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001 - plug-ins of many hands; an alert that breaks must not stop the round
        return "", f"apprise failed: {type(error).__name__}"
    return (str(place.service_name), "") if done else ("", f"{place.service_name} did not take it")


_CALLS_ALL = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)", re.IGNORECASE)


def inert(text: str) -> str:
    """The words such that no chat draws a link or calls everybody by them: a lead may have named themselves `<!here>`.

    Brackets of links and mentions become others that look alike; behind the @ of a mention comes a space of no width.
    """
    plain = text.replace("<", "‹").replace(">", "›").replace("](", "] (")
    return _CALLS_ALL.sub("@\u200b", plain)
