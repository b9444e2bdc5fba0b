"""Effective-dated costs in PostgreSQL, and what counted activities and goods cost at them."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from services.atp.adapters.order_costs import measure_anew_since
from services.atp.adapters.service_months import closed_since, correct
from services.atp.application.cost_inputs import RateKind, RateRow
from services.atp.domain.model import Day
from services.atp.domain.service_figures import GOODS
from services.atp.domain.service_measures import AmountKey
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database
from services.contracts.costs import exact

RATES_LISTED_MAX: Final = 1_000
# The measuring adds to totals under the same lock: a correction must see either all of a change or nothing of it.
_LOCK: Final = "SELECT FROM measuring FOR UPDATE"
_STORE: Final = """
INSERT INTO cost_rate (kind, name, effective_day, version, amount_minor, author)
SELECT k.*, $6 FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::numeric[]) AS k
ON CONFLICT (kind, name, effective_day) DO UPDATE SET version = excluded.version, amount_minor = excluded.amount_minor,
    author = excluded.author, recorded_at = clock_timestamp()
WHERE cost_rate.version < excluded.version
RETURNING effective_day
"""
_RATES: Final = """
SELECT name, effective_day, version, amount_minor, author, recorded_at FROM cost_rate
WHERE kind = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name, effective_day LIMIT $3
"""
_AMOUNT: Final = """
SELECT k.number, r.amount_minor FROM unnest($1::int[], $2::text[], $3::text[], $4::int[]) AS k (number, kind, name, day)
JOIN LATERAL (
    SELECT c.amount_minor FROM cost_rate c
    WHERE c.kind = k.kind AND c.name = k.name AND c.effective_day <= k.day AND c.amount_minor IS NOT NULL
    ORDER BY c.effective_day DESC LIMIT 1
) AS r ON true
"""


class PostgresCostInputs:
    """`CostInputs` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, rows: Sequence[RateRow], author: str) -> int:
        """See the port."""
        return await self._database.run(lambda connection: store_rates(connection, rows, author), label="store costs")

    async def rates(self, kind: RateKind, name: str | None) -> list[dict[str, Any]]:
        """See the port."""

        async def work(connection: Connection) -> list[dict[str, Any]]:
            return [
                {
                    "name": row["name"],
                    "effective_from": date.fromordinal(row["effective_day"]).isoformat(),
                    "amount_minor": exact(row["amount_minor"]),
                    "version": row["version"],
                    "author": row["author"],
                    "recorded_at": row["recorded_at"],
                }
                for row in await connection.fetch(_RATES, kind, name, RATES_LISTED_MAX)
            ]

        return await self._database.read(work, label="costs")


async def store_rates(connection: Connection, rows: Sequence[RateRow], author: str) -> int:
    """Write entries at their versions and list what changes in closed months; how many entries were newer."""
    newest: dict[tuple[str, str, Day], RateRow] = {}
    for row in rows:
        key = (row.kind, row.name, row.effective_day)
        if key not in newest or newest[key].version < row.version:
            newest[key] = row
    await connection.execute(_LOCK)
    ordered = [newest[key] for key in sorted(newest)]
    stored = await connection.fetch(
        _STORE,
        [row.kind for row in ordered],
        [row.name for row in ordered],
        [row.effective_day for row in ordered],
        [row.version for row in ordered],
        [row.amount_minor for row in ordered],
        author,
    )
    if stored:
        first_day = min(row["effective_day"] for row in stored)
        await measure_anew_since(connection, first_day)
        months = await closed_since(connection, first_day)
        names = [f"{row.kind}/{row.name}@{date.fromordinal(row.effective_day)}" for row in ordered]
        await correct(connection, months, await business_now(connection), "cost_input", names)
    return len(stored)


async def at_rates(connection: Connection, amounts: Mapping[AmountKey, int]) -> dict[str, Decimal]:
    """What counted activities and goods cost at the rates of their days, and how many have none."""
    counted = [(key, amount) for key, amount in amounts.items() if key.measure in ("activity", "goods_units")]
    rows = await connection.fetch(
        _AMOUNT,
        list(range(len(counted))),
        ["activity" if key.measure == "activity" else "landed" for key, _ in counted],
        [key.detail for key, _ in counted],
        [key.day for key, _ in counted],
    )
    rates: dict[int, Decimal] = {row["number"]: row["amount_minor"] for row in rows}
    found: dict[str, Decimal] = {}
    for number, (key, amount) in enumerate(counted):
        component = key.detail if key.measure == "activity" else GOODS
        rate = rates.get(number)
        name, charged = (
            (f"cost_missing/{component}", Decimal(amount))
            if rate is None
            else (f"cost_rate/{component}", rate * amount)
        )
        found[name] = found.get(name, Decimal(0)) + charged
    return found
