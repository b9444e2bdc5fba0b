"""What an order asks, in one canonical form: equal orders have equal bytes, and the bytes are kept for later decisions.

The order's version and the way it came are no content: the same order sent again under a new version is the same order.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from services.atp.domain.model import Day
from services.atp.domain.routing_rules import pick_up_key
from services.atp.domain.validation_rules import MICRO
from services.contracts.orders import OrderPlaced

MICRO_DIGITS: Final = 6


class OrderKey(NamedTuple):
    """An order's identity, unique for ever; the total order of locks."""

    source: str
    order_id: str


class CustomerKey(NamedTuple):
    """A customer as some system knows it; "tiercel" is the registry's own id."""

    system: str
    id: str


@dataclass(frozen=True, slots=True)
class ContentLine:
    """One line as asked, the order's dates filled in where the line has none. `unit_price` is exact, as text.

    Quantities are in `unit`; without one, in the item's base unit.
    """

    line: str
    item_id: str
    quantity: int
    unit_price: str | None
    requested_arrival: Day | None
    latest_acceptable_arrival: Day | None
    minimum_quantity: int
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """An order as asked. Country and postcode, and units of lines, are looked up before anything is kept of it."""

    customer: CustomerKey
    zone: str
    channel: str
    ordered_at: datetime | None
    ship_complete: bool
    lines: tuple[ContentLine, ...]
    country: str | None = None
    postcode: str | None = None
    pick_up_at: str | None = None
    attributes: tuple[tuple[str, int], ...] = ()
    max_shipments: int | None = None
    entered_by: str | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """The names under which the ways to serve it are kept: its zone, and the store where it is collected."""
        return (self.zone,) if self.pick_up_at is None else (self.zone, pick_up_key(self.pick_up_at))


def content_of(order: OrderPlaced) -> Content:
    """The content of an order as it came."""
    requested, latest = _day(order.requested_arrival), _day(order.latest_acceptable_arrival)
    lines = tuple(
        ContentLine(
            line.line,
            line.sku,
            line.quantity,
            None if line.unit_price is None else plain(line.unit_price),
            requested if line.requested_arrival is None else line.requested_arrival.toordinal(),
            latest if line.latest_acceptable_arrival is None else line.latest_acceptable_arrival.toordinal(),
            line.minimum_quantity,
            line.unit,
        )
        for line in order.lines
    )
    customer = CustomerKey(order.customer.system, order.customer.id)
    to = order.ship_to
    return Content(
        customer,
        to.zone,
        order.channel,
        order.ordered_at,
        order.ship_complete,
        lines,
        to.country,
        to.postcode,
        to.pick_up_at,
        tuple(sorted(order.attributes.items())) if order.attributes else (),
        order.max_shipments,
        order.entered_by,
    )


def encode(content: Content) -> bytes:
    """The canonical bytes."""
    said: dict[str, object] = {} if content.country is None else {"ship_to": (content.country, content.postcode)}
    if content.pick_up_at is not None:
        said["pick_up_at"] = content.pick_up_at
    if content.attributes:
        said["attributes"] = content.attributes
    if content.max_shipments is not None:
        said["max_shipments"] = content.max_shipments
    if content.entered_by is not None:
        said["entered_by"] = content.entered_by
    return orjson.dumps(
        {
            **said,
            "customer": tuple(content.customer),
            "zone": content.zone,
            "channel": content.channel,
            "ordered_at": content.ordered_at,
            "ship_complete": content.ship_complete,
            "lines": [
                (
                    line.line,
                    line.item_id,
                    line.quantity,
                    line.unit_price,
                    line.requested_arrival,
                    line.latest_acceptable_arrival,
                    line.minimum_quantity,
                    *(() if line.unit is None else (line.unit,)),
                )
                for line in content.lines
            ],
        }
    )


def decode(encoded: bytes) -> Content:
    """The content back from its canonical bytes."""
    fields: dict[str, Any] = orjson.loads(encoded)
    ordered_at = fields["ordered_at"]
    return Content(
        customer=CustomerKey(*fields["customer"]),
        zone=fields["zone"],
        channel=fields["channel"],
        ordered_at=None if ordered_at is None else datetime.fromisoformat(ordered_at),
        ship_complete=fields["ship_complete"],
        lines=tuple(ContentLine(*line) for line in fields["lines"]),
        pick_up_at=fields.get("pick_up_at"),
        attributes=tuple((name, value) for name, value in fields.get("attributes", ())),
        max_shipments=fields.get("max_shipments"),
        entered_by=fields.get("entered_by"),
    )


def fingerprint_of(encoded: bytes) -> bytes:
    """32 bytes that differ when the content differs."""
    return hashlib.sha256(encoded).digest()


def plain(amount: Decimal) -> str:
    """An amount in plain digits, without zeros at its end: 1.50 and 1.5 are the same price."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def micro_of(amount: str | None) -> int | None:
    """An amount in plain digits as millionths of the major unit."""
    if amount is None:
        return None
    whole, _, part = amount.partition(".")
    return int(whole) * MICRO + int(part.ljust(MICRO_DIGITS, "0"))


def _day(value: date | None) -> Day | None:
    return None if value is None else value.toordinal()
