"""What the reclassifier can be told, besides what every service can (`services.chassis.settings`)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.chassis.settings import ChassisSettings
from services.contracts.payload import Code


class ReclassifierSettings(ChassisSettings):
    """Read once, from variables that begin with `TIERCEL_`."""

    reclassifier_rule_set: Code = Field("activity", description="id of the rule set whose newest version is in force")
    reclassifier_rule_set_file: Path | None = Field(
        None, description="JSON document of the first version, stored if there is none; the shipped one without it"
    )
    reclassifier_batch_max: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1_000, description="records counted in one transaction"
    )
    reclassifier_gather_seconds: Annotated[float, Field(ge=0, le=10)] = Field(
        0.1, description="for how long recorded orders are gathered before they are counted; a replay does not wait"
    )
