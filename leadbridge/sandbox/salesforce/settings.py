"""The switches of the Salesforce stand-in; the control interface sets them by name."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Everything about the pretended org that a test or demo may want otherwise."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # Signing in (section 1)
    session_seconds: float = Field(7_200, gt=0, description="A token dies after so long without use")
    run_as_user: bool = Field(True, description="Whether the app names a user for client credentials")
    preauthorised: bool = Field(True, description="Whether the user is pre-authorised for the app (JWT)")
    password: str | None = Field(None, description="Password and token that sign in; None = the flow is blocked")
    rotate_refresh_tokens: bool = Field(False, description="Whether a refresh grant replaces the refresh token")
    api_enabled: bool = Field(True, description="Whether the edition has API access")
    rest_scope: bool = Field(True, description="Whether tokens are valid for REST; else a 401 no refresh mends")
    instance_url: str | None = Field(None, description="Host the token answer names; None = the host that was called")
    # Limits (section 7)
    daily_limit: int = Field(100_000, ge=1, description="API calls of the whole org in 24 hours")
    other_usage: int = Field(0, ge=0, description="Calls other apps of the org made in these 24 hours")
    per_app_usage: bool = Field(False, description="Whether Sforce-Limit-Info goes on with a figure per app")
    concurrent_limit_hit: bool = Field(False, description="Whether too many long calls run just now: 403")
    # Reading (section 3)
    lacks: frozenset[str] = Field(frozenset(), description="Objects the edition or our user does not have")
    query_page: int = Field(5, ge=1, le=2_000, description="Most rows in one page of a query")
    bulk_polls: int = Field(1, ge=0, description="Polls that find a bulk job InProgress before it is complete")
    bulk_page: int = Field(50_000, ge=1, description="Most rows in one page of bulk results")
    # Writing (section 4)
    assignment_rules: bool = Field(
        True, description="Whether a rule moves the owner unless Sforce-Auto-Assign is FALSE"
    )
    duplicate_rule: Literal["off", "alert", "block"] = Field("off", description="For an e-mail address another row has")
    unknown_field_fails_all: bool = Field(
        False, description="Whether one unknown field refuses a whole collection instead of its row"
    )
    person_merge_names_contact: bool = Field(
        True, description="Whether the contact of a merged person account says into which contact; its account does"
    )
    # Messages out (section 6)
    outbound_retry_seconds: float = Field(1.0, ge=0, description="Wait before try n is n-1 times this")
    outbound_hours: float = Field(24.0, gt=0, description="After so long without an Ack a message is dropped")
    outbound_timeout: float = Field(5.0, gt=0, description="Seconds a receiver has to answer; 60 live")
    outbound_batch: int = Field(100, ge=1, le=100, description="Most notifications in one message")
    outbound_duplicate_every: int = Field(0, ge=0, description="Every nth notification is sent twice; 0 = none")
    outbound_reorder: bool = Field(False, description="Whether notifications are shuffled before they are sent")
    outbound_org_id: str | None = Field(None, description="Send this organisation's id instead of ours")
    callout_wall_time: bool = Field(False, description="Sign callouts with the real time instead of the sandbox clock")
    # Change events (section 6.4)
    change_objects: frozenset[str] = Field(
        frozenset({"Account", "Contact", "Lead", "Opportunity", "Task"}), description="Objects whose changes are told"
    )
    change_listening: bool = Field(True, description="Whether our user may listen to the channels there are")
    change_hours: float = Field(72.0, gt=0, description="How long change events are kept")
    change_keepalive_seconds: float = Field(270.0, gt=0, description="After so long without events, a sign of life")
    change_silence: bool = Field(False, description="Streams stay open and say nothing, not even a sign of life")
    change_gaps: bool = Field(False, description="Changes are told as GAP_ events: which records, but no values")
    change_overflow_above: int = Field(100_000, ge=0, description="More changes in one transaction: GAP_OVERFLOW only")
    change_duplicate_every: int = Field(0, ge=0, description="Every nth change event comes twice; 0 = none")
