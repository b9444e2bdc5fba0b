"""What all payloads share: strictness, limits and the small value types.

Every limit is here with its reason; the reference page and the JSON Schemas are rendered from these types.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

ID_MAX_CHARS: Final = 128  # longer ids are somebody's mistake, and they are keys of indexes
QUANTITY_MAX: Final = 1_000_000_000_000  # base units; sums of a million such lines still fit 64 bits
LINES_MAX: Final = 1_000  # lines of one order; larger orders are several orders
MONEY_DIGITS_MAX: Final = 18


class Payload(BaseModel):
    """The parent of all payloads: closed (an unknown field is refused) and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings", validate_default=False)


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


# An id of another system: printable, without blanks at its ends, never a control character.
Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=ID_MAX_CHARS, pattern=r"^[!-~¡-￼]([ -~¡-￼]*[!-~¡-￼])?$")
]
# A name chosen by the owner of the configuration: tier ids, location ids, services, zones, channels, reason codes.
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9*][A-Za-z0-9_.:*-]*$")]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, description="base units of the item")]
QuantityOrZero = Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, description="base units of the item")]
SignedQuantity = Annotated[int, Field(strict=True, ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
Version = Annotated[int, Field(strict=True, ge=1, le=2**53, description="per key, only ever higher")]
MinorUnits = Annotated[int, Field(strict=True, ge=0, le=2**53, description="money in minor units of the currency")]
Money = Annotated[Decimal, Field(ge=0, max_digits=MONEY_DIGITS_MAX, decimal_places=6, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]
Note = Annotated[str, StringConstraints(max_length=500)]
