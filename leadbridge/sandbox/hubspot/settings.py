"""The switches of the HubSpot stand-in; the control interface sets them by name."""

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Everything about the pretended account that a test or demo may want otherwise."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # Search
    index_delay: float = Field(0.0, ge=0, description="Seconds until a change is found by search; about 10 live")
    search_per_second: int = Field(5, ge=0, description="Searches per second and account; 0 = no limit")
    # Limits (section 13)
    burst_limit: int = Field(190, ge=0, description="Calls per token and window; 0 = no limit")
    burst_seconds: float = Field(10.0, gt=0, description="Length of that window")
    daily_limit: int = Field(625_000, ge=0, description="Calls per day and account by private tokens; 0 = no limit")
    retry_after: int | None = Field(None, description="Seconds to send as Retry-After on 429; HubSpot sends none")
    # Account
    enterprise: bool = Field(True, description="Whether the account has event occurrences")
    account_type: str = Field("STANDARD", description="STANDARD, DEVELOPER_TEST, SANDBOX or APP_DEVELOPER")
    window_ends: bool = Field(True, description="Whether the ends of a window of events belong to it")
    consents: bool = Field(True, description="Whether whoever is asked at the consent page says yes")
    rotate_refresh_tokens: bool = Field(False, description="Whether a refresh grant replaces the refresh token")
    # Writes
    equal_write_bumps: bool = Field(True, description="Whether writing an equal value moves the modified date")
    stage_back_refused: bool = Field(
        False, description="Whether moving a lifecycle stage back is refused; else it is dropped without a word"
    )
    traced_updates: bool = Field(True, description="Whether a batch update with trace ids writes the good inputs")
    partial_as_200: bool = Field(False, description="Whether 2026-09 answers partial batches with 200 instead of 207")
    merge_deletes: bool = Field(False, description="Whether a merge also sends deletion events of the losers")
    conditional_rules: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="2026-09 admin rule per object type: required property -> property that makes it required",
    )
    create_required: dict[str, list[str]] = Field(
        default_factory=dict, description="2026-09 admin rule per object type: properties a new record must have"
    )
    # Webhooks journal (section 12)
    journal: bool = Field(True, description="Whether the app has the webhooks journal")
    journal_expired_status: int = Field(
        404, description="What answers an offset that is not kept any more; 0 = the earliest file, without a word"
    )
    # Webhooks (section 10.3)
    webhook_retry_seconds: float = Field(1.0, ge=0, description="Wait before try n is n-1 times this")
    webhook_tries: int = Field(10, ge=1, description="Deliveries of one event before it is lost")
    webhook_timeout: float = Field(5.0, gt=0, description="Seconds a receiver has to answer")
    webhook_gather_seconds: float = Field(0.05, ge=0, description="How long events are gathered into one delivery")
    webhook_batch: int = Field(100, ge=1, le=100, description="Most events in one delivery")
    webhook_concurrency: int = Field(10, ge=1, le=50, description="Deliveries in flight at once")
    webhook_duplicate_every: int = Field(0, ge=0, description="Every nth event is sent twice; 0 = none")
    webhook_reorder: bool = Field(False, description="Whether events are shuffled before they are sent")
    webhook_wall_time: bool = Field(
        False, description="Sign with the real time instead of the sandbox clock, for receivers that cannot freeze"
    )
