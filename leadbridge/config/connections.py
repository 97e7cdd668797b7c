"""The part of the file that says what leadbridge runs beside: accounts, secrets, sources."""

import re
from typing import Literal, get_args

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.conditions import Duration
from leadbridge.config.kinds import (
    DAY,
    HttpAddress,
    PathSecret,
    Section,
    across,
)

HubSpotSource = Literal[
    "events",
    "forms",
    "email_events",
    "meetings",
    "calls",
    "emails",
    "communications",
    "tasks",
    "notes",
    "deals",
    "tickets",
    "lists",
]


class HubSpotConnection(Section):
    """HubSpot: what to connect with, and which sources of activity to read."""

    token: SecretStr = Field(description="service key or private app token")
    webhook_secret: SecretStr | None = Field(None, description="client secret of the app that sends webhooks")
    webhook_secret_previous: SecretStr | None = Field(None, description="the old secret, valid too while you rotate")
    base_url: HttpAddress = Field("https://api.hubapi.com", description="where the API is")
    api_version: Literal["v3", "2026-09"] = Field("v3", description="version of HubSpot's paths")
    activities: list[HubSpotSource] = Field(
        default=list(get_args(HubSpotSource)),
        description="sources of activity to read; one the account lacks is switched off with a word",
    )
    lists: list[str] = Field(
        default=[], description="names or ids of the lists whose members count as having joined; empty: all lists"
    )
    history: Duration = Field(180 * DAY, description="how far back the first pull reads activity")
    requests_per_10s: int = Field(80, ge=1, le=10000, description="calls we allow ourselves in any ten seconds")
    searches_per_second: float = Field(3, gt=0, le=5, description="searches we allow ourselves (HubSpot: 5)")
    lookback: Duration = Field(10 * 60, description="overlap of two pulls: HubSpot's search index lags")

    @model_validator(mode="after")
    def _new_before_old(self) -> "HubSpotConnection":
        if self.webhook_secret_previous is not None and self.webhook_secret is None:
            raise across(
                "webhook_secret_previous needs webhook_secret, the one valid now",
                "webhook_secret_previous",
                "webhook_secret",
            )
        return self


class MailchimpConnection(Section):
    """Mailchimp: key and audience."""

    api_key: SecretStr = Field(description="API key, ends in -usNN")
    audience: str = Field(min_length=1, description="audience (list) id")
    base_url: HttpAddress | None = Field(None, description="where the API is; default: from the key's ending")
    webhook_secret: PathSecret | None = Field(None, description="random part of our webhook's path")
    webhook_secret_previous: PathSecret | None = Field(None, description="the old one, valid too while you rotate")
    webhook_signing_secret: SecretStr | None = Field(
        None, description="signing secret that Mailchimp showed when the webhook was made, if it showed one"
    )
    simultaneous: int = Field(4, ge=1, le=9, description="calls in flight at once (Mailchimp: 10 for all your apps)")
    lookback: Duration = Field(DAY, description="overlap of two engagement pulls: reports trail")
    history: Duration = Field(30 * DAY, description="how far back campaigns are followed")
    activities: list[Literal["campaigns"]] = Field(default=["campaigns"], description="sources of activity to read")

    @model_validator(mode="after")
    def _somewhere_to_call(self) -> "MailchimpConnection":
        # The account's data centre is the key's ending, and part of the address (vendor page, section 1).
        if self.base_url is None and not re.search(r"-[a-z]{2,4}\d{1,4}$", self.api_key.get_secret_value()):
            raise across(
                "has no ending such as -us21, which says where the account is; copy the whole key, or add base_url",
                "api_key",
                "base_url",
            )
        return self


class Connections(Section):
    """The systems leadbridge runs beside."""

    hubspot: HubSpotConnection | None = Field(None, description="the CRM")
    mailchimp: MailchimpConnection | None = Field(None, description="the e-mail platform")
