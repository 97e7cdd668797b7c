"""The part of the file that says when a person at the company is to act, who, how soon, and what if they do not."""

from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import DAY, Name, OneOrMany, Section, across
from leadbridge.types import LifecycleStage

HOUR = 3600.0

STANDINGS = ("waiting", "open", "accepted", "touched", "won", "rejected", "lost", "given_up")
"""What the fact `hand_off` may be: where a hand-off stands, and how it ended while that still counts."""

Channels = Annotated[list[SecretStr], OneOrMany()]
"""Addresses as the library apprise writes them: a chat's webhook, mailto://…, jsons://host/path."""

SERVICES = frozenset({"slack", "discord", "msteams", "workflows", "gchat", "tgram", "pagerduty", "opsgenie"})
"""Schemes of apprise that reach one vendor's own hosts and no other."""

NATIVE = ("hooks.slack.com", "discord.com", "discordapp.com", ".webhook.office.com", ".logic.azure.com",
          "chat.googleapis.com")  # fmt: skip
"""Hosts whose webhook addresses apprise knows as they are copied; one with a dot in front stands for all below it."""

SEALED = frozenset({"jsons", "forms", "xmls", "mailtos", "mmosts", "rockets", "ntfys", "matrixs", "gotifys"})
OPEN = frozenset({"json", "form", "xml", "mailto", "mmost", "rocket", "ntfy", "matrix", "gotify"})
"""Schemes that reach the host they name: with TLS, and without, which is for this machine only."""


def unusable(channels: Iterable[SecretStr], hosts: Iterable[str]) -> Iterator[str]:
    """What is wrong with each address that must not be used (reliability G29). Shows no address: they hold secrets."""
    allowed = {host.casefold() for host in hosts}
    for place, channel in enumerate(channels, 1):
        problem = _unusable(channel.get_secret_value(), allowed)
        if problem:
            yield f"address {place} {problem}"


def _unusable(address: str, allowed: set[str]) -> str:
    try:
        parts = urlsplit(address)
        host, options = (parts.hostname or "").casefold(), {key.casefold() for key in parse_qs(parts.query)}
    except ValueError:
        return "cannot be read as an address"
    if options & {"verify", "redirect"}:
        return "switches a safety off; leave verify and redirect out"
    if parts.scheme in SERVICES:
        return ""
    if parts.scheme == "https" and any(host == one.lstrip(".") or host.endswith(one) for one in NATIVE):
        return ""
    if parts.scheme not in SEALED | OPEN:
        return "is of no kind that is known here; write jsons://host/path for a webhook of your own"
    named = {host, *(value.casefold() for value in parse_qs(parts.query).get("smtp", ()))}
    if missing := named - allowed:
        return f"names the host {min(missing)}, which is not under alert_hosts"
    if parts.scheme in OPEN and not named <= {"127.0.0.1", "localhost", "::1"}:
        return f"goes without TLS; write {parts.scheme}s://"
    return ""


class Task(Section):
    """The piece of work in the CRM."""

    within: Duration = Field(4 * HOUR, description="due this long after the hand-off")
    owner: Name | None = Field(None, description="field of ours that holds the CRM's id of the user who gets it")


class Route(Section):
    """Who receives: sales, partners, telephone. The first whose `when` holds and that has room gets the person."""

    name: str = Field(min_length=1, max_length=60, description="name in tasks and reports")
    when: When | None = Field(None, description="whom it takes; default: everybody")
    per_week: int | None = Field(None, ge=0, description="at most so many in any seven days; default: no limit")
    owner: str | None = Field(None, min_length=1, max_length=60, description="the CRM's id of the user who gets these")
    alert: Channels = Field(default=[], description="where to tell about these, instead of the general places")


class Sla(Section):
    """How soon somebody must have been in touch, and what happens otherwise."""

    touch: Duration = Field(4 * HOUR, description="first touch: task done, call, or meeting, this soon")
    accept: Duration | None = Field(None, description="accepted this soon (`accepted` says when it is)")
    again_every: Duration = Field(DAY, description="past its limit it is raised again this often")
    times: int = Field(3, ge=0, le=50, description="raised again so often at most")
    escalate: Channels = Field(default=[], description="where to raise it; default: where the hand-off was told")
    give_up_after: Duration = Field(
        30 * DAY, description="touched by nobody for so long, the person goes back to nurture"
    )


class Return(Section):
    """How a person comes back from sales."""

    when: When = Field(description="how the CRM shows it, such as {lead_status: {equals: UNQUALIFIED}}")
    reason: Name | None = Field(None, description="field of ours that holds the reason")
    rest: Duration = Field(14 * DAY, description="left in peace by nurture for so long")
    again_after: Duration = Field(90 * DAY, description="not handed over again before")


class Care(Section):
    """Somebody to look after a person although no sale is at hand: churn risk, a complaint, a question."""

    name: Name = Field(description="name in tasks, reports and conditions")
    when: When = Field(description="who needs it")
    task: Task | None = Field(Task.model_validate({"within": "1d"}), description="the task in the CRM")
    owner: str | None = Field(None, min_length=1, max_length=60, description="the CRM's id of the user who gets these")
    alert: Channels = Field(default=[], description="where to tell, besides the task")
    advice: str = Field("", max_length=300, description="what to do, in a sentence for the task")
    per_week: int = Field(50, ge=0, description="at most so many in any seven days; the others wait")
    cooldown: Duration = Field(60 * DAY, description="not again for the same person sooner")
    pause_nurture: bool = Field(False, description="no journey begins while this is open")
    touch: Duration = Field(2 * DAY, description="past this it is raised again")


class HandOff(Section):
    """What happens when a person is ready for sales."""

    on: LifecycleStage = Field(LifecycleStage.SQL, description="stage whose entering hands a person over")
    needs: dict[str, When] = Field(default={}, description="what else must hold, each with a name of its own")
    routes: list[Route] = Field(default=[], description="who receives, in order of priority; default: sales")
    per_week: int = Field(
        250, ge=0, description="at most so many in any seven days in all; the others wait, highest score first"
    )
    task: Task | None = Field(Task(), description="the task in the CRM")
    alert: Channels = Field(default=[], description="where to tell, besides the task")
    alert_hosts: list[str] = Field(
        default=[], description="hosts of your own that alerts may be sent to; those of well-known services need none"
    )
    cooldown: Duration = Field(30 * DAY, description="the same person is not handed over again sooner")
    pause_nurture: bool = Field(True, description="no journey begins while sales has the person")
    sla: Sla = Field(Sla(), description="how soon sales must have been in touch")
    accepted: When | None = Field(None, description="how the CRM shows that sales took the person on")
    rejected: Return | None = Field(None, description="how the CRM shows that sales did not want the person")
    lost: Return | None = Field(None, description="how the CRM shows that the opportunity was lost")
    care: list[Care] = Field(default=[], description="others whom somebody is to look after, such as customers at risk")

    @model_validator(mode="after")
    def _accepting(self) -> "HandOff":
        if self.sla.accept is not None and self.accepted is None:
            raise across("sla.accept needs accepted, which says how the CRM shows it", "sla", "accepted")
        return self

    @model_validator(mode="after")
    def _allowed_places(self) -> "HandOff":
        places = {"alert": self.alert, "sla.escalate": self.sla.escalate}
        places |= {f"routes, {route.name}: alert": route.alert for route in self.routes}
        places |= {f"care, {care.name}: alert": care.alert for care in self.care}
        for key, channels in places.items():
            for problem in unusable(channels, self.alert_hosts):
                raise across(f"{key}: {problem}", "alert", "sla", "routes", "care", "alert_hosts")
        return self

    @property
    def fields(self) -> list[str]:
        """Fields of ours that are named here outside conditions."""
        tasks = [self.task, *(care.task for care in self.care)]
        named = [task.owner for task in tasks if task] + [one.reason for one in (self.rejected, self.lost) if one]
        return [name for name in named if name]
