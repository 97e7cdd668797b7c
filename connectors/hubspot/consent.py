"""Being let in by somebody of the account: HubSpot's OAuth by code (vendors/hubspot.md, section 3.1)."""

from urllib.parse import urlencode

from connectors.grants import Grant
from connectors.hubspot.auth import Api, first_grant
from leadbridge.call import Pace
from leadbridge.config.connections import HubSpotConnection

REDIRECT_HOST = "localhost"
"""HubSpot lets nothing but https lead back, except to this name."""

SCOPES = (
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
)
OPTIONAL = (
    "crm.objects.companies.read",
    "crm.schemas.companies.read",
    "crm.objects.deals.read",
    "crm.objects.owners.read",
    "crm.lists.read",
    "tickets",
    "forms",
    "content",
    "sales-email-read",
    "communication_preferences.read",
)
"""What an account or its tier may lack: asked for, and done without where it is not given."""


class Consent:
    """One app's asking. Fulfils `connectors.consent.Consent`."""

    redirect_host = REDIRECT_HOST

    def __init__(self, connection: HubSpotConnection, pace: Pace | None = None) -> None:
        self._connection = connection
        self._pace = pace
        self.first = first_grant(connection)

    def able(self) -> bool:
        return self._connection.client_id is not None

    def address(self, redirect: str, state: str) -> str:
        asked = {
            "client_id": self._connection.client_id or "",
            "redirect_uri": redirect,
            "scope": " ".join(SCOPES),
            "optional_scope": " ".join(OPTIONAL),
            "state": state,
        }
        return f"{self._connection.authorize_url}?{urlencode(asked)}"

    def exchange(self, code: str, redirect: str) -> Grant:
        secret = self._connection.client_secret
        return Api(self._connection, self._pace).granted(
            {
                "grant_type": "authorization_code",
                "client_id": self._connection.client_id or "",
                "client_secret": secret.get_secret_value() if secret else "",
                "redirect_uri": redirect,
                "code": code,
            }
        )
