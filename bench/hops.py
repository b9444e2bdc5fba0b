"""Where the time goes between an order and its customer's new tier: the outbox of each service says when it took over.

answered -> counted and judged -> proposed in the log -> decided -> tier in the log -> served
"""

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

import asyncpg

from bench.figures import Figure

STEPS: Final = (
    "the order's record in the log",
    "counted, judged and proposed",
    "the proposal in the log",
    "decided by the registry",
    "the tier in the log",
    "served by it",
)
_TIMES: Final = """
SELECT i.id AS name, o.published_at AS recorded, p.created_at AS proposed, p.published_at AS proposal_published,
    s.created_at AS decided, s.published_at AS tier_published
FROM segment_registry.identifier i
JOIN reclassifier.outbox p ON p.aggregateid = i.customer_id::text AND p.type LIKE 'segment.proposed%'
JOIN segment_registry.outbox s ON s.aggregateid = i.customer_id::text AND s.type LIKE 'segment.current%' AND s.lane = 0
JOIN atp.outbox o ON o.type LIKE 'order.recorded%'
    AND convert_from(o.payload, 'UTF8')::jsonb->'order'->>'order_id' = 'move-' || i.id
WHERE i.system = 'bench' AND i.id = ANY($1)
"""


async def hops(database_url: str, moments: Mapping[str, tuple[datetime, datetime]], case: str) -> list[Figure]:
    """Figures of each step; `moments` are when each customer's order was answered, and when it was served."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(_TIMES, list(moments), timeout=120)
    finally:
        await connection.close()
    by_step: list[list[float]] = [[] for _ in STEPS]
    for row in rows:
        answered, served = moments[row["name"]]
        times = [answered, *(value for value in tuple(row)[1:]), served]
        for found, (before, after) in zip(by_step, pairwise(times), strict=True):
            found.append((after - before).total_seconds() * 1e3)
    return [_figure(f"{step}{case}", found) for step, found in zip(STEPS, by_step, strict=True) if found]


def _figure(case: str, milliseconds: Sequence[float]) -> Figure:
    ordered = sorted(milliseconds)
    median = statistics.median(ordered)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Figure(f"  of it {case}", "latency", "ms (median)", median, p50_ms=median, p99_ms=p99)
