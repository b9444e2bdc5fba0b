"""What an order must pass before stock is taken: the rules of its tier, and blocks of its customer.

Values are integers in millionths of the currency's major unit, as exact as a unit price can be written.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

MICRO: Final = 10**6  # parts of the major unit: unit prices have six decimals at most

Effect = Literal["refuse", "hold"]
BlockKind = Literal["credit", "compliance"]
Check = Literal[
    "line_quantity_max",
    "order_quantity_max",
    "line_value_max",
    "order_value_min",
    "order_value_max",
    "permitted_items",
    "permitted_channels",
    "permitted_zones",
    "credit_block",
    "compliance_block",
]
CHECKS: Final[tuple[Check, ...]] = get_args(Check)


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """Limits of a tier; None limits nothing, an empty tuple permits everything. `held` are checks that hold an order.

    An item is permitted by its id or by one of its groups.
    """

    line_quantity_max: int | None = None
    order_quantity_max: int | None = None
    line_value_max_micro: int | None = None
    order_value_min_micro: int | None = None
    order_value_max_micro: int | None = None
    permitted_items: tuple[str, ...] = ()
    permitted_item_groups: tuple[str, ...] = ()
    permitted_channels: tuple[str, ...] = ()
    permitted_zones: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def limits_value(self) -> bool:
        """Whether an order's lines need a price."""
        limits = (self.line_value_max_micro, self.order_value_min_micro, self.order_value_max_micro)
        return any(limit is not None for limit in limits)


@dataclass(frozen=True, slots=True)
class Block:
    """A customer's orders are refused or held: for its credit, or for compliance."""

    kind: BlockKind
    effect: Effect
