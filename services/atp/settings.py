"""What the ATP can be told, besides what every service can (`services.chassis.settings`)."""

from typing import Annotated

from pydantic import Field

from services.chassis.settings import ChassisSettings


class AtpSettings(ChassisSettings):
    """Read once, from variables that begin with `TIERCEL_`."""

    atp_tier_projection_stale_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        10.0, description="without a heartbeat of the registry for so long, promises are marked as made on an old tier"
    )
    atp_redecision_poll_seconds: Annotated[float, Field(gt=0, le=3_600)] = Field(
        1.0, description="how often freed stock is looked for besides being told of it"
    )
    atp_due_poll_seconds: Annotated[float, Field(gt=0, le=3_600)] = Field(
        1.0, description="how often it is looked for what happens by date: holds that end, stops and overrides"
    )
    atp_commands_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        20_000, description="of one caller in the long run; a batch of orders is one command"
    )
    atp_commands_burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        40_000, description="of one caller at once after a silence"
    )
    atp_measuring_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        10.0, description="how often the measures by tier take in what changed, and targets are judged"
    )
    atp_month_close_days: Annotated[int, Field(ge=0, le=365)] = Field(
        10, description="days after its end on which a month is closed; later changes are listed as corrections"
    )
    atp_ledger_check_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        300.0, description="how often the aggregates are compared with the ledger"
    )
