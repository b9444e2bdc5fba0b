"""Commands that change an order, from what came in, over HTTP or from the event log: the checks are the same."""

import hashlib

from services.atp.application.amend_order import AmendOrder
from services.atp.application.commands import Origin, Remembered
from services.atp.application.content import content_of, encode, fingerprint_of
from services.atp.application.release_part import ReleasedLine, ReleasePart
from services.atp.application.revive_hold import ReviveHold
from services.atp.application.transfer_part import TransferPart
from services.atp.entrypoints.orders import order_key
from services.contracts.order_changes import OrderAmended, OrderReleased, OrderRevived, OrderTransferred

OrderChange = OrderAmended | OrderReleased | OrderTransferred | OrderRevived
ChangeCommand = AmendOrder | ReleasePart | TransferPart | ReviveHold


def change_command(said: OrderChange, origin: Origin, remembered: Remembered | None = None) -> ChangeCommand:
    """The command for a checked change. Its fingerprint leaves out the order's version and the reason."""
    key, version = order_key(said.order.source, said.order.order_id), said.order.version
    told_apart = said.model_dump_json(exclude={"order", "reason"})
    fingerprint = hashlib.sha256(f"{type(said).__name__}\n{told_apart}".encode()).digest()
    match said:
        case OrderAmended():
            content = content_of(said)
            encoded = encode(content)
            return AmendOrder(
                key,
                version,
                content,
                encoded,
                fingerprint_of(encoded),
                fingerprint,
                origin,
                remembered,
                replan=said.replan,
                hold_seconds=said.hold_seconds,
                reason=said.reason,
            )
        case OrderReleased():
            released = tuple(ReleasedLine(each.line, each.quantity, each.location) for each in said.lines)
            return ReleasePart(key, version, released, fingerprint, origin, remembered, said.reason)
        case OrderTransferred():
            to_order = None
            if said.to_order is not None:
                to_order = (order_key(said.order.source, said.to_order.order_id), said.to_order.line)
            return TransferPart(
                key,
                version,
                said.line,
                said.quantity,
                said.from_location,
                said.to_location,
                to_order,
                fingerprint,
                origin,
                remembered,
                said.reason,
            )
        case OrderRevived():
            return ReviveHold(key, version, fingerprint, origin, remembered, said.hold_seconds, said.reason)
