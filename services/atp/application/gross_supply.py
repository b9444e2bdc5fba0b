"""Gross supply is not lowered by shipments: what leaves in the period of a protection that depends on it is counted.

The day that counts is the one on which the goods left, so that the ledger says the same.
"""

from datetime import UTC, datetime

from services.atp.application.batch import Batch
from services.atp.domain.model import PositionKey
from services.atp.domain.protected_supply import counts_shipment, shipped_key


def count_shipment(batch: Batch, key: PositionKey, quantity: int, occurred_at: datetime) -> None:
    """Goods left a position."""
    day = occurred_at.astimezone(UTC).toordinal()
    for protection in batch.book.protections.get(key, ()):
        if counts_shipment(protection, day):
            batch.workbook.count(shipped_key(protection), quantity)
