"""The part of the file that says where the operator is told that something is wrong."""

from pydantic import Field, model_validator

from leadbridge.config.conditions import Duration
from leadbridge.config.hand_off import Channels, unusable
from leadbridge.config.kinds import DAY, Section, across


class Alarms(Section):
    """Where the operator is told."""

    alert: Channels = Field(default=[], description="where to tell: a chat's webhook, mailto://…, jsons://host/path")
    alert_hosts: list[str] = Field(
        default=[], description="hosts of your own that may be told; those of well-known services need none"
    )
    again_every: Duration = Field(DAY, description="what stays wrong is told again after this long")

    @model_validator(mode="after")
    def _allowed_places(self) -> "Alarms":
        for problem in unusable(self.alert, self.alert_hosts):
            raise across(f"alert: {problem}", "alert", "alert_hosts")
        return self
