"""Commands on supply and fulfilments from what came in, over HTTP or from the event log: the checks are the same."""

from collections.abc import Sequence

from services.atp.application.commands import Origin
from services.atp.application.content import OrderKey
from services.atp.application.fulfil_orders import DeliverOrder, GoodsDelivered, GoodsShipped, ShipOrder
from services.atp.application.order_reports import ReportName, ReportOrder
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

Report = ActivityReported | Discrepancy
Supply = SupplyMovement | SupplySnapshot | ScheduledReceipt | Transfer
SupplyCommand = MoveStock | CountStock | ScheduleReceipt | TransferStock
Fulfilment = Shipped | Delivered


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


def fulfilment_commands(
    said: Sequence[tuple[Fulfilment, Origin]],
) -> list[tuple[ShipOrder | DeliverOrder, list[int]]]:
    """One command per order and kind for what came in one go, each with the places of its events in the input.

    The events of an order keep their order among those of their kind; goods are delivered only after they shipped, and
    so the shipments of the input come first.
    """
    shipped: dict[OrderKey, list[int]] = {}
    delivered: dict[OrderKey, list[int]] = {}
    for place, (event, _) in enumerate(said):
        key = OrderKey(event.order.source, event.order.order_id)
        (shipped if isinstance(event, Shipped) else delivered).setdefault(key, []).append(place)
    commands: list[tuple[ShipOrder | DeliverOrder, list[int]]] = []
    for key, places in shipped.items():
        goods = tuple(_shipped(event) for event, _ in (said[place] for place in places) if isinstance(event, Shipped))
        commands.append((ShipOrder(key, goods, said[places[0]][1]), places))
    for key, places in delivered.items():
        came = tuple(
            _delivered(event) for event, _ in (said[place] for place in places) if isinstance(event, Delivered)
        )
        commands.append((DeliverOrder(key, came, said[places[0]][1]), places))
    return commands


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
