"""The contract of `build/demo/summary.json`, what a replay says about itself at its end."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tiercel.schemas.documents import Document
from tiercel.schemas.events import DIALECT

SUMMARY_PATH: Final = "demo/summary.v1.json"
Count = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TierSummary(_Closed):
    """The figures of one tier: the tier that counted when the order was decided."""

    tier: str
    orders: Count
    lines: Count
    units: Count
    fill_rate: Annotated[Share, Field(description="units shipped by the promised ship date / units ordered")]
    on_time_rate: Annotated[
        Share,
        Field(description="lines whose whole quantity is promised to arrive by the requested arrival date / lines"),
    ]
    mean_days_late: Annotated[float, Field(ge=0, description="over the lines late against that date; 0 without any")]
    cost_to_serve: Annotated[float, Field(ge=0, description="shipping cost of the chosen sources, major units")]


class Summary(_Closed):
    """What a replay did. Two runs on one input agree in all but form, seconds, promises_per_second, peak_rss_mib."""

    form: Literal["embedded", "distributed"]
    source: str
    orders: Count
    lines: Count
    units: Count
    answered_once: Annotated[Count, Field(description="orders that were answered exactly once")]
    unanswered: Count
    promised_lines: Annotated[Count, Field(description="lines whose whole quantity was promised at the first answer")]
    backordered_lines: Annotated[Count, Field(description="lines of which a part was backordered at the first answer")]
    oversold_positions: Annotated[Count, Field(description="positions that a decision made negative on some day; 0")]
    duplicate_effects: Annotated[Count, Field(description="events applied more than once; 0")]
    lost_events: Annotated[Count, Field(description="events published and not applied; 0")]
    tier_changes: Count
    returns: Annotated[Count, Field(description="times that goods of an order line came back")]
    returned_units: Count
    unreturned_units: Annotated[
        Count, Field(description="units that the history says came back, and that were not delivered in the replay")
    ]
    seconds: Annotated[float, Field(ge=0)]
    promises_per_second: Annotated[float, Field(ge=0)]
    peak_rss_mib: Annotated[float, Field(ge=0)]
    by_tier: Annotated[tuple[TierSummary, ...], Field(description="ascending by priority rank")]


def summary_schema() -> Document:
    """The JSON Schema of the summary."""
    return {"$schema": DIALECT, "$id": "urn:tiercel:schema:demo.summary.v1", **Summary.model_json_schema()}
