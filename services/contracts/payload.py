"""What all payloads share: strictness, limits and the small value types.

Every limit is here with its reason; the reference page and the JSON Schemas are rendered from these types.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

ID_MAX_CHARS: Final = 128  # longer ids are somebody's mistake, and they are keys of indexes
QUANTITY_MAX: Final = 1_000_000_000_000  # base units; sums of a million such lines still fit 64 bits
LINES_MAX: Final = 1_000  # lines of one order; larger orders are several orders
MONEY_DIGITS_MAX: Final = 18
MONEY_PATTERN: Final = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
NOTE_MAX_CHARS: Final = 500
DAY_CHARS: Final = len("2024-01-01")
BROKEN_RULE: Final = "broken_rule"  # the `rule` of an error whose message is a rule of ours
FIRST_DAY: Final = date(1970, 1, 1)  # outside of these two a date is a slip of the pen, and day arithmetic may
LAST_DAY: Final = date(2199, 12, 31)  # leave the calendar


class Payload(BaseModel):
    """The parent of all payloads: closed (an unknown field is refused) and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings", validate_default=False)


def broken_rule(text: str) -> PydanticCustomError:
    """What a validator raises: `text` says the rule, never the value, since whoever sent it and the log are told it.

    The text of a plain ValueError is not passed on, because it may hold anything.
    """
    return PydanticCustomError(BROKEN_RULE, text)


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _written_as_day(value: object) -> object:
    """Refuse numbers, which would be read as seconds since 1970: 20240101 is not the first of January 2024."""
    if isinstance(value, date) or (isinstance(value, str) and len(value) == DAY_CHARS and value[4] == "-"):
        return value
    raise broken_rule("not a day as YYYY-MM-DD")


def _written_as_moment(value: object) -> object:
    """Refuse numbers, also in quotes: their unit would be a guess."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise broken_rule("not a moment as YYYY-MM-DDThh:mm:ss and an offset")


def _written_as_money(value: object) -> object:
    """Refuse what Decimal would read besides plain digits: exponents, underscores, blanks, signs."""
    if not isinstance(value, str) or re.fullmatch(MONEY_PATTERN, value):
        return value
    raise broken_rule("not an amount in plain digits")


_MONEY_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000_000_000},
        {"type": "string", "pattern": MONEY_PATTERN},
    ],
    "description": "an amount in the currency's major unit; a string keeps its digits exact",
}


# An id of another system: printable, without blanks at its ends, never a control character.
Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=ID_MAX_CHARS, pattern=r"^[!-~¡-￼]([ -~¡-￼]*[!-~¡-￼])?$")
]
# A name chosen by the owner of the configuration: tier ids, location ids, services, zones, channels, reason codes.
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9*][A-Za-z0-9_.:*-]*$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2")]
# As written on a letter; blanks, dashes and the case of letters do not tell two of them apart.
Postcode = Annotated[
    str, StringConstraints(min_length=1, max_length=12, pattern=r"^[A-Za-z0-9]([A-Za-z0-9 -]*[A-Za-z0-9])?$")
]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX, description="base units of the item")]
QuantityOrZero = Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX, description="base units of the item")]
SignedQuantity = Annotated[int, Field(strict=True, ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
Version = Annotated[int, Field(strict=True, ge=1, le=2**53, description="per key, only ever higher")]
MinorUnits = Annotated[int, Field(strict=True, ge=0, le=2**53, description="money in minor units of the currency")]
Money = Annotated[
    Decimal,
    Field(ge=0, max_digits=MONEY_DIGITS_MAX, decimal_places=6, allow_inf_nan=False),
    BeforeValidator(_written_as_money),
    WithJsonSchema(_MONEY_SCHEMA),
]
Day = Annotated[
    date,
    Field(ge=FIRST_DAY, le=LAST_DAY, description=f"from {FIRST_DAY} to {LAST_DAY}"),
    BeforeValidator(_written_as_day),
]
Moment = Annotated[
    AwareDatetime,
    Field(
        ge=datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC),
        lt=datetime(LAST_DAY.year + 1, 1, 1, tzinfo=UTC),
        description=f"with its offset from UTC; from {FIRST_DAY} to {LAST_DAY}",
    ),
    BeforeValidator(_written_as_moment),
    AfterValidator(_to_utc),
]
# Free text of bounded length. Control characters are refused: PostgreSQL cannot store a NUL, a terminal acts on others.
Note = Annotated[str, StringConstraints(max_length=NOTE_MAX_CHARS, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
