"""Former versions of the tier documents; `services.contracts.segments` has the newest."""

from typing import Annotated

from pydantic import Field

from services.contracts.payload import Code, MinorUnits, Note, Payload, Version


class TierPolicy(Payload):
    """The policy of `tier.policy.v1`."""

    lead_time_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 5
    carrier_classes: tuple[Code, ...] = ()
    split_allowed: bool = True
    as_soon_as_possible: bool = True
    lateness_penalty_minor: MinorUnits = 100
    split_penalty_minor: MinorUnits = 0
    backorder_penalty_minor: MinorUnits = 1_000


class TierDefined(Payload):
    """`tier.policy.v1`: read as `tier.policy.v2`, whose other fields may be left out."""

    tier: Code
    version: Version
    name: Annotated[Note, Field(min_length=1, max_length=100)]
    priority_rank: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="1 is served first")]
    is_default: bool = False
    active: bool = True
    policy: TierPolicy = TierPolicy()
