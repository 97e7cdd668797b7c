"""Every path the stand-in answers, in both version families (vendor page, section 2)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, MapAdapter, Rule

from leadbridge.sandbox.hubspot import (
    account,
    activity,
    associations,
    journal,
    properties,
    records,
    search,
    subscriptions,
)
from leadbridge.sandbox.hubspot.answers import Refused, Reply
from leadbridge.sandbox.hubspot.kinds import KINDS, Kind, kind_of

_DATED = '<any("2026-03","2026-09"):version>'
_OAUTH = '<any("v1","v3","2026-03","2026-09"):version>'
# One URL variable of these names is an object type, in any of its spellings.
_KIND_WORDS = ("kind", "source", "target")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its name in the journal, its paths, and the scopes of which any one opens it."""

    operation: str  # "{kind}.list"
    method: str
    handler: Callable[..., Reply]
    paths: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    public: bool = False  # no bearer token needed
    search: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A route with what its path said."""

    route: Route
    operation: str
    version: str
    arguments: dict[str, Kind | str]
    kinds: tuple[Kind, ...]

    def scopes(self) -> list[str]:
        """The scopes of which any one is needed, for the object types of this path."""
        return [s.replace("{kind}", k.scope) for s in self.route.scopes for k in self.kinds or (KINDS["contacts"],)]


def _both(v3: str, dated: str) -> tuple[str, ...]:
    return (v3, dated.replace("<v>", _DATED))


def _objects(tail: str) -> tuple[str, ...]:
    return _both(f"/crm/v3/objects/<kind>{tail}", f"/crm/objects/<v>/<kind>{tail}")


def _properties(tail: str) -> tuple[str, ...]:
    return _both(f"/crm/v3/properties/<kind>{tail}", f"/crm/properties/<v>/<kind>{tail}")


def _associations(tail: str) -> tuple[str, ...]:
    return _both(f"/crm/v4/associations/<source>/<target>{tail}", f"/crm/associations/<v>/<source>/<target>{tail}")


def _associated(tail: str) -> tuple[str, ...]:
    middle = "<source>/<record_id>/associations"
    return _both(f"/crm/v4/objects/{middle}{tail}", f"/crm/objects/<v>/{middle}{tail}")


def _lists(tail: str) -> tuple[str, ...]:
    return _both(f"/crm/v3/lists{tail}", f"/crm/lists/<v>{tail}")


_READ, _WRITE = ("crm.objects.{kind}.read",), ("crm.objects.{kind}.write",)
_SCHEMA_READ = ("crm.schemas.{kind}.read", "crm.objects.{kind}.read", "crm.objects.{kind}.write")
_SCHEMA_WRITE = ("crm.schemas.{kind}.write",)
_EITHER = (*_READ, *_WRITE)
_CONSENT = ("communication_preferences.read", "communication_preferences.read_write")
_STATUSES = ("/communication-preferences/v4/statuses/<email>", "/communication-preferences/<v>/statuses/<email>")


def _table() -> Iterator[Route]:
    r, p, a = records, properties, associations
    yield Route("{kind}.list", "GET", r.list_, _objects(""), _READ)
    yield Route("{kind}.create", "POST", r.create, _objects(""), _WRITE)
    yield Route("{kind}.get", "GET", r.get, _objects("/<record_id>"), _READ)
    yield Route("{kind}.update", "PATCH", r.update, _objects("/<record_id>"), _WRITE)
    yield Route("{kind}.archive", "DELETE", r.archive, _objects("/<record_id>"), _WRITE)
    yield Route("{kind}.batch.read", "POST", r.batch_read, _objects("/batch/read"), _READ)
    yield Route("{kind}.batch.create", "POST", r.batch_create, _objects("/batch/create"), _WRITE)
    yield Route("{kind}.batch.update", "POST", r.batch_update, _objects("/batch/update"), _WRITE)
    yield Route("{kind}.batch.upsert", "POST", r.batch_upsert, _objects("/batch/upsert"), _WRITE)
    yield Route("{kind}.batch.archive", "POST", r.batch_archive, _objects("/batch/archive"), _WRITE)
    yield Route("{kind}.search", "POST", search.search, _objects("/search"), _READ, search=True)
    yield Route("{kind}.merge", "POST", r.merge, _objects("/merge"), _WRITE)
    # Only contacts are people.
    gdpr = _both("/crm/v3/objects/<any(contacts,contact):kind>/gdpr-delete", "/crm/objects/<v>/contacts/gdpr-delete")
    yield Route("contacts.gdpr_delete", "POST", r.gdpr_delete, gdpr, _WRITE)

    yield Route("properties.list", "GET", p.list_, _properties(""), _SCHEMA_READ)
    yield Route("properties.create", "POST", p.create, _properties(""), _SCHEMA_WRITE)
    yield Route("properties.get", "GET", p.get, _properties("/<name>"), _SCHEMA_READ)
    yield Route("properties.update", "PATCH", p.update, _properties("/<name>"), _SCHEMA_WRITE)
    yield Route("properties.archive", "DELETE", p.archive, _properties("/<name>"), _SCHEMA_WRITE)
    yield Route("properties.batch.read", "POST", p.batch_read, _properties("/batch/read"), _SCHEMA_READ)
    yield Route("properties.batch.create", "POST", p.batch_create, _properties("/batch/create"), _SCHEMA_WRITE)
    yield Route("properties.batch.archive", "POST", p.batch_archive, _properties("/batch/archive"), _SCHEMA_WRITE)
    yield Route("groups.list", "GET", p.list_groups, _properties("/groups"), _SCHEMA_READ)
    yield Route("groups.create", "POST", p.create_group, _properties("/groups"), _SCHEMA_WRITE)
    yield Route("groups.get", "GET", p.get_group, _properties("/groups/<name>"), _SCHEMA_READ)
    yield Route("groups.update", "PATCH", p.update_group, _properties("/groups/<name>"), _SCHEMA_WRITE)
    yield Route("groups.archive", "DELETE", p.archive_group, _properties("/groups/<name>"), _SCHEMA_WRITE)
    yield Route(
        "pipelines.list", "GET", p.pipelines, _both("/crm/v3/pipelines/<kind>", "/crm/pipelines/<v>/<kind>"), _READ
    )

    yield Route("associations.batch.read", "POST", a.batch_read, _associations("/batch/read"), _EITHER)
    yield Route("associations.batch.create", "POST", a.batch_create, _associations("/batch/create"), _WRITE)
    yield Route(
        "associations.batch.default", "POST", a.batch_default, _associations("/batch/associate/default"), _WRITE
    )
    yield Route("associations.batch.archive", "POST", a.batch_archive, _associations("/batch/archive"), _WRITE)
    yield Route("associations.labels", "GET", a.labels, _associations("/labels"), _EITHER)
    yield Route("associations.list", "GET", a.list_, _associated("/<target>"), _EITHER)
    yield Route("associations.create", "PUT", a.create, _associated("/<target>/<to_id>"), _WRITE)
    yield Route("associations.default", "PUT", a.create_default, _associated("/default/<target>/<to_id>"), _WRITE)
    yield Route("associations.archive", "DELETE", a.archive, _associated("/<target>/<to_id>"), _WRITE)

    owner_scope = ("crm.objects.owners.read",)
    yield Route("owners.list", "GET", account.owners, _both("/crm/v3/owners", "/crm/owners/<v>"), owner_scope)
    yield Route(
        "owners.get",
        "GET",
        account.owner,
        _both("/crm/v3/owners/<owner_id>", "/crm/owners/<v>/<owner_id>"),
        owner_scope,
    )
    list_read, list_write = ("crm.lists.read",), ("crm.lists.write",)
    yield Route("lists.list", "GET", account.lists, _lists(""), list_read)
    yield Route("lists.search", "POST", account.lists_search, _lists("/search"), list_read)
    yield Route("lists.get", "GET", account.get_list, _lists("/<list_id>"), list_read)
    yield Route("lists.memberships", "GET", account.memberships, _lists("/<list_id>/memberships"), list_read)
    yield Route(
        "lists.memberships_by_join",
        "GET",
        account.memberships_by_join,
        _lists("/<list_id>/memberships/join-order"),
        list_read,
    )
    yield Route(
        "lists.of_record", "GET", account.lists_of_record, _lists("/records/<kind>/<record_id>/memberships"), list_read
    )
    for name, change, handler in (
        ("lists.change", "add-and-remove", account.change_members),
        ("lists.add", "add", account.add_members),
        ("lists.remove", "remove", account.remove_members),
    ):
        yield Route(name, "PUT", handler, _lists(f"/<list_id>/memberships/{change}"), list_write)

    events = _both("/events/v3/events", "/events/event-occurrences/<v>")
    types = tuple(f"{path}/event-types" for path in events)
    yield Route("events.list", "GET", activity.events, events, ("oauth",))
    yield Route("events.types", "GET", activity.event_types, types, ("oauth",))
    form_paths = ("/marketing/v3/forms", '/marketing/forms/<any("2026-09-beta"):version>')
    yield Route("forms.list", "GET", activity.forms, form_paths, ("forms",))
    yield Route("forms.get", "GET", activity.form, tuple(f"{path}/<guid>" for path in form_paths), ("forms",))
    yield Route(
        "forms.submissions",
        "GET",
        activity.submissions,
        ("/form-integrations/v1/submissions/forms/<guid>",),
        ("forms",),
    )
    yield Route("email.events", "GET", activity.email_events, ("/email/public/v1/events",), ("content",))

    yield Route(
        "consent.status_v3",
        "GET",
        account.consent_v3,
        ("/communication-preferences/v3/status/email/<email>",),
        _CONSENT,
    )
    yield Route("consent.statuses", "GET", account.consent, _both(*_STATUSES), _CONSENT)
    yield Route(
        "consent.unsubscribe_all",
        "GET",
        account.opted_out_of_all,
        _both(*(f"{path}/unsubscribe-all" for path in _STATUSES)),
        _CONSENT,
    )
    yield Route(
        "account.details", "GET", account.details, _both("/account-info/v3/details", "/account-info/<v>/details")
    )
    usage = "api-usage/daily/private-apps"
    yield Route(
        "account.usage", "GET", account.api_usage, _both(f"/account-info/v3/{usage}", f"/account-info/<v>/{usage}")
    )
    for name, path, told in (
        ("earliest", "/earliest", journal.earliest),
        ("latest", "/latest", journal.latest),
        ("next", "/offset/<offset>/next", journal.after),
    ):
        where = f'/webhooks-journal/journal/<any("2026-03"):version>{path}'
        yield Route(f"journal.{name}", "GET", told, (where,), (journal.READ,))
    subscribed = '/webhooks-journal/subscriptions/<any("2026-03"):version>'
    yield Route("journal.subscriptions", "GET", journal.subscriptions, (subscribed,), (journal.SEE,))
    yield Route("journal.subscribe", "POST", journal.subscribe, (subscribed,), (journal.SUBSCRIBE,))
    yield Route("journal.file", "GET", journal.file, ("/sandbox-journal/<offset>",), public=True)
    app = _both("/webhooks/v3/<app_id>", "/app-webhooks/<v>/<app_id>")  # with a developer key, not a token
    set_up = tuple(f"{path}/settings" for path in app)
    watched = tuple(f"{path}/subscriptions" for path in app)
    one = tuple(f"{path}/<subscription_id>" for path in watched)
    yield Route("webhooks.settings", "GET", subscriptions.settings, set_up, public=True)
    yield Route("webhooks.settings.set", "PUT", subscriptions.set_settings, set_up, public=True)
    yield Route("webhooks.subscriptions", "GET", subscriptions.list_, watched, public=True)
    yield Route("webhooks.subscribe", "POST", subscriptions.create, watched, public=True)
    yield Route("webhooks.activate", "PATCH", subscriptions.update, one, public=True)
    yield Route("oauth.authorize", "GET", account.oauth_authorize, ("/oauth/authorize",), public=True)
    yield Route("oauth.token", "POST", account.oauth_token, (f"/oauth/{_OAUTH}/token",), public=True)
    yield Route(
        "oauth.token_info",
        "POST",
        account.token_info,
        ("/oauth/v2/private-apps/get/access-token-info",),
        public=True,
    )


@cache
def _map() -> MapAdapter:
    """Compiled once for all accounts of this process, since it takes longer than all the rest of one."""
    rules = [
        Rule(path, methods=[route.method], endpoint=(route, _family(path)))
        for route in _table()
        for path in route.paths
    ]
    return Map(rules, strict_slashes=False, merge_slashes=False).bind("")


def find(method: str, path: str) -> Match:
    """The route of a call; NotFound or MethodNotAllowed of werkzeug, or 400 for an unknown object type."""
    (route, family), found = _map().match(path.rstrip("/"), method)
    words = dict(found)
    version = words.pop("version", family).removesuffix("-beta")
    if route.operation == "contacts.gdpr_delete":
        words["kind"] = "contacts"
    arguments = {name: kind_of(word) if name in _KIND_WORDS else word for name, word in words.items()}
    kinds = tuple(value for value in arguments.values() if isinstance(value, Kind))
    operation = route.operation.replace("{kind}", kinds[0].name) if kinds else route.operation
    return Match(route, operation, version, arguments, kinds)


def operation_of(method: str, path: str) -> str:
    """The operation's name, for faults and for the journal; "unknown" for what is not served."""
    try:
        return find(method, path).operation
    except (NotFound, MethodNotAllowed, Refused):
        return "unknown"


def _family(path: str) -> str:
    """The version of an undated path: its first part that looks like one."""
    return next((part for part in path.split("/") if part[:1] == "v" and part[1:].isdigit()), "")
