"""Deficits and the requests to look at them, as rows; and the start of a day, which can make promises lack supply."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import asyncpg

from services.atp.adapters import transfers
from services.atp.adapters.positions import PositionStore
from services.atp.application.content import OrderKey
from services.atp.application.deficit_records import AskedReview, Look, OpenPart, PartKey, StoredDeficit
from services.atp.application.documents import load as load_document
from services.atp.domain.deficits import may_lack
from services.atp.domain.model import Day, PositionKey
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database, announce
from services.chassis.writes import Writes
from services.contracts.risks import RiskCause

T = TypeVar("T")
ASKED: Final = "deficit_review"  # the subject of the NOTIFY that wakes the reviews
_ASK: Final = """
INSERT INTO deficit_review (item_id, location_id, cause, asked_at)
SELECT item_id, location_id, cause, $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS k (item_id, location_id, cause)
ORDER BY 1, 2
ON CONFLICT (item_id, location_id) DO NOTHING
"""
_OPEN: Final = """
SELECT c.item_id, c.location_id, c.promise_id, c.line, c.part, c.tier, c.quantity, c.open, c.available_day, c.ship_day,
    c.arrival_day, c.assumed
FROM unnest($1::text[], $2::text[]) AS k (item_id, location_id)
JOIN commitment c ON c.item_id = k.item_id AND c.location_id = k.location_id AND c.open > 0
"""
_PROMISES: Final = """
SELECT p.promise_id, p.source, p.order_id, p.customer_id, p.document
FROM unnest($1::uuid[]) AS k (promise_id) JOIN promise p ON p.promise_id = k.promise_id
"""
_STORED: Final = """
SELECT d.item_id, d.location_id, d.promise_id, d.line, d.part, d.tier, d.promised, d.quantity, d.available_day,
    d.ship_day, d.arrival_day, d.covered_day, d.cause, d.since, d.source, d.order_id, d.customer_id
FROM unnest($1::text[], $2::text[]) AS k (item_id, location_id)
JOIN deficit d ON d.item_id = k.item_id AND d.location_id = k.location_id
"""
_OF_PROMISE: Final = "SELECT line, part, quantity FROM deficit WHERE promise_id = $1"
_PUT: Final = """
INSERT INTO deficit (promise_id, line, part, item_id, location_id, source, order_id, customer_id, tier, promised,
    quantity, available_day, ship_day, arrival_day, covered_day, cause, since)
SELECT promise_id, line, part, $1, $2, source, order_id, customer_id, tier, promised, quantity, available_day, ship_day,
    arrival_day, covered_day, cause, since
FROM unnest($3::uuid[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
    $11::bigint[], $12::int[], $13::int[], $14::int[], $15::int[], $16::text[], $17::timestamptz[])
    AS k (promise_id, line, part, source, order_id, customer_id, tier, promised, quantity, available_day, ship_day,
        arrival_day, covered_day, cause, since)
ON CONFLICT (promise_id, line, part) DO UPDATE SET quantity = excluded.quantity, covered_day = excluded.covered_day
"""
_GONE: Final = """
DELETE FROM deficit d USING unnest($1::uuid[], $2::text[], $3::int[]) AS k (promise_id, line, part)
WHERE d.promise_id = k.promise_id AND d.line = k.line AND d.part = k.part
"""
# A request that was asked for again, while the review read what was there before, is another version of the row.
_FINISHED: Final = """
DELETE FROM deficit_review WHERE item_id = $1 AND location_id = $2 AND $3::bigint IN (0, xmin::text::bigint)
"""
_REVIEWS: Final = """
SELECT item_id, location_id, cause, xmin::text::bigint AS request FROM deficit_review
ORDER BY asked_at, item_id, location_id LIMIT $1
"""
_DAY: Final = "SELECT day FROM supply_day"
# A replay may begin long before the last day that was looked at.
_NEW_DAY: Final = "UPDATE supply_day SET day = $1 WHERE day <> $1 RETURNING day"
# Where the start of a day can change who goes short: a receipt becomes too late, an assumed one comes within the
# horizon, or somebody goes short already.
_REACHED: Final = """EXISTS (SELECT FROM unnest(p.receipt_days, p.receipt_assumed) AS r (day, assumed)
    WHERE r.assumed > 0 AND (i.checking_horizon_days IS NULL OR i.backorder_policy = 'discontinued'
        OR r.day < $1 + i.checking_horizon_days))"""
_ASK_FOR_THE_DAY: Final = f"""
INSERT INTO deficit_review (item_id, location_id, cause, asked_at)
SELECT p.item_id, p.location_id, CASE WHEN {_REACHED} THEN 'horizon_reached' ELSE 'date_passed' END, $2
FROM position p LEFT JOIN item i USING (item_id)
WHERE cardinality(p.commit_days) > 0 AND (
    EXISTS (SELECT FROM unnest(p.receipt_days) AS r (day) WHERE r.day < $1) OR {_REACHED}
    OR EXISTS (SELECT FROM deficit d WHERE d.item_id = p.item_id AND d.location_id = p.location_id))
ORDER BY 1, 2
ON CONFLICT (item_id, location_id) DO UPDATE SET cause = deficit_review.cause
"""  # noqa: S608 - made of constants
_ASK_FOR_ITEMS: Final = f"""
INSERT INTO deficit_review (item_id, location_id, cause, asked_at)
SELECT p.item_id, p.location_id, CASE WHEN {_REACHED} THEN 'horizon_reached' ELSE 'supply_cut' END, $2
FROM position p JOIN item i USING (item_id)
WHERE p.item_id = ANY($3::text[]) AND cardinality(p.commit_days) > 0
ORDER BY 1, 2
ON CONFLICT (item_id, location_id) DO UPDATE SET cause = excluded.cause
"""  # noqa: S608 - made of constants


class DeficitStore:
    """The deficits of one transaction; nothing is locked here but what is written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, reviews: Mapping[PositionKey, RiskCause], at: datetime) -> None:
        """Ask for reviews of positions; whoever does them is woken after the commit."""
        items, locations = zip(*reviews, strict=True)
        await self._connection.execute(_ASK, items, locations, list(reviews.values()), at)
        await announce(self._connection, ASKED)

    async def looks(self, keys: Collection[PositionKey], today: Day) -> dict[PositionKey, Look]:
        """See the port."""
        asked = sorted(set(keys))
        positions = await PositionStore(self._connection, Writes(self._connection), locking=False).load(asked)
        stored: dict[PositionKey, dict[PartKey, StoredDeficit]] = {key: {} for key in positions}
        for each in await self._at(_STORED, list(positions), _stored):
            if each.key in stored:
                stored[each.key][each.part.name] = each
        lacking = [key for key, each in positions.items() if stored[key] or may_lack(each.position, today)]
        open_parts = await self._open(lacking)
        leaving = await transfers.leaving(self._connection, lacking) if lacking else {}
        return {
            key: Look(each.position, open_parts.get(key, []), leaving.get(key, []), stored[key])
            for key, each in positions.items()
        }

    async def of_promise(self, promise_id: UUID) -> dict[PartKey, int]:
        """What of the parts of a promise is not covered."""
        rows = await self._connection.fetch(_OF_PROMISE, promise_id)
        return {PartKey(promise_id, row["line"], row["part"]): row["quantity"] for row in rows}

    async def _open(self, keys: Sequence[PositionKey]) -> dict[PositionKey, list[OpenPart]]:
        """All that is open at positions. A promise is read once, however many of its parts are among them."""
        rows = await self._at(_OPEN, keys, lambda row: row)
        wanted = sorted({row["promise_id"] for row in rows})
        promises = [_Promise.of(row) for row in await self._connection.fetch(_PROMISES, wanted)] if wanted else []
        known = {each.promise_id: each for each in promises}
        found: dict[PositionKey, list[OpenPart]] = {}
        for row in rows:
            part = _open_part(row, known[row["promise_id"]])
            found.setdefault(PositionKey(row["item_id"], row["location_id"]), []).append(part)
        return found

    async def _at(self, question: str, keys: Sequence[PositionKey], read: Callable[[asyncpg.Record], T]) -> list[T]:
        if not keys:
            return []
        items, locations = zip(*keys, strict=True)
        return [read(row) for row in await self._connection.fetch(question, items, locations)]

    async def store(
        self, key: PositionKey, put: Sequence[StoredDeficit], gone: Sequence[PartKey], *, finished: int | None
    ) -> None:
        """See the port."""
        if put:
            await self._connection.execute(_PUT, *key, *_columns(put))
        if gone:
            names = [each.place for each in gone]
            await self._connection.execute(_GONE, *(list(column) for column in zip(*names, strict=True)))
        if finished is not None:
            await self._connection.execute(_FINISHED, *key, finished)


async def ask_for_items(connection: Connection, item_ids: Sequence[str]) -> None:
    """Ask for reviews wherever something is committed of items whose policy changed: what counts as supply may have.

    Positions that the transaction locks are locked before: a review locks its position first, then its request.
    """
    now = await business_now(connection)
    await connection.execute(_ASK_FOR_ITEMS, now.date().toordinal(), now, item_ids)
    await announce(connection, ASKED)


async def asked_reviews(database: Database, limit: int) -> list[AskedReview]:
    """Positions to look at, the one asked for first before others; those of a new day among them."""

    async def work(connection: Connection) -> list[Any]:
        now = await business_now(connection)
        today = now.date().toordinal()
        if (await connection.fetchval(_DAY)) != today and await connection.fetchval(_NEW_DAY, today):
            await connection.execute(_ASK_FOR_THE_DAY, today, now)
        return list(await connection.fetch(_REVIEWS, limit))

    rows = await database.run(work, label="deficit reviews")
    return [AskedReview(PositionKey(row["item_id"], row["location_id"]), row["cause"], row["request"]) for row in rows]


@dataclass(frozen=True, slots=True)
class _Promise:
    """What a review needs to know of a promise; `requested` by line."""

    promise_id: UUID
    order: OrderKey
    customer_id: str | None
    ordered_at: datetime
    requested: Mapping[str, str]

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read from its row."""
        document = load_document(row["document"])
        return cls(
            row["promise_id"],
            OrderKey(row["source"], row["order_id"]),
            row["customer_id"],
            datetime.fromisoformat(document["ordered_at"]),
            {line["line"]: line["requested_arrival"] or "" for line in document["lines"]},
        )


def _open_part(row: asyncpg.Record, promise: _Promise) -> OpenPart:
    return OpenPart(
        name=PartKey(row["promise_id"], row["line"], row["part"]),
        order=promise.order,
        customer_id=promise.customer_id,
        tier=row["tier"],
        requested=promise.requested[row["line"]],
        ordered_at=promise.ordered_at,
        promised=row["quantity"],
        open=row["open"],
        available_day=row["available_day"],
        ship_day=row["ship_day"],
        arrival_day=row["arrival_day"],
        assumed=row["assumed"],
    )


def _stored(row: asyncpg.Record) -> StoredDeficit:
    part = OpenPart(
        name=PartKey(row["promise_id"], row["line"], row["part"]),
        order=OrderKey(row["source"], row["order_id"]),
        customer_id=row["customer_id"],
        tier=row["tier"],
        requested="",
        ordered_at=row["since"],
        promised=row["promised"],
        open=0,
        available_day=row["available_day"],
        ship_day=row["ship_day"],
        arrival_day=row["arrival_day"],
    )
    key = PositionKey(row["item_id"], row["location_id"])
    return StoredDeficit(part, key, row["quantity"], row["covered_day"], row["cause"], row["since"])


def _columns(put: Sequence[StoredDeficit]) -> list[list[Any]]:
    parts = [each.part for each in put]
    return [
        [part.name.promise_id for part in parts],
        [part.name.line for part in parts],
        [part.name.part for part in parts],
        [part.order.source for part in parts],
        [part.order.order_id for part in parts],
        [part.customer_id for part in parts],
        [part.tier for part in parts],
        [part.promised for part in parts],
        [each.quantity for each in put],
        [part.available_day for part in parts],
        [part.ship_day for part in parts],
        [part.arrival_day for part in parts],
        [each.covered_on for each in put],
        [each.cause for each in put],
        [each.since for each in put],
    ]
