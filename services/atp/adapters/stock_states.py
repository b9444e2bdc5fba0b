"""What a source has said of a position, back from its row."""

from datetime import datetime
from typing import Any

import orjson

from services.atp.domain.stock_intake import StockState, Waiting


def state_of(encoded: str) -> StockState:
    """A state as it was stored."""
    fields: dict[str, Any] = orjson.loads(encoded)
    waiting = fields["waiting"]
    if waiting is not None:
        waiting = Waiting(waiting["cursor"], datetime.fromisoformat(waiting["as_of"]), waiting["correction"])
    counted_at = fields["counted_at"]
    return StockState(
        floor=fields["floor"],
        through=fields["through"],
        beyond=tuple((low, high) for low, high in fields["beyond"]),
        cursor=fields["cursor"],
        counted_at=None if counted_at is None else datetime.fromisoformat(counted_at),
        counted_by_time=fields["counted_by_time"],
        waiting=waiting,
    )
