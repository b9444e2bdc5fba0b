"""Commands on supply and fulfilments from what came in, over HTTP or from the event log: the checks are the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from services.atp.application.commands import Origin
from services.atp.application.content import OrderKey
from services.atp.application.fulfil_orders import DeliverOrder, GoodsDelivered, GoodsShipped, ShipOrder
from services.atp.application.order_reports import ReportName, ReportOrder
from services.atp.application.pick_short import GoodsMissing, PickShort
from services.atp.application.return_goods import GoodsReturned, ReturnGoods
from services.atp.application.supply_entries import Reference, TransferKey
from services.atp.application.take_supply import CountStock, MoveStock, ScheduleReceipt
from services.atp.application.transfer_stock import TransferStock
from services.atp.domain import transfers
from services.atp.domain.model import PositionKey
from services.contracts.costs import ActivityReported
from services.contracts.supply import (
    Delivered,
    Discrepancy,
    ScheduledReceipt,
    Shipped,
    StatusCounts,
    SupplyMovement,
    SupplySnapshot,
    Transfer,
)
from services.contracts.warehouse import Returned, ShortPicked

Report = ActivityReported | Discrepancy
Supply = SupplyMovement | SupplySnapshot | ScheduledReceipt | Transfer
SupplyCommand = MoveStock | CountStock | ScheduleReceipt | TransferStock
Fulfilment = Shipped | Delivered | ShortPicked | Returned
FulfilmentCommand = ShipOrder | DeliverOrder | PickShort | ReturnGoods


def supply_command(said: Supply, origin: Origin) -> SupplyCommand:
    """The command for what a source said of stock."""
    if isinstance(said, Transfer):
        return _transfer(said, origin)
    position = PositionKey(said.sku, said.location)
    name = Reference(position, said.source, said.reference)
    match said:
        case SupplyMovement():
            return _move(said, name, origin)
        case SupplySnapshot():
            return CountStock(name, said.on_hand, said.as_of, said.cursor, origin, _counted(said.statuses))
        case ScheduledReceipt():
            return ScheduleReceipt(name, said.version, said.quantity, said.due.toordinal(), said.certainty, origin)


def _move(said: SupplyMovement, name: Reference, origin: Origin) -> MoveStock:
    receipt = transfer = None
    if said.receipt_reference is not None:
        receipt = Reference(name.position, said.receipt_source or said.source, said.receipt_reference)
    if said.transfer_reference is not None:
        transfer = TransferKey(said.sku, said.transfer_source or said.source, said.transfer_reference)
    return MoveStock(
        name,
        said.kind,
        said.quantity,
        said.occurred_at,
        said.sequence,
        receipt,
        origin,
        said.status,
        said.to_status,
        transfer,
    )


def _counted(statuses: StatusCounts | None) -> tuple[tuple[str, int], ...]:
    counts = statuses.model_dump(exclude_none=True) if statuses is not None else {}
    return tuple(counts.items())


def _transfer(said: Transfer, origin: Origin) -> TransferStock:
    document = transfers.Transfer(
        said.version,
        said.from_location,
        said.to_location,
        said.quantity,
        said.ship_date.toordinal(),
        said.due.toordinal(),
        said.state,
    )
    return TransferStock(TransferKey(said.sku, said.source, said.reference), document, origin)


def fulfilment_commands(said: Sequence[tuple[Fulfilment, Origin]]) -> list[tuple[FulfilmentCommand, list[int]]]:
    """One command per order and kind for what came in one go, each with the places of its events in the input.

    The events of an order keep their order among those of their kind. The kinds follow each other as they do in a
    warehouse: what is not found, what leaves, what arrives, what comes back.
    """
    by_kind: dict[type, dict[OrderKey, list[int]]] = {kind: {} for kind in _MADE_OF}
    for place, (event, _) in enumerate(said):
        key = OrderKey(event.order.source, event.order.order_id)
        by_kind[type(event)].setdefault(key, []).append(place)
    return [
        (make(key, [said[place][0] for place in places], said[places[0]][1]), places)
        for kind, make in _MADE_OF.items()
        for key, places in by_kind[kind].items()
    ]


def _pick_short(key: OrderKey, said: Sequence[Any], origin: Origin) -> PickShort:
    return PickShort(key, tuple(_missing(event) for event in said), origin)


def _ship(key: OrderKey, said: Sequence[Any], origin: Origin) -> ShipOrder:
    return ShipOrder(key, tuple(_shipped(event) for event in said), origin)


def _deliver(key: OrderKey, said: Sequence[Any], origin: Origin) -> DeliverOrder:
    return DeliverOrder(key, tuple(_delivered(event) for event in said), origin)


def _return(key: OrderKey, said: Sequence[Any], origin: Origin) -> ReturnGoods:
    return ReturnGoods(key, tuple(_returned(event) for event in said), origin)


_MADE_OF: Final[Mapping[type, Callable[[OrderKey, Sequence[Any], Origin], FulfilmentCommand]]] = {
    ShortPicked: _pick_short,
    Shipped: _ship,
    Delivered: _deliver,
    Returned: _return,
}


def _missing(event: ShortPicked) -> GoodsMissing:
    name = Reference(PositionKey(event.sku, event.location), event.source, event.reference)
    return GoodsMissing(name, event.line, event.quantity, event.occurred_at, event.sequence)


def _returned(event: Returned) -> GoodsReturned:
    name = Reference(PositionKey(event.sku, event.location), event.source, event.reference)
    return GoodsReturned(name, event.line, event.quantity, event.occurred_at, event.status, event.sequence)


def report_command(said: Report, origin: Origin) -> ReportOrder:
    """The command for what was told of an order besides its goods."""
    name = ReportName(OrderKey(said.order.source, said.order.order_id), said.source, said.reference)
    match said:
        case ActivityReported():
            return ReportOrder(
                name, "activity", said.activity, None, said.quantity, said.actual_cost_minor, said.occurred_at, origin
            )
        case Discrepancy():
            return ReportOrder(name, "discrepancy", said.kind, said.line, said.quantity, None, said.occurred_at, origin)


def _shipped(event: Shipped) -> GoodsShipped:
    return GoodsShipped(
        Reference(PositionKey(event.sku, event.location), event.source, event.reference),
        event.line,
        event.quantity,
        event.occurred_at,
        event.sequence,
        event.carrier,
        event.actual_cost_minor,
    )


def _delivered(event: Delivered) -> GoodsDelivered:
    return GoodsDelivered(event.source, event.reference, event.line, event.quantity, event.occurred_at)
