"""What the segment registry can be told, besides what every service can (`services.chassis.settings`)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from services.chassis.settings import ChassisSettings
from services.contracts.segments import TierPolicy


class SegmentRegistrySettings(ChassisSettings):
    """Read once, from variables that begin with `TIERCEL_`."""

    registry_default_policy: TierPolicy = Field(
        TierPolicy(), description="service policy of the default tier that the first start makes, as JSON"
    )
    registry_bulk_events_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        5_000, description="how fast bulk changes are published, so that an urgent one never waits behind them"
    )
    registry_atp_url: str | None = Field(
        None,
        description="address of the ATP's API, for previews of change requests and figures of statements",
    )
    registry_atp_key: SecretStr | None = Field(
        None, description="API key of the ATP with the scopes atp.preview and atp.read"
    )
    registry_reclassifier_url: str | None = Field(
        None, description="address of the reclassifier's API, for the distances to other tiers in explanations"
    )
    registry_reclassifier_key: SecretStr | None = Field(
        None, description="API key of the reclassifier with the scope reclassifier.read"
    )
    registry_proposal_keys_file: Path | None = Field(
        None,
        description="public keys (PEM) of whoever may propose tiers; the role consumer needs it",
    )
    registry_commands_per_second: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1_000, description="of one caller in the long run; a bulk import is one command"
    )
    registry_commands_burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        2_000, description="of one caller at once after a silence"
    )
