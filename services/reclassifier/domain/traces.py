"""What is remembered of each order for a while, to see who was served how and who went around the rules.

An order's trace is what its first record said: how it was entered and how it was answered. Later records change
nothing of it, so that any order and duplication of records leaves the same trace. An act is told by one record alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.reclassifier.domain.orders import OrderKey

FIRST: Final = 1  # the sequence of an order's first record
ANYWHERE: Final = "*"  # the zone of an order that says nothing of where it goes


@dataclass(frozen=True, slots=True)
class Trace:
    """How an order came and what it was answered first. `in_full`: all that was wanted was promised at once."""

    key: OrderKey
    ordered_at: datetime
    tier: str
    zone: str
    channel: str
    entered_by: str | None
    in_full: bool
    quota_reached: bool


@dataclass(frozen=True, slots=True)
class Act:
    """A planner served an order before its turn. `sequence` is that of the record that tells of it."""

    key: OrderKey
    sequence: int
    kind: str
    user: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TierTerms:
    """What the registry published of a tier, as far as detection looks at it; None: no target, or no limit."""

    tier: str
    version: int
    rank: int
    in_full_target_bp: int | None = None
    on_time_target_bp: int | None = None
    order_quantity_max: int | None = None
    order_value_max_micros: int | None = None
