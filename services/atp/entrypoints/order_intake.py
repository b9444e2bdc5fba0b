"""`orders.v1`: commands on orders from the event log, decided by the same engine as those over HTTP.

Nothing is decided twice (the inbox knows the event, the identity knows the order). What can never be applied is
rejected: an unreadable payload, a key that is not the order's id, a confirmation or change of an order that never came.
A command that is merely too late (an older version, a state that does not allow it), or that cannot be done as things
are, is recorded by the engine and no reject.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, assert_never

from services.atp.application.commands import CancelOrder, Command, ConfirmOrder, Origin, UnknownOrder
from services.atp.application.engine import Engine
from services.atp.application.queues import Lane
from services.atp.entrypoints.order_changes import change_command
from services.atp.entrypoints.orders import fault_of, order_key, place_command
from services.chassis.consumer import Delivery, Rejected
from services.chassis.envelope import Event
from services.contracts.catalogue import INVALID_PAYLOAD, EventRefused, decode
from services.contracts.order_changes import OrderAmended, OrderReleased, OrderRevived, OrderTransferred
from services.contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced
from services.contracts.payload import Payload

GROUP: Final = "atp.orders"
UNKNOWN_ORDER: Final = "unknown_order"


class OrderIntake:
    """Applies batches of `orders.v1`; see `services.chassis.consumer.Handler`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Apply the batch in order."""
        rejected: list[Rejected] = []
        waiting: dict[int, asyncio.Future[object]] = {}
        for index, delivery in enumerate(batch):
            try:
                command = command_of(delivery.event)
            except EventRefused as refused:
                rejected.append(Rejected(index, refused.code, refused.detail))
                continue
            waiting[index] = await self._engine.submit_in_turn(Lane.KAFKA, command)  # type: ignore[assignment]
        outcomes = await asyncio.gather(*waiting.values(), return_exceptions=True)
        for index, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if isinstance(outcome, UnknownOrder):
                rejected.append(Rejected(index, UNKNOWN_ORDER, "an order that never came cannot be changed"))
        return rejected


def command_of(event: Event) -> Command:
    """The command that an event carries. Raises EventRefused."""
    payload = decode(event.type, event.data, topic=event.topic)
    origin = origin_of(event)
    match payload:
        case OrderAmended() | OrderReleased() | OrderTransferred() | OrderRevived():
            _check_key(event, payload.order.order_id)
            fault = fault_of(payload) if isinstance(payload, OrderAmended) else None
            if fault is not None:
                raise EventRefused(fault.code, fault.title)
            return change_command(payload, origin)
        case OrderPlaced():
            _check_key(event, payload.order.order_id)
            fault = fault_of(payload)
            if fault is not None:
                raise EventRefused(fault.code, fault.title)
            return place_command(payload, origin)
        case OrderConfirmed():
            _check_key(event, payload.order.order_id)
            return ConfirmOrder(order_key(payload.order.source, payload.order.order_id), payload.order.version, origin)
        case OrderCancelled():
            _check_key(event, payload.order.order_id)
            key = order_key(payload.order.source, payload.order.order_id)
            return CancelOrder(key, payload.order.version, origin, reason=payload.reason)
        case Payload():
            raise EventRefused(INVALID_PAYLOAD, f"{event.type} is no command on an order")
        case _:
            assert_never(payload)


def origin_of(event: Event) -> Origin:
    """Where a command of this event came from. An event's id is unique at its source only."""
    return Origin(event.correlation_id, event.id, event.traceparent, f"{event.source} {event.id}")


def _check_key(event: Event, order_id: str) -> None:
    if event.key != order_id:  # under another key, commands of one order could overtake each other
        raise EventRefused(INVALID_PAYLOAD, "the event's key is not the order's id")
