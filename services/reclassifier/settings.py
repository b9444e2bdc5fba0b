"""What the reclassifier can be told, besides what every service can (`services.chassis.settings`)."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from services.chassis.settings import ChassisSettings
from services.contracts.payload import Code
from services.reclassifier.domain.detections import Limits

_USUAL: Final = Limits()


class ReclassifierSettings(ChassisSettings):
    """Read once, from variables that begin with `TIERCEL_`."""

    reclassifier_rule_set: Code = Field("activity", description="id of the rule set whose newest version is in force")
    reclassifier_rule_set_file: Path | None = Field(
        None, description="JSON document of the first version, stored if there is none; the shipped one without it"
    )
    reclassifier_proposal_key_file: Path | None = Field(
        None, description="Ed25519 key (PEM) that proves proposals; the roles api and consumer need it"
    )
    reclassifier_batch_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1_000, description="records counted in one transaction"
    )
    reclassifier_gather_seconds: Annotated[float, Field(ge=0, le=10)] = Field(
        0.1, description="for how long recorded orders are gathered before they are counted; a replay does not wait"
    )
    reclassifier_detection_interval_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] = Field(
        3_600, description="how often it is looked for customers served beside their tier and ways around the rules"
    )
    reclassifier_detection_window_days: Annotated[int, Field(ge=1, le=92)] = Field(
        _USUAL.window_days, description="days before a look that count"
    )
    reclassifier_detection_orders_min: Annotated[int, Field(ge=5, le=100_000)] = Field(
        _USUAL.orders_min, description="orders of a customer in a tier below which its service is not judged"
    )
    reclassifier_detection_service_gap_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        _USUAL.service_gap_percent, description="points between a customer's service and that of the others in its tier"
    )
    reclassifier_detection_acts_min: Annotated[int, Field(ge=1, le=100_000)] = Field(
        _USUAL.acts_min, description="priority overrides of a user below which they are not judged"
    )
    reclassifier_detection_acts_times: Annotated[int, Field(ge=2, le=100)] = Field(
        _USUAL.acts_times, description="how many times the median of the other users' overrides are too many"
    )
    reclassifier_detection_foreign_orders_min: Annotated[int, Field(ge=1, le=1_000)] = Field(
        _USUAL.foreign_orders_min, description="orders under another customer's id from which on they are told"
    )
    reclassifier_detection_split_minutes: Annotated[int, Field(ge=1, le=1_440)] = Field(
        _USUAL.split_minutes, description="how close in time orders are that may be one order split"
    )
    reclassifier_detection_split_orders_min: Annotated[int, Field(ge=1, le=1_000)] = Field(
        _USUAL.split_orders_min, description="orders too many from which on splitting is told"
    )

    def detection_limits(self) -> Limits:
        """From where on something is a detection."""
        return Limits(
            window_days=self.reclassifier_detection_window_days,
            orders_min=self.reclassifier_detection_orders_min,
            service_gap_percent=self.reclassifier_detection_service_gap_percent,
            acts_min=self.reclassifier_detection_acts_min,
            acts_times=self.reclassifier_detection_acts_times,
            foreign_orders_min=self.reclassifier_detection_foreign_orders_min,
            split_minutes=self.reclassifier_detection_split_minutes,
            split_orders_min=self.reclassifier_detection_split_orders_min,
        )
