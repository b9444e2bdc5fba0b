"""Lists of promises and of exceptions, each page on one database snapshot, without a lock.

A page of promises looks at `SCANNED_MAX` promises at most (of the customer, if one is named: that has an index) and may
be short for it; its cursor goes on where it ended. Exceptions are found by indexes: of deficits, of what is due, of
open commitments by position and of backorders.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from services.atp.application.list_promises import (
    EXCEPTION_KINDS,
    SCANNED_MAX,
    ExceptionFound,
    ExceptionPlace,
    ExceptionsAsked,
    PromisePage,
    PromisesAsked,
)
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

_CUSTOMER: Final = """
SELECT coalesce(
    (SELECT s.merged_into FROM segment s WHERE s.customer_id = i.customer_id AND s.status = 'merged'), i.customer_id
) FROM segment_identifier i WHERE i.system = $1 AND i.external_id = $2
"""
_SCANNED: Final = """
SELECT p.promise_id, p.source, p.order_id, p.state, p.channel, p.document FROM promise p
WHERE ($1::uuid IS NULL OR p.promise_id < $1) AND ($2::text IS NULL OR p.customer_id = $2)
ORDER BY p.promise_id DESC LIMIT $3
"""
_PAGE: Final = f"""
WITH scanned AS ({_SCANNED}), found AS (
    SELECT s.promise_id, s.document FROM scanned s
    CROSS JOIN LATERAL (SELECT convert_from(s.document, 'UTF8')::jsonb AS document OFFSET 0) d
    WHERE ($4::text IS NULL OR s.source = $4) AND ($5::text IS NULL OR s.order_id = $5)
    AND ($6::text[] IS NULL OR s.state = ANY($6)) AND ($7::text[] IS NULL OR s.channel = ANY($7))
    AND ($8::text IS NULL OR d.document -> 'served_as' ->> 'tier' = $8)
    AND ($9::text IS NULL
        OR jsonb_path_exists(d.document, '$.lines[*] ? (@.sku == $sku)', jsonb_build_object('sku', $9::text)))
    AND ($10::text IS NULL OR d.document -> 'customer' = jsonb_build_object('system', $10::text, 'id', $11::text))
    AND ($12::text IS NULL AND $13::text IS NULL OR jsonb_path_exists(
        d.document,
        '$.lines[*].schedule[*] ? (@.arrival_date >= $first && @.arrival_date <= $last)',
        jsonb_build_object('first', coalesce($12::text, '0000'), 'last', coalesce($13::text, '9999'))
    ))
    ORDER BY s.promise_id DESC LIMIT $14
)
SELECT promise_id, document, NULL::bigint AS scanned FROM found
UNION ALL
SELECT min(promise_id::text)::uuid, NULL, count(*) FROM scanned
"""  # noqa: S608 - made of constants
_CHANNEL: Final = "($4::text[] IS NULL OR p.channel = ANY($4))"
_RANKED: Final = "coalesce(t.priority_rank, 1000000)"
_COLUMNS: Final = """
    {rank} AS priority_rank, {kind} AS kind, {day} AS day, p.promise_id, {line} AS line, {part} AS part,
    {tier} AS tier, p.source, p.order_id, {item} AS item_id, {location} AS location_id, {quantity} AS quantity,
    {at} AS at, {cause} AS cause
"""
_SERVED_AS: Final = (  # the tier that a promise was made for, and its rank
    " CROSS JOIN LATERAL"
    " (SELECT convert_from(p.document, 'UTF8')::jsonb -> 'served_as' ->> 'tier' AS tier) s"
    " LEFT JOIN tier t ON t.tier = s.tier"
)
_DEFICITS: Final = f"""
SELECT min({_RANKED}) AS priority_rank, 0 AS kind, min(d.ship_day) AS day,
    '00000000-0000-0000-0000-000000000000'::uuid AS promise_id, d.item_id || ' ' || d.location_id AS line, 0 AS part,
    (array_agg(d.tier ORDER BY {_RANKED}, d.tier))[1] AS tier, NULL AS source, NULL AS order_id, d.item_id,
    d.location_id, sum(d.quantity)::bigint AS quantity, min(d.since) AS at,
    (array_agg(d.cause ORDER BY d.since DESC, d.promise_id, d.line, d.part))[1] AS cause
FROM deficit d LEFT JOIN tier t ON t.tier = d.tier GROUP BY d.item_id, d.location_id
"""  # noqa: S608 - made of constants
_AT_RISK: Final = (
    "SELECT "
    + _COLUMNS.format(
        rank=_RANKED,
        kind="1",
        day="d.ship_day",
        line="d.line",
        part="d.part",
        tier="d.tier",
        item="d.item_id",
        location="d.location_id",
        quantity="d.quantity",
        at="d.since",
        cause="d.cause",
    )
    + f"FROM deficit d JOIN promise p USING (promise_id) LEFT JOIN tier t ON t.tier = d.tier WHERE {_CHANNEL}"
)
_PAST_DUE: Final = (
    "SELECT "
    + _COLUMNS.format(
        rank=_RANKED,
        kind="2",
        day="c.ship_day",
        line="c.line",
        part="c.part",
        tier="c.tier",
        item="c.item_id",
        location="c.location_id",
        quantity="c.open",
        at="NULL::timestamptz",
        cause="NULL",
    )
    + "FROM position q JOIN commitment c ON c.item_id = q.item_id AND c.location_id = q.location_id AND c.open > 0"
    " JOIN promise p ON p.promise_id = c.promise_id LEFT JOIN tier t ON t.tier = c.tier"
    f" WHERE q.commit_days[1] < $1 AND c.available_day < $1 AND c.ship_day < $1 AND {_CHANNEL}"
)
_HOLDS: Final = (
    "SELECT "
    + _COLUMNS.format(
        rank=_RANKED,
        kind="3",
        day="$1::int",
        line="''",
        part="0",
        tier="coalesce(s.tier, '')",
        item="NULL",
        location="NULL",
        quantity="NULL::bigint",
        at="p.held_until",
        cause="NULL",
    )
    + "FROM due d JOIN order_identity i ON i.source = d.key::jsonb ->> 0 AND i.order_id = d.key::jsonb ->> 1"
    " JOIN promise p ON p.promise_id = i.promise_id"
    + _SERVED_AS
    + f" WHERE d.kind = 'hold' AND d.at <= $2 AND p.state = 'held' AND {_CHANNEL}"
)
_BACKORDERS: Final = (
    "SELECT "
    + _COLUMNS.format(
        rank=_RANKED,
        kind="4",
        day="b.requested_day",
        line="b.line",
        part="0",
        tier="coalesce(s.tier, '')",
        item="b.item_id",
        location="NULL",
        quantity="b.quantity",
        at="b.ordered_at::timestamptz",
        cause="NULL",
    )
    + "FROM backorder b JOIN promise p ON p.promise_id = b.promise_id"
    + _SERVED_AS
    + f" WHERE NOT b.late AND b.ordered_at::timestamptz <= $3 AND {_CHANNEL}"
)
# Of a capacity that was lowered below what is booked; whose promise ships later is for the warehouse to say.
_OVERBOOKED: Final = """
SELECT 1000000 AS priority_rank, 5 AS kind, u.period_start AS day, '00000000-0000-0000-0000-000000000000'::uuid,
    c.capacity_id AS line, 0 AS part, '*' AS tier, NULL AS source, NULL AS order_id, NULL AS item_id, c.location_id,
    u.consumed - d.units AS quantity, NULL::timestamptz AS at, NULL AS cause
FROM capacity c JOIN usage u ON u.kind = 'capacity' AND u.limit_id = c.capacity_id AND u.period_start >= $1
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT (e ->> 1)::bigint FROM jsonb_array_elements(c.exceptions) AS e WHERE (e ->> 0)::int = u.period_start),
        c.weekdays[(u.period_start - 1) % 7 + 1]
    ) AS units
) AS d
WHERE c.effective_from <= $16 AND (c.effective_to IS NULL OR c.effective_to > $16) AND u.consumed > d.units
"""
_UNMET: Final = (
    "SELECT "
    + _COLUMNS.format(
        rank=_RANKED,
        kind="6",
        day="b.requested_day",
        line="b.line",
        part="b.late::int",
        tier="coalesce(s.tier, '')",
        item="b.item_id",
        location="NULL",
        quantity="b.quantity",
        at="b.ordered_at::timestamptz",
        cause="CASE WHEN b.late THEN 'late' ELSE 'missing' END",
    )
    + "FROM backorder b JOIN promise p ON p.promise_id = b.promise_id"
    + _SERVED_AS
    + f" WHERE b.unmet AND {_CHANNEL}"
)
_SET_ASIDE: Final = (
    "SELECT "  # noqa: S608 - made of constants
    + _COLUMNS.format(
        rank=_RANKED,
        kind="7",
        day="(e ->> 2)::int",
        line="e #>> '{0,4}'",
        part="(row_number() OVER (PARTITION BY p.promise_id, e #>> '{0,4}' ORDER BY q.item_id, q.location_id))::int",
        tier="coalesce(s.tier, '')",
        item="q.item_id",
        location="q.location_id",
        quantity="(SELECT sum((step ->> 1)::bigint)::bigint FROM jsonb_array_elements(e -> 3) AS step)",
        at="NULL::timestamptz",
        cause="NULL",
    )
    + "FROM position q CROSS JOIN LATERAL jsonb_array_elements(q.set_aside) AS e"
    " JOIN order_identity i ON i.source = e #>> '{0,2}' AND i.order_id = e #>> '{0,3}'"
    " JOIN promise p ON p.promise_id = i.promise_id"
    + _SERVED_AS
    + f" WHERE q.set_aside IS NOT NULL AND (e ->> 2)::int >= $1 AND {_CHANNEL}"
)
_EACH: Final = (_DEFICITS, _AT_RISK, _PAST_DUE, _HOLDS, _BACKORDERS, _OVERBOOKED, _UNMET, _SET_ASIDE)
_ALL: Final = " UNION ALL ".join(_EACH)
# What concerns no item, or one whose criticality nobody has told, comes after what is known to be critical.
_EXCEPTIONS: Final = f"""
SELECT e.*, r.criticality_rank, i.criticality FROM ({_ALL}) AS e LEFT JOIN item i ON i.item_id = e.item_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_position('{{vital,essential,desirable}}'::text[], i.criticality), 4) AS criticality_rank
) AS r
WHERE e.kind = ANY($5::int[]) AND ($6::text IS NULL OR e.tier = $6) AND ($7::text IS NULL OR e.item_id = $7)
AND ($8::int IS NULL OR (e.priority_rank, r.criticality_rank, e.kind, e.day, e.promise_id, e.line, e.part)
    > ($8, $9::int, $10::int, $11::int, $12::uuid, $13::text, $14::int))
ORDER BY e.priority_rank, r.criticality_rank, e.kind, e.day, e.promise_id, e.line, e.part LIMIT $15
"""  # noqa: S608 - made of constants


class PostgresPromiseLists:
    """Implements `PromiseLists`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, asked: PromisesAsked, after: UUID | None, limit: int) -> PromisePage:
        """Promises, the newest first."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            customer_id, (system, reference) = await _customer(connection, asked.customer)
            return await connection.fetch(
                _PAGE,
                after,
                customer_id,
                SCANNED_MAX,
                asked.source,
                asked.order_id,
                _given(asked.states),
                _given(asked.channels),
                asked.tier,
                asked.item_id,
                system,
                reference,
                _iso(asked.arrival_from),
                _iso(asked.arrival_to),
                limit,
            )

        *found, scanned = await self._database.read(read, label="list promises")
        if len(found) == limit:
            return PromisePage([row["document"] for row in found], found[-1]["promise_id"])
        more = scanned["promise_id"] if scanned["scanned"] == SCANNED_MAX else None
        return PromisePage([row["document"] for row in found], more)

    async def exceptions(
        self, asked: ExceptionsAsked, after: ExceptionPlace | None, limit: int
    ) -> list[ExceptionFound]:
        """Exceptions in their order."""

        async def read(connection: Connection) -> list[asyncpg.Record]:
            now = await business_now(connection)
            place = after or (None,) * len(ExceptionPlace._fields)
            kinds = [EXCEPTION_KINDS.index(kind) for kind in asked.kinds]
            return await connection.fetch(
                _EXCEPTIONS,
                now.date().toordinal(),
                now + timedelta(hours=asked.hold_hours),
                now - timedelta(days=asked.backorder_days),
                _given(asked.channels),
                kinds,
                asked.tier,
                asked.item_id,
                *place,
                limit,
                now,
            )

        return [_exception(row) for row in await self._database.read(read, label="list exceptions")]


async def _customer(
    connection: Connection, customer: tuple[str, str] | None
) -> tuple[str | None, tuple[str | None, str | None]]:
    """The registry's id, if it knows the customer; else what the order itself says."""
    if customer is None:
        return None, (None, None)
    system, reference = customer
    if system == "tiercel":
        return reference, (None, None)
    known: str | None = await connection.fetchval(_CUSTOMER, system, reference)
    return known, (None, None) if known is not None else (system, reference)


def _given(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _iso(day: int | None) -> str | None:
    return None if day is None else date.fromordinal(day).isoformat()


def _exception(row: asyncpg.Record) -> ExceptionFound:
    fields: dict[str, Any] = dict(row)
    place = ExceptionPlace(*(fields[name] for name in ExceptionPlace._fields))
    at: datetime | None = fields["at"]
    return ExceptionFound(
        place,
        EXCEPTION_KINDS[place.kind],
        fields["tier"],
        fields["source"],
        fields["order_id"],
        fields["item_id"],
        fields["location_id"],
        fields["quantity"],
        place.day,
        at,
        fields["cause"],
        fields["criticality"],
    )
