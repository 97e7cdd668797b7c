"""What a configuration says, in plain words: shown by `leadbridge check`. Holds no secret."""

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

from leadbridge.config.conditions import fields_of
from leadbridge.config.guards import Cap
from leadbridge.config.hand_off import HandOff
from leadbridge.config.nurture import Journey
from leadbridge.config.schema import Config, conditions_of
from leadbridge.config.scores import Rule, ScoreModel


def describe(config: Config) -> list[tuple[str, str]]:
    """(subject, what the file says about it), in the order of the file; every subject occurs once."""
    lines = [("store", _store(config.store)), *_queue(config.queue), *_connections(config)]
    unused = sorted(config.fields.keys() - _used(config))
    lines.append(("fields", f"{len(config.fields)} mapped" + (f"; in no rule: {', '.join(unused)}" if unused else "")))
    lines.append(("write back", ", ".join(config.write_back) or "nothing"))
    lines.append(("behaviour", ", ".join(config.behaviour) or "none"))
    lines.append(("questions", ", ".join(config.questions) or "none"))
    lines.append(("personas", ", ".join(config.personas) or "none"))
    for name, model in config.scores.items():
        kinds = Counter(_kind(rule) for rule in model.rules)
        told = _joined(f"{count} {kind}" for kind, count in kinds.items())
        categories = ", ".join(f"{key} {part.min:g} to {part.max:g}" for key, part in model.categories.items())
        grades = f"; grades {', '.join(model.grades)} by {model.grade_from}" if model.grades else ""
        lines.append((f"score {name}", f"{_count(len(model.rules), 'rule')} ({told}); {categories}{grades}"))
        lines += _trained(name, model)
    if config.company is not None:
        shared = ", ".join(f"{how} of {name}" for name, how in config.company.scores.items())
        lines.append(("company", f"{shared} over the people of one {config.company.by}"))
    drift = config.drift
    small = (
        f"a move by time of less than {drift.points:g} points, or of reasons alone, waits up to {_length(drift.wait)}"
    )
    lines.append(("drift", small if drift.points else "every move is written at once"))
    lines.append(("stages", ", ".join(stage.value for stage in config.stages) or "none"))
    lines.append(("buyer's journey", ", ".join(phase.value for phase in config.buyer_journey) or "none"))
    lines.append(("segments", ", ".join(config.segments) or "none"))
    nurture = config.nurture
    journeys = ", ".join(journey.name + _compared(journey) for journey in nurture.journeys)
    lines.append(("journeys", (journeys or "none") + ("" if nurture.enabled else "; switched off, nobody is mailed")))
    lines.append(("hand-off", _handing_over(config.hand_off)))
    lines += _warnings(config)
    guards = config.guards
    loosened = "; loosened on purpose" if guards.loosened_on_purpose else ""
    lines.append(("guards", f"an hour {_cap(guards.per_hour)}, a day {_cap(guards.per_day)}{loosened}"))
    public = f", reached at {config.web.public_url}" if config.web.public_url else ""
    lines.append(("web", f"listens on {config.web.host}:{config.web.port}{public}; {_page(config)}"))
    return lines


def _page(config: Config) -> str:
    """Who may see the page and the figures (`webhooks.dashboard.page.closed`)."""
    if config.web.status_password is not None:
        return "page and /metrics by password"
    host = urlsplit(config.web.public_url).hostname if config.web.public_url else "localhost"
    if host in ("localhost", "127.0.0.1", "::1"):
        return "page and /metrics for this machine only"
    return "page and /metrics closed until web.status_password is set"


def _trained(name: str, score: ScoreModel) -> list[tuple[str, str]]:
    """What a score's trained model is, and which rules it knows nothing of."""
    if (model := score.trained) is None:
        return []
    people, known = sum(one.people for one in model.looked), {one.rule for one in model.weights}
    told = f"{model.version}, learned {model.trained_at[:10]} with {people:,} people: who reaches {model.reaches}"
    new = [rule.name for rule in score.rules if rule.name not in known]
    return [(f"model of {name}", told + (f"; knows nothing of: {', '.join(new)}" if new else ""))]


def _warnings(config: Config) -> list[tuple[str, str]]:
    """What works, and would be safer otherwise."""
    journeys = config.nurture.journeys
    ways = config.nurture.ways
    bare = [name for name, way in ways.items() if way.mailchimp is not None and way.mailchimp.trigger is not None]
    no_exit = [name for name, way in ways.items() if way.exit_tag is None]
    found = []
    if bare:
        words = "started by a call that cannot be repeated; a tag or merge field can be proved and settled"
        found.append(("journeys to look at", f"{', '.join(bare)}: {words}"))
    if no_exit:
        words = "no exit_tag, so nobody can be taken out before the last mail"
        found.append(("journeys without a way out", f"{', '.join(no_exit)}: {words}"))
    if journeys and config.guards.quiet_hours is None:
        found.append(("quiet hours", "none: journeys begin at any time of day (guards.quiet_hours)"))
    return found


def _connections(config: Config) -> list[tuple[str, str]]:
    lines = []
    if hubspot := config.connections.hubspot:
        webhooks = "with webhooks" if hubspot.webhook_secret else "without webhooks"
        read = ", ".join(hubspot.activities) or "no activity"
        lines.append(("HubSpot", f"{hubspot.base_url} (API {hubspot.api_version}), {webhooks}; reads {read}"))
    if salesforce := config.connections.salesforce:
        place = salesforce.base_url or f"https://{salesforce.domain}.salesforce.com"
        objects, read = " and ".join(salesforce.objects), ", ".join(salesforce.activities) or "no activity"
        told = f", hears {salesforce.change_topic}" if salesforce.change_events else ""
        lines.append(("Salesforce", f"{place} (API {salesforce.api_version}), {objects}; reads {read}{told}"))
    if mailchimp := config.connections.mailchimp:
        place = mailchimp.base_url or "address from the key"
        webhooks = "with webhooks" if mailchimp.webhook_secret else "without webhooks"
        lines.append(("Mailchimp", f"audience {mailchimp.audience}, {place}, {webhooks}"))
    lines += [(name, "by a plugin") for name in config.connections.plugins]
    return lines or [("connections", "none")]


def _handing_over(given: HandOff | None) -> str:
    if given is None:
        return "none"
    routes = ", ".join(route.name for route in given.routes) or "sales"
    care = f"; care: {', '.join(one.name for one in given.care)}" if given.care else ""
    return f"at stage {given.on.value} to {routes}, in touch within {given.sla.touch / 3600:g} h{care}"


def _store(address: str) -> str:
    """Kind and place of the store, without user or password."""
    if address.startswith("sqlite"):
        return f"SQLite, {address.partition('://')[2].removeprefix('/') or 'in memory'}"
    found = re.fullmatch(r"[a-z+0-9]+://(?:.*@)?([^/?]*)/?([^?]*).*", address)
    host, database = found.groups() if found else ("", "")
    return f"PostgreSQL, database {database or 'by default'} at {host or 'this machine'}"


def _queue(address: str | None) -> list[tuple[str, str]]:
    """Kind and place of the queue, without user or password."""
    if address is None:
        return []
    scheme, _, rest = address.partition("://")
    place = rest.rpartition("@")[2]
    return [("queue", f"{'Redis' if scheme.startswith('redis') else 'RabbitMQ'} at {place}")]


def _used(config: Config) -> set[str]:
    asked = {name for _path, condition, _scores in conditions_of(config) for name in fields_of(condition)}
    asked |= {name for each in config.questions.values() for name in (each.field, each.source, each.dated) if name}
    asked |= {rule.each for model in config.scores.values() for rule in model.rules if rule.each is not None}
    return asked | set(config.hand_off.fields if config.hand_off else ())


def _kind(rule: Rule) -> str:
    if rule.no_activity_for is not None:
        return "on silence"
    return "on activity" if rule.activity else "on attributes"


def _length(seconds: float) -> str:
    unit, size = next(
        ((unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60)) if seconds >= size), ("s", 1)
    )
    return f"{seconds / size:g}{unit}"


def _compared(journey: Journey) -> str:
    """What of the journey is compared with what."""
    told = [f"{variant.share * 100:g}% {variant.name}" for variant in journey.variants]
    told += [f"{journey.holdout * 100:g}% held out"] if journey.holdout else []
    return f" ({', '.join(told)})" if told else ""


def _cap(cap: Cap) -> str:
    return f"{cap.count} people or {cap.share * 100:g}%"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _joined(parts: Iterable[str]) -> str:
    every = list(parts)
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)
