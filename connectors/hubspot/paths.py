"""HubSpot's paths, one table per API version (vendors/hubspot.md section 2).

v3/v4 paths end in 2027, the dated family has another shape; everything else here is the same in both.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

ApiVersion = Literal["v3", "2026-09"]

_ROOTS: dict[ApiVersion, dict[str, str]] = {
    "v3": {
        "objects": "/crm/v3/objects",
        "properties": "/crm/v3/properties",
        "associations": "/crm/v4/associations",
        "events": "/events/v3/events",
        "forms": "/marketing/v3/forms",
        "pipelines": "/crm/v3/pipelines",
        "oauth": "/oauth/v3",
        "private": "/oauth/v2/private-apps/get",
        "lists": "/crm/v3/lists",
        "account": "/account-info/v3",
        "submissions": "/form-integrations/v1/submissions/forms",  # no dated form
        "email": "/email/public/v1",  # no dated form
        "journal": "/webhooks-journal/journal/2026-03",  # of this date only
        "subscriptions": "/webhooks-journal/subscriptions/2026-03",
        "webhooks": "/webhooks/v3",
    },
    "2026-09": {
        "objects": "/crm/objects/2026-09",
        "properties": "/crm/properties/2026-09",
        "associations": "/crm/associations/2026-09",
        "events": "/events/event-occurrences/2026-09",
        "forms": "/marketing/forms/2026-09-beta",  # only as beta
        "pipelines": "/crm/pipelines/2026-09",
        "oauth": "/oauth/2026-09",
        "private": "/oauth/v2/private-apps/get",
        "lists": "/crm/lists/2026-09",
        "account": "/account-info/2026-09",
        "submissions": "/form-integrations/v1/submissions/forms",
        "email": "/email/public/v1",
        "journal": "/webhooks-journal/journal/2026-03",
        "subscriptions": "/webhooks-journal/subscriptions/2026-03",
        "webhooks": "/app-webhooks/2026-09",
    },
}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: how it is sent, and which budgets it costs."""

    method: str
    root: str
    tail: str = ""  # "{name}" takes an argument, percent-encoded
    repeatable: bool = True  # sent twice is the same as sent once (section 14.1)
    optional: bool = False  # a source of activity that accounts and tiers may lack: 403 switches it off
    search: bool = False
    empty: bool = False  # 204 says something: there is nothing new
    developer: bool = False  # of the app, not of an account: with the developer key (section 10.1)


ROUTES = {
    "oauth.token": Route("POST", "oauth", "/token"),
    "oauth.token_info": Route("POST", "private", "/access-token-info"),
    "account.details": Route("GET", "account", "/details"),
    "contacts.list": Route("GET", "objects", "/contacts"),
    "contacts.get": Route("GET", "objects", "/contacts/{id}"),
    "contacts.search": Route("POST", "objects", "/contacts/search", search=True),
    "contacts.batch.read": Route("POST", "objects", "/contacts/batch/read"),
    "contacts.batch.update": Route("POST", "objects", "/contacts/batch/update"),
    "companies.search": Route("POST", "objects", "/companies/search", search=True),
    "companies.contacts": Route("POST", "associations", "/companies/contacts/batch/read"),
    "companies.batch.read": Route("POST", "objects", "/companies/batch/read"),
    "tasks.batch.create": Route("POST", "objects", "/tasks/batch/create", repeatable=False),
    "tasks.batch.read": Route("POST", "objects", "/tasks/batch/read"),
    "contacts.tasks": Route("POST", "associations", "/contacts/tasks/batch/read"),
    "deals.batch.read": Route("POST", "objects", "/deals/batch/read", optional=True),
    "deals.pipelines": Route("GET", "pipelines", "/deals", optional=True),
    "lists.search": Route("POST", "lists", "/search", optional=True),  # of lists, not of records: another limit
    "lists.memberships": Route("GET", "lists", "/{list}/memberships/join-order", optional=True),
    "events.types": Route("GET", "events", "/event-types", optional=True),
    "events.list": Route("GET", "events", optional=True),
    "forms.list": Route("GET", "forms", optional=True),
    "forms.submissions": Route("GET", "submissions", "/{form}", optional=True),
    "email.events": Route("GET", "email", "/events", optional=True),
    "journal.earliest": Route("GET", "journal", "/earliest", optional=True, empty=True),
    "journal.latest": Route("GET", "journal", "/latest", optional=True, empty=True),
    "journal.next": Route("GET", "journal", "/offset/{offset}/next", optional=True, empty=True),
    "journal.subscriptions": Route("GET", "subscriptions", optional=True),
    "journal.subscribe": Route("POST", "subscriptions", optional=True),  # twice: one more that says the same
    "properties.list": Route("GET", "properties", "/contacts"),
    "properties.companies": Route("GET", "properties", "/companies"),
    "properties.create": Route("POST", "properties", "/contacts"),
    "properties.update": Route("PATCH", "properties", "/contacts/{name}"),
    "groups.list": Route("GET", "properties", "/contacts/groups"),
    "groups.create": Route("POST", "properties", "/contacts/groups"),
    "webhooks.settings": Route("GET", "webhooks", "/{app}/settings", developer=True),
    "webhooks.settings.set": Route("PUT", "webhooks", "/{app}/settings", developer=True),
    "webhooks.subscriptions": Route("GET", "webhooks", "/{app}/subscriptions", developer=True),
    "webhooks.subscribe": Route("POST", "webhooks", "/{app}/subscriptions", repeatable=False, developer=True),
    "webhooks.activate": Route("PATCH", "webhooks", "/{app}/subscriptions/{id}", developer=True),
}

ROUTES |= {
    operation: route
    for kind in ("meetings", "calls", "emails", "communications", "tasks", "notes", "deals", "tickets")
    for operation, route in (
        (f"{kind}.search", Route("POST", "objects", f"/{kind}/search", optional=True, search=True)),
        (f"{kind}.contacts", Route("POST", "associations", f"/{kind}/contacts/batch/read", optional=True)),
    )
}
"""What people log as records: searched by date of change, then asked for who took part."""


def path_of(version: ApiVersion, operation: str, **arguments: str) -> str:
    """The path of an operation, its arguments percent-encoded."""
    route = ROUTES[operation]
    encoded = {name: quote(value, safe="") for name, value in arguments.items()}
    return _ROOTS[version][route.root] + route.tail.format(**encoded)
