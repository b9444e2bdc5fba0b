"""Gross supply is not lowered by shipments: what leaves in the period of a protection that is a part of it is counted.

The day that counts is the one on which the goods left, so that the ledger says the same.
"""

from datetime import UTC, datetime

from services.atp.application.batch import Batch
from services.atp.domain.model import PositionKey
from services.atp.domain.protected_supply import shipped_key


def count_shipment(batch: Batch, key: PositionKey, quantity: int, occurred_at: datetime) -> None:
    """Goods left a position."""
    day = occurred_at.astimezone(UTC).toordinal()
    for protection in batch.book.protections.get(key, ()):
        if protection.basis != "quantity" and protection.start <= day <= protection.end:
            batch.workbook.count(shipped_key(protection), quantity)
