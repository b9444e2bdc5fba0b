"""Reports of orders in PostgreSQL. Duplicates are found by a look-up under the lock of the order."""

from collections.abc import Sequence
from typing import Final

from services.atp.application.content import OrderKey
from services.atp.application.order_reports import ReportEntry, ReportName
from services.chassis.database import Connection

_KNOWN: Final = """
SELECT DISTINCT order_source, order_id, source, reference FROM order_report
JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (order_source, order_id, source, reference)
USING (order_source, order_id, source, reference)
"""
_STORE: Final = """
INSERT INTO order_report (source, reference, kind, what, promise_id, order_source, order_id, line, quantity,
    actual_cost_minor, outcome, occurred_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[],
    $9::bigint[], $10::bigint[], $11::text[], $12::timestamptz[])
"""


class PostgresReports:
    """`OrderReports` over one connection, inside its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, names: Sequence[ReportName]) -> list[ReportName]:
        """See the port."""
        rows = await self._connection.fetch(
            _KNOWN,
            [name.key.source for name in names],
            [name.key.order_id for name in names],
            [name.source for name in names],
            [name.reference for name in names],
        )
        return [ReportName(OrderKey(row[0], row[1]), row[2], row[3]) for row in rows]

    async def store(self, entries: Sequence[ReportEntry]) -> None:
        """See the port."""
        rows = [
            (
                entry.report.name.source,
                entry.report.name.reference,
                entry.report.kind,
                entry.report.what,
                entry.promise_id,
                *entry.report.name.key,
                entry.report.line,
                entry.report.quantity,
                entry.report.actual_cost_minor,
                entry.outcome,
                entry.report.occurred_at,
            )
            for entry in entries
        ]
        await self._connection.execute(_STORE, *(list(column) for column in zip(*rows, strict=True)))
