"""What an app of HubSpot's has to subscribe to, so that its webhooks tell leadbridge what it reads (section 10.1)."""

from collections.abc import Collection, Iterator

from connectors.base import ByHand
from connectors.hubspot.mapping import LIFECYCLE, Fields

PATH = "/webhooks/hubspot"

OF_CONTACTS = ("creation", "deletion", "privacyDeletion", "merge", "restore", "associationChange")
ALWAYS = ("email", LIFECYCLE, "hs_email_optout")
NOT_OFFERED = frozenset({"num_unique_conversion_events", "hs_lastmodifieddate", "lastmodifieddate"})
"""Properties whose changes HubSpot tells nobody."""

HOW = (
    "HubSpot lets nobody but a person subscribe a private or project app: in the app's webhooks (or in its "
    "webhooks-hsmeta.json, then `hs project upload`) set the target to {target} and make these active"
)


def by_hand(fields: Fields, public_url: str | None) -> ByHand:
    """The subscriptions these fields need. Never those of leadbridge's own properties: our writes are no news (G17)."""
    target = f"{(public_url or 'https://YOUR-ADDRESS').rstrip('/')}{PATH}"
    return ByHand("webhook subscriptions", HOW.format(target=target), tuple(_subscriptions(fields)))


def _subscriptions(fields: Fields) -> Iterator[str]:
    ours = {target.name for target in fields.targets.values()} - {LIFECYCLE}
    yield from (f"contact.{one}" for one in OF_CONTACTS)
    yield from _changes("contact", {*ALWAYS, *fields.mapped_properties} - ours)
    yield from _changes("company", set(fields.company_properties))


def _changes(kind: str, properties: Collection[str]) -> Iterator[str]:
    yield from (f"{kind}.propertyChange of {one}" for one in sorted({*properties} - NOT_OFFERED))
