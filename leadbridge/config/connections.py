"""The part of the file that says what leadbridge runs beside: accounts, secrets, sources."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.conditions import Duration
from leadbridge.config.kinds import (
    DAY,
    HttpAddress,
    MyDomain,
    Name,
    PathSecret,
    Section,
    Shape,
    Share,
    across,
)
from leadbridge.config.plugins import PluginConnection
from leadbridge.types import LifecycleStage

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

    token: SecretStr | None = Field(None, description="service key or private app token; or OAuth, the three below")
    client_id: str | None = Field(None, min_length=1, description="of the app, for OAuth")
    client_secret: SecretStr | None = Field(None, description="of the app, for OAuth")
    refresh_token: SecretStr | None = Field(
        None, description="what the app was granted elsewhere; without it `leadbridge connect hubspot` asks for consent"
    )
    authorize_url: HttpAddress = Field(
        "https://app.hubspot.com/oauth/authorize", description="the page on which somebody consents"
    )
    webhook_secret: SecretStr | None = Field(None, description="client secret of the app that sends webhooks")
    webhook_secret_previous: SecretStr | None = Field(None, description="the old secret, valid too while you rotate")
    journal_client_id: str | None = Field(
        None, min_length=1, description="of the project app whose webhooks journal fills gaps, where you have one"
    )
    journal_client_secret: SecretStr | None = Field(None, description="of that app")
    journal_scopes: list[str] = Field(
        default=[f"developer.webhooks_journal.{one}" for one in ("read", "subscriptions.read", "subscriptions.write")],
        min_length=1,
        description="scopes that the app asks for, as its settings name them",
    )
    journal_hosts: list[str] = Field(
        default=["*.amazonaws.com", "*.hubspot.com", "*.hubapi.com", "*.hubspotusercontent.com"],
        description="hosts that the journal's files may be fetched from",
    )
    app_id: Annotated[str, Field(pattern=r"^\d+$")] | None = Field(
        None, description="of a legacy public app: with developer_key `apply` makes its webhook subscriptions"
    )
    developer_key: SecretStr | None = Field(
        None, description="developer API key of the account that the legacy public app belongs to"
    )
    base_url: HttpAddress = Field("https://api.hubapi.com", description="where the API is")
    api_version: Literal["v3", "2026-09"] = Field("v3", description="version of HubSpot's paths")
    activities: list[HubSpotSource] = Field(
        default=list(get_args(HubSpotSource)),
        description="sources of activity to read; one the account lacks is switched off with a word",
    )
    lists: list[str] = Field(
        default=[], description="names or ids of the lists whose members count as having joined; empty: all lists"
    )
    counters: list[Literal["page_views", "social_clicks", "emails"]] = Field(
        default=["page_views", "social_clicks", "emails"],
        description="numbers HubSpot only counts up, told by difference where no source tells of each event",
    )
    history: Duration = Field(180 * DAY, description="how far back the first pull reads activity")
    property_history: bool = Field(
        default=False,
        description="have the first reading, and each `sync --full`, bring what properties of contacts and companies "
        "were before, within `history`, for scores as of then; two calls for a hundred contacts instead of one",
    )
    requests_per_10s: int = Field(80, ge=1, le=10000, description="calls we allow ourselves in any ten seconds")
    day_until: Share = Field(
        0.8, description="share of the account's daily calls at which ours end; the rest is left to humans"
    )
    searches_per_second: float = Field(3, gt=0, le=5, description="searches we allow ourselves (HubSpot: 5)")
    lookback: Duration = Field(10 * 60, description="overlap of two pulls: HubSpot's search index lags")

    @model_validator(mode="after")
    def _one_way_in(self) -> "HubSpotConnection":
        oauth = ("client_id", "client_secret")
        given = [name for name in (*oauth, "refresh_token") if getattr(self, name) is not None]
        if self.token is not None and given:
            raise across(f"token and {' and '.join(given)} are two ways in; keep one", "token", *given)
        lacking = [name for name in oauth if name not in given]
        if self.token is None and lacking:
            raise across(
                f"lacks {' and '.join(lacking)}, or a token" if given else "lacks token: a service key or app token",
                "token",
                *oauth,
                "refresh_token",
            )
        return self

    @model_validator(mode="after")
    def _whole_journal(self) -> "HubSpotConnection":
        if (self.journal_client_id is None) != (self.journal_client_secret is None):
            names = ("journal_client_id", "journal_client_secret")
            raise across("needs journal_client_id and journal_client_secret both, or neither", *names)
        return self

    @model_validator(mode="after")
    def _app_whole(self) -> "HubSpotConnection":
        if (self.app_id is None) != (self.developer_key is None):
            raise across("app_id and developer_key go together", "app_id", "developer_key")
        if self.developer_key is not None and (self.webhook_secret is None or self.client_id is None):
            raise across(
                "developer_key is for webhooks of a public app: it needs client_id, client_secret and webhook_secret",
                "developer_key",
                "webhook_secret",
                "client_id",
            )
        return self

    @model_validator(mode="after")
    def _new_before_old(self) -> "HubSpotConnection":
        if self.webhook_secret_previous is not None and self.webhook_secret is None:
            raise across(
                "webhook_secret_previous needs webhook_secret, the one valid now",
                "webhook_secret_previous",
                "webhook_secret",
            )
        return self


SalesforceSource = Literal["tasks", "events", "emails", "campaigns", "opportunities", "lead_history", "contact_history"]

_WAYS_IN = ("client_secret", "private_key", "username", "password")


class SalesforceConnection(Section):
    """Salesforce: how to sign in, which objects and sources of activity to read, and how to write."""

    domain: MyDomain = Field(description="My Domain, such as acme.my: what stands before .salesforce.com")
    client_id: SecretStr = Field(description="consumer key of the external client app")
    client_secret: SecretStr | None = Field(None, description="consumer secret; signs in by client credentials")
    private_key: SecretStr | None = Field(
        None, description="private key (PEM) of the certificate at the app; with username, signs in by JWT bearer"
    )
    username: str | None = Field(None, description="user to sign in as, by JWT bearer or by password")
    password: SecretStr | None = Field(
        None, description="signs in by password, which only older apps allow; the security token at its end"
    )
    base_url: HttpAddress | None = Field(None, description="where the API is; default: from the domain")
    allowed_hosts: list[str] = Field(
        default=[], description="further hosts Salesforce may name as ours; default: hosts below salesforce.com"
    )
    api_version: Annotated[
        str, Shape(r"(3[1-9]|[4-9]\d)\.0", "is not a version of the API; write one such as 65.0")
    ] = Field("65.0", description="version of the API, pinned")
    objects: list[Literal["Lead", "Contact"]] = Field(
        default=["Lead", "Contact"],
        min_length=1,
        description="objects that are people; a person account comes as the contact it has",
    )
    opt_out: Annotated[str, Shape(r"[A-Za-z]\w{0,79}", "is not a field's API name")] = Field(
        "HasOptedOutOfEmail", description="checkbox that says: no marketing e-mail; must be visible to our user"
    )
    lead_stages: dict[str, LifecycleStage] = Field(
        default={}, description="lifecycle stage of a Lead by its Status; one not named here is a lead"
    )
    activities: list[SalesforceSource] = Field(
        default=["tasks", "events", "emails", "campaigns", "opportunities"],
        description="sources of activity to read; one the org lacks is switched off with a word. The two histories "
        "tell of changes of the fields you map, where the org tracks these",
    )
    history: Duration = Field(180 * DAY, description="how far back the first pull reads activity")
    lookback: Duration = Field(10 * 60, description="overlap of two pulls: rows may commit late")
    assignment_rules: bool = Field(False, description="let our writes run assignment rules, which move owners")
    on_duplicate: Literal["save", "refuse"] = Field(
        "save", description="what a duplicate rule that only alerts does to our writes (one that blocks, blocks)"
    )
    organization: (
        Annotated[str, Shape(r"00D[A-Za-z0-9]{12}([A-Z0-5]{3})?", "is not an organisation's id; it begins with 00D")]
        | None
    ) = Field(None, description="id of your org, others are refused; default: that of the first sign-in")
    webhook_secret: SecretStr | None = Field(
        None, min_length=22, description="secret with which Apex signs its callouts (docs/intake.md)"
    )
    webhook_secret_previous: SecretStr | None = Field(
        None, min_length=22, description="the old secret, valid too while you rotate"
    )
    flow_secret: SecretStr | None = Field(
        None, min_length=22, description="secret that a Flow's HTTP callout sends in X-Leadbridge-Secret; Apex is safer"
    )
    flow_secret_previous: SecretStr | None = Field(None, min_length=22, description="the old one, while you rotate")
    outbound_secret: PathSecret | None = Field(None, description="random part of the path of our outbound messages")
    outbound_secret_previous: PathSecret | None = Field(None, description="the old one, valid too while you rotate")
    change_events: bool = Field(
        False, description="listen to Change Data Capture; needs the extra leadbridge[salesforce-events]"
    )
    change_topic: Annotated[
        str, Shape(r"/data/[A-Za-z]\w{0,99}", "is not a channel of change events; write one such as /data/ChangeEvents")
    ] = Field("/data/ChangeEvents", description="channel to listen to; default: of all objects selected in Setup")
    pubsub: Annotated[
        str, Shape(r"[A-Za-z0-9.-]{1,253}:\d{1,5}", "is not host and port; write api.pubsub.salesforce.com:7443")
    ] = Field(
        "api.pubsub.salesforce.com:7443", description="where change events come from; by TLS unless on this machine"
    )
    simultaneous: int = Field(5, ge=1, le=20, description="calls in flight at once")
    bulk_read_above: int = Field(10_000, ge=0, description="rows from which everything is read by the Bulk API")
    bulk_write_above: int = Field(
        2_000, ge=200, description="waiting writes from which they go by the Bulk API instead of 200 at a time"
    )
    read_until: Share = Field(0.8, description="share of the org's daily calls, of all apps, at which we stop reading")
    write_until: Share = Field(0.9, description="share of the org's daily calls at which we stop writing too")

    @model_validator(mode="after")
    def _one_way_in(self) -> "SalesforceConnection":
        ways = [name for name in ("client_secret", "private_key") if getattr(self, name) is not None]
        if not ways:
            raise across("does not say how to sign in; add client_secret, or private_key and username", *_WAYS_IN)
        if len(ways) > 1:
            raise across("says two ways to sign in; keep client_secret or private_key", *_WAYS_IN)
        if self.private_key is not None and (self.username is None or self.password is not None):
            raise across("with private_key needs username, and no password", *_WAYS_IN)
        if self.private_key is None and (self.username is None) != (self.password is None):
            raise across("needs username and password both to sign in by password, or neither", *_WAYS_IN)
        if self.write_until < self.read_until:
            raise across("write_until must not be below read_until", "write_until", "read_until")
        return self


class MailchimpConnection(Section):
    """Mailchimp: key and audience."""

    api_key: SecretStr | None = Field(None, description="API key, ends in -usNN; or OAuth, by what follows")
    access_token: SecretStr | None = Field(None, description="token that an OAuth app was granted; it never expires")
    client_id: str | None = Field(
        None, min_length=1, description="of an OAuth app; `leadbridge connect mailchimp` asks for consent"
    )
    client_secret: SecretStr | None = Field(None, description="of that app")
    login_url: HttpAddress = Field(
        "https://login.mailchimp.com", description="where consent and an access_token's data centre are asked for"
    )
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
    archive_hosts: list[str] = Field(
        default=["storage.googleapis.com", "*.amazonaws.com"],
        description="hosts that results of batches may be fetched from",
    )

    @model_validator(mode="after")
    def _somewhere_to_call(self) -> "MailchimpConnection":
        ways = ("api_key", "access_token", "client_id")
        if sum(getattr(self, name) is not None for name in ways) != 1:
            raise across("needs exactly one of api_key and access_token, or client_id and client_secret", *ways)
        if (self.client_id is None) != (self.client_secret is None):
            raise across("needs client_id and client_secret both, or neither", "client_id", "client_secret")
        # The account's data centre is the key's ending, and part of the address (vendor page, section 1).
        if (
            self.api_key is not None
            and self.base_url is None
            and not re.search(r"-[a-z]{2,4}\d{1,4}$", self.api_key.get_secret_value())
        ):
            raise across(
                "has no ending such as -us21, which says where the account is; copy the whole key, or add base_url",
                "api_key",
                "base_url",
            )
        return self


class Connections(Section):
    """The systems leadbridge runs beside."""

    hubspot: HubSpotConnection | None = Field(None, description="the CRM")
    salesforce: SalesforceConnection | None = Field(None, description="the CRM, instead of HubSpot or beside it")
    mailchimp: MailchimpConnection | None = Field(None, description="the e-mail platform")
    plugins: dict[Name, PluginConnection] = Field(
        default={}, description="systems that other installed packages connect, by the name they offer"
    )

    @property
    def names(self) -> list[str]:
        """Every system that is connected."""
        own = {"hubspot": self.hubspot, "salesforce": self.salesforce, "mailchimp": self.mailchimp}
        return [*(name for name, one in own.items() if one is not None), *self.plugins]
