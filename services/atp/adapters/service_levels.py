"""`ServiceLevels` over a database."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from services.atp.adapters import service_breaches
from services.atp.adapters.allocation_figures import running
from services.atp.adapters.capacity_figures import use_of_capacities
from services.atp.adapters.cost_rates import at_rates
from services.atp.adapters.measuring import behind, measure_changes
from services.atp.adapters.order_records import load_orders
from services.atp.adapters.service_months import (
    close,
    closed_month,
    figures_of,
    following,
    month_of,
    months_to_close,
)
from services.atp.application.ports import Unavailable
from services.atp.application.service_levels import CapacityUse, Change, MonthOfService, Running
from services.atp.domain.model import Day
from services.atp.domain.service_figures import Figures
from services.atp.domain.service_measures import measure
from services.chassis.business_time import business_now
from services.chassis.database import CommitUnknown, Connection, Database, DatabaseUnavailable, StillInConflict

T = TypeVar("T")
CLOSER: Final = "tiercel"
_PENALTIES: Final = """
SELECT tier, coalesce((policy ->> 'lateness_penalty_minor')::bigint, 100) AS lateness,
    coalesce((policy ->> 'backorder_penalty_minor')::bigint, 1000) AS backorder FROM tier
"""  # what a policy leaves out is as in `services.contracts.segments.TierPolicy`
_LOCK: Final = "SELECT FROM measuring FOR UPDATE"


class PostgresServiceLevels:
    """Implements `ServiceLevels`; months are closed by themselves `close_after` their end."""

    def __init__(self, database: Database, *, close_after: timedelta) -> None:
        self._database = database
        self._close_after = close_after

    async def month(self, month: Day | None) -> MonthOfService:
        """See the port."""

        async def work(connection: Connection) -> MonthOfService:
            today = (await business_now(connection)).toordinal()
            asked = month_of(today) if month is None else month
            waiting = await behind(connection)
            closed = await closed_month(connection, asked)
            penalties = {row["tier"]: (row["lateness"], row["backorder"]) for row in await connection.fetch(_PENALTIES)}
            if closed is None:
                figures = await figures_of(connection, asked, today)
                return MonthOfService(asked, today, waiting, figures, penalties=penalties)
            changes = [
                Change(each.number, each.recorded_at, each.cause, each.reference, each.figures)
                for each in closed.corrections
            ]
            known = (closed.closed_at, closed.closed_by, closed.figures)
            found = MonthOfService(asked, today, waiting, closed.current(), *known)
            return replace(found, corrections=changes, penalties=penalties)

        return await self._read(work)

    async def close(self, month: Day, author: str) -> bool | None:
        """See the port."""
        await self._measure()

        async def work(connection: Connection) -> bool | None:
            await connection.execute(_LOCK)
            now = await business_now(connection)
            if following(month) > now.toordinal():
                return None
            done = await close(connection, month, now, author)
            if done:
                await service_breaches.judge(connection, month, now)
            return done

        return await self._run(work)

    async def breaches(self, month: Day | None, tier: str | None, limit: int) -> list[dict[str, Any]]:
        """See the port."""
        return await self._read(lambda connection: service_breaches.breaches(connection, month, tier, limit))

    async def order_costs(self, promise_id: UUID) -> Figures | None:
        """See the port."""

        async def work(connection: Connection) -> Figures | None:
            orders = await load_orders(connection, [promise_id])
            if not orders:
                return None
            figures: dict[str, Decimal] = {}
            counted = measure(orders[0].record)
            for key, amount in counted.items():
                if key.measure.startswith("cost_"):
                    name = f"{key.measure}/{key.detail}"
                    figures[name] = figures.get(name, Decimal(0)) + amount
            for name, charged in (await at_rates(connection, counted)).items():
                figures[name] = figures.get(name, Decimal(0)) + charged
            return figures

        return await self._read(work)

    async def running(self) -> list[Running]:
        """See the port."""

        async def work(connection: Connection) -> list[Running]:
            return await running(connection, await business_now(connection))

        return await self._read(work)

    async def capacities(self) -> list[CapacityUse]:
        """See the port."""

        async def work(connection: Connection) -> list[CapacityUse]:
            return await use_of_capacities(connection, await business_now(connection))

        return await self._read(work)

    async def keep(self) -> bool:
        """See the port.

        Judged as of a time before the measuring began: what was promised by then is measured, so that no breach is told
        from a part of it.
        """
        now = await self._read(business_now)
        corrected = await self._measure()
        if corrected is None:
            return False

        async def work(connection: Connection) -> None:
            await connection.execute(_LOCK)
            for month in await months_to_close(connection, (now - self._close_after).toordinal()):
                await close(connection, month, now, CLOSER)
                corrected.add(month)
            this = month_of(now.toordinal())
            unclosed = await months_to_close(connection, now.toordinal())
            for month in sorted({*corrected, *unclosed, this}):
                await service_breaches.judge(connection, month, now)

        await self._run(work)
        return True

    async def _measure(self) -> set[Day] | None:
        """Measure what changed; the closed months that were corrected, None if another process is at it."""
        try:
            done = await measure_changes(self._database)
        except (DatabaseUnavailable, StillInConflict, CommitUnknown) as error:
            raise Unavailable(str(error)) from error
        return None if done is None else done.corrected

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await self._database.run(work, label="service levels")
        except (DatabaseUnavailable, StillInConflict, CommitUnknown) as error:
            raise Unavailable(str(error)) from error

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await self._database.read(work, label="service levels")
        except (DatabaseUnavailable, StillInConflict) as error:
            raise Unavailable(str(error)) from error
