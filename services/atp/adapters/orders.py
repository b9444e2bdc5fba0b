"""Identities, promises, their parts (the ledger) and backorders, as rows.

An identity is one small row for ever; everything else of an order is in tables partitioned by the promise's id.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from services.atp.application import content as contents
from services.atp.application.content import OrderKey
from services.atp.application.documents import dump
from services.atp.application.documents import load as load_document
from services.atp.application.orders import Backorder, OrderCopy, Overrides, Part, PromiseCopy, Replaced, Unapplied
from services.atp.application.ports import DecisionRecord
from services.atp.domain.model import Planned, PositionKey, Posting, UsageKey
from services.atp.domain.order_of_service import ServiceKey
from services.chassis.arrays import flags, ids, numbers, text_array, texts
from services.chassis.database import Connection
from services.chassis.writes import Writes

_IDENTITIES: Final = """
SELECT i.source, i.order_id, i.version, i.promise_id, i.fingerprint
FROM unnest($1::text[], $2::text[]) AS k (source, order_id)
JOIN order_identity i ON i.source = k.source AND i.order_id = k.order_id
ORDER BY i.source, i.order_id
"""
_PROMISES: Final = """
SELECT p.promise_id, p.revision, p.record_sequence, p.state, p.customer_id, p.decision_id, p.decision_index,
       p.content, p.document, p.held_until, p.last_command, p.overrides, p.cut_over
FROM unnest($1::uuid[]) AS k (promise_id) JOIN promise p ON p.promise_id = k.promise_id
"""
_PARTS: Final = """
SELECT c.promise_id, c.line, c.part, c.item_id, c.location_id, c.service, c.quantity, c.open, c.shipped, c.delivered,
       c.assumed, c.available_day, c.ship_day, c.arrival_day, c.cost_minor, c.postings, c.tier, c.decision_id,
       c.decision_index, c.routing
FROM unnest($1::uuid[]) AS k (promise_id) JOIN commitment c ON c.promise_id = k.promise_id
ORDER BY c.promise_id, c.line, c.part
"""
BACKORDER_COLUMNS: Final = (
    "b.promise_id, b.line, b.item_id, b.lead, b.further, b.requested_day, b.source, b.order_id, b.quantity, b.basis, "
    "b.late, b.unmet, b.set_aside"
)
_BACKORDERS: Final = f"""
SELECT {BACKORDER_COLUMNS}
FROM unnest($1::uuid[]) AS k (promise_id) JOIN backorder b ON b.promise_id = k.promise_id
ORDER BY b.promise_id, b.line
"""  # noqa: S608 - made of constants

_IDENTITY_COLUMNS: Final = f"""
    unnest({text_array(1)}, {text_array(2)}, $3::text::bigint[], $4::text::uuid[], $5::bytea[])
    AS k (source, order_id, version, promise_id, fingerprint)
"""
_PART_NAMES: Final = """promise_id, line, part, item_id, location_id, service, quantity, open, shipped, delivered,
    assumed, available_day, ship_day, arrival_day, cost_minor, postings, tier, decision_id, decision_index, routing"""


def _read_part_columns() -> str:
    """The SQL that reads the parameters of `_part_columns`."""
    text, number, small, identifier = "text", "::text::bigint[]", "::text::int[]", "::text::uuid[]"
    kinds = [identifier, text, small, text, text, text, number, number, number, number, "::text::bool[]"]
    kinds += [small, small, small, number, "::jsonb[]", text, identifier, small, "::text[]"]
    read = [text_array(number) if kind is text else f"${number}{kind}" for number, kind in enumerate(kinds, start=1)]
    return f"unnest({', '.join(read)})"


_PART_COLUMNS: Final = _read_part_columns()


_NEW_IDENTITIES: Final = f"""
INSERT INTO order_identity (source, order_id, version, state, promise_id, fingerprint)
SELECT source, order_id, version, CASE WHEN promise_id IS NULL THEN 'cancelled_before' ELSE 'answered' END,
       promise_id, fingerprint
FROM {_IDENTITY_COLUMNS}
"""  # noqa: S608 - made of constants
_NEW_PROMISES: Final = f"""
INSERT INTO promise (promise_id, source, order_id, revision, record_sequence, state, channel, customer_id,
                     decision_id, decision_index, content, document, held_until, cut_over)
SELECT * FROM unnest($1::text::uuid[], {text_array(2)}, {text_array(3)}, $4::text::int[], $5::text::int[],
                     {text_array(6)}, {text_array(7)}, {text_array(8)}, $9::text::uuid[], $10::text::int[],
                     $11::bytea[], $12::bytea[], $13::timestamptz[], $14::bytea[])
"""  # noqa: S608 - made of constants
_NEW_RECORD: Final = """
INSERT INTO decision_batch (decision_id, decided_at, engine_version, digest, input) VALUES ($1, $2, $3, $4, $5)
"""
_NEW_PARTS: Final = f"""
INSERT INTO commitment ({_PART_NAMES}) SELECT * FROM {_PART_COLUMNS}
"""  # noqa: S608 - made of constants
_UPDATE_IDENTITIES: Final = f"""
UPDATE order_identity i SET version = k.version, promise_id = k.promise_id, fingerprint = k.fingerprint,
    state = CASE WHEN k.promise_id IS NULL THEN 'cancelled_before' ELSE 'answered' END
FROM {_IDENTITY_COLUMNS}
WHERE i.source = k.source AND i.order_id = k.order_id
"""  # noqa: S608 - made of constants
_UPDATE_PROMISES: Final = f"""
UPDATE promise p SET revision = k.revision, record_sequence = k.record_sequence, state = k.state,
    decision_id = k.decision_id, decision_index = k.decision_index,
    document = coalesce(k.document, p.document), content = coalesce(k.content, p.content),
    held_until = k.held_until, last_command = k.last_command, overrides = k.overrides
FROM unnest($1::text::uuid[], $2::text::int[], $3::text::int[], {text_array(4)}, $5::text::uuid[], $6::text::int[],
            $7::bytea[], $8::bytea[], $9::timestamptz[], $10::bytea[], $11::jsonb[])
    AS k (promise_id, revision, record_sequence, state, decision_id, decision_index, document, content, held_until,
          last_command, overrides)
WHERE p.promise_id = k.promise_id
"""  # noqa: S608 - made of constants
_STORE_PARTS: Final = f"""
INSERT INTO commitment ({_PART_NAMES}) SELECT * FROM {_PART_COLUMNS}
ON CONFLICT (promise_id, line, part) DO UPDATE SET open = excluded.open,
    shipped = excluded.shipped, delivered = excluded.delivered, cost_minor = excluded.cost_minor,
    postings = excluded.postings
"""  # noqa: S608 - made of constants
# What a part was when it was taken never changes.
_UPDATE_PARTS: Final = f"""
UPDATE commitment c SET open = k.open, shipped = k.shipped, delivered = k.delivered, cost_minor = k.cost_minor,
    postings = k.postings
FROM unnest($1::text::uuid[], {text_array(2)}, $3::text::int[], $4::text::bigint[], $5::text::bigint[],
            $6::text::bigint[], $7::text::bigint[], $8::jsonb[])
    AS k (promise_id, line, part, open, shipped, delivered, cost_minor, postings)
WHERE c.promise_id = k.promise_id AND c.line = k.line AND c.part = k.part
"""  # noqa: S608 - made of constants
_STORE_HISTORY: Final = f"""
INSERT INTO promise_history (promise_id, revision, cause, replaced_at, document)
SELECT promise_id, revision, cause, $5, document
FROM unnest($1::text::uuid[], $2::text::int[], {text_array(3)}, $4::bytea[])
    AS k (promise_id, revision, cause, document)
"""  # noqa: S608 - made of constants
_STORE_BACKORDERS: Final = """
INSERT INTO backorder (promise_id, line, item_id, lead, further, requested_day, ordered_at, source, order_id, quantity,
                       basis, late, unmet, set_aside, customer_id, customer_system, customer_ref)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::text[], $8::text[],
                     $9::text[], $10::bigint[], $11::bigint[], $12::bool[], $13::bool[], $14::bool[], $15::text[],
                     $16::text[], $17::text[])
ON CONFLICT (promise_id, line, late) DO UPDATE SET lead = excluded.lead, further = excluded.further,
    requested_day = excluded.requested_day, ordered_at = excluded.ordered_at, quantity = excluded.quantity,
    basis = excluded.basis, unmet = excluded.unmet, set_aside = excluded.set_aside,
    customer_id = excluded.customer_id
"""
_DELETE_BACKORDERS: Final = """
DELETE FROM backorder b USING unnest($1::uuid[], $2::text[], $3::bool[]) AS k (promise_id, line, late)
WHERE b.promise_id = k.promise_id AND b.line = k.line AND b.late = k.late
"""
_STORE_UNAPPLIED: Final = """
INSERT INTO unapplied_command (source, order_id, version, kind, reason, stored_version)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
"""


class OrderStore:
    """The orders of one transaction; `locking` is off for reads."""

    def __init__(self, connection: Connection, writes: Writes, *, locking: bool) -> None:
        self._connection = connection
        self._writes = writes
        self._identities = _IDENTITIES + (" FOR UPDATE OF i" if locking else "")

    async def load(self, keys: Sequence[OrderKey]) -> dict[OrderKey, OrderCopy]:
        """The orders that exist, whole; identities locked in key order if this session locks."""
        rows = await self._connection.fetch(self._identities, *(list(column) for column in zip(*keys, strict=True)))
        if not rows:
            return {}
        promises = await self._promises([row["promise_id"] for row in rows if row["promise_id"] is not None])
        orders = [
            OrderCopy(
                OrderKey(row["source"], row["order_id"]),
                row["version"],
                row["fingerprint"],
                promises.get(row["promise_id"]),
            )
            for row in rows
        ]
        return {order.key: order for order in orders}

    async def _promises(self, wanted: list[UUID]) -> dict[UUID, PromiseCopy]:
        if not wanted:
            return {}
        promises = {row["promise_id"]: _promise(row) for row in await self._connection.fetch(_PROMISES, wanted)}
        for row in await self._connection.fetch(_PARTS, wanted):
            promises[row["promise_id"]].parts.append(_part(row))
        for row in await self._connection.fetch(_BACKORDERS, wanted):
            promise = promises[row["promise_id"]]
            (promise.late if row["late"] else promise.backorders)[row["line"]] = backorder_of(row)
        for promise in promises.values():
            promise.stored_backorders = dict(promise.backorders)
            promise.stored_late = dict(promise.late)
        return promises

    async def store(
        self, orders: Sequence[OrderCopy], record: DecisionRecord | None, unapplied: Sequence[Unapplied], at: datetime
    ) -> None:
        """Add what is new and what changed to the writes."""
        writes = self._writes
        ordered = sorted(orders, key=_key)
        made = [order for order in ordered if order.new]
        promises = [(order, order.promise) for order in ordered if order.promise is not None]
        first = [each for each in promises if each[1].new]
        if made:
            writes.add(_NEW_IDENTITIES, _identity_columns(made))
        if first:
            writes.add(_NEW_PROMISES, _promise_columns(first))
        if record is not None:
            writes.add(_NEW_RECORD, _record(record))
        if parts := [(promise, part) for _, promise in first for part in promise.parts]:
            writes.add(_NEW_PARTS, _part_columns(parts))
        if kept := [order for order in ordered if order.changed and not order.new]:
            writes.add(_UPDATE_IDENTITIES, _identity_columns(kept))
        self._store_changes([promise for _, promise in promises if not promise.new])
        if replaced := [(promise, each) for _, promise in promises for each in promise.replaced]:
            writes.add(_STORE_HISTORY, (*_history_columns(replaced), at))
        self._store_backorders(promises)
        if unapplied:
            writes.add(_STORE_UNAPPLIED, _unapplied_columns(unapplied))

    def _store_changes(self, promises: Sequence[PromiseCopy]) -> None:
        if changed := [promise for promise in promises if promise.changed]:
            self._writes.add(_UPDATE_PROMISES, _change_columns(changed))
        parts = [(promise, part) for promise in promises for part in promise.parts if part.changed]
        if added := [each for each in parts if not each[1].stored]:
            self._writes.add(_STORE_PARTS, _part_columns(added))
        if kept := [each for each in parts if each[1].stored]:
            self._writes.add(_UPDATE_PARTS, _part_changes(kept))

    def _store_backorders(self, promises: Sequence[tuple[OrderCopy, PromiseCopy]]) -> None:
        put: list[tuple[PromiseCopy, Backorder]] = []
        gone: list[tuple[UUID, str, bool]] = []
        for _, promise in promises:
            rests = (promise.stored_backorders, promise.backorders, False)
            for before, now, late in (rests, (promise.stored_late, promise.late, True)):
                put += [(promise, each) for line, each in now.items() if before.get(line) != each]
                gone += [(promise.promise_id, line, late) for line in before if line not in now]
        if put:
            self._writes.add(_STORE_BACKORDERS, _backorder_columns(put))
        if gone:
            self._writes.add(_DELETE_BACKORDERS, [list(column) for column in zip(*gone, strict=True)])


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def backorder_of(row: asyncpg.Record) -> Backorder:
    """A row of `BACKORDER_COLUMNS`."""
    key = ServiceKey(row["lead"], row["further"], row["source"], row["order_id"], row["line"])
    told = (row["basis"], row["late"], row["unmet"], row["set_aside"])
    return Backorder(key, row["item_id"], row["quantity"], row["requested_day"], *told)


def _key(order: OrderCopy) -> OrderKey:
    return order.key


def _promise(row: asyncpg.Record) -> PromiseCopy:
    encoded, document = row["content"], row["document"]
    content = contents.decode(encoded)
    ordered_at = content.ordered_at
    if ordered_at is None:
        ordered_at = datetime.fromisoformat(load_document(document)["ordered_at"])
    return PromiseCopy(
        promise_id=row["promise_id"],
        revision=row["revision"],
        record_sequence=row["record_sequence"],
        state=row["state"],
        customer_id=row["customer_id"],
        ordered_at=ordered_at,
        decision_id=row["decision_id"],
        decision_index=row["decision_index"],
        content=content,
        encoded=encoded,
        document=document,
        stored_encoded=encoded,
        stored_document=document,
        held_until=None if row["held_until"] is None else row["held_until"].astimezone(UTC),
        last_command=row["last_command"],
        overrides=None if row["overrides"] is None else Overrides(**orjson.loads(row["overrides"])),
        cut_over=row["cut_over"],
    )


def _part(row: asyncpg.Record) -> Part:
    postings = () if row["postings"] is None else orjson.loads(row["postings"])
    routing = None if row["routing"] is None else orjson.loads(row["routing"])
    planned = Planned(
        key=PositionKey(row["item_id"], row["location_id"]),
        service=row["service"],
        quantity=row["quantity"],
        available_day=row["available_day"],
        ship_day=row["ship_day"],
        arrival_day=row["arrival_day"],
        cost_minor=row["cost_minor"],
        postings=tuple(Posting(UsageKey(*each[:3]), *each[3:]) for each in postings),
        assumed=row["assumed"],
        carrier_class="" if routing is None else routing["carrier_class"],
    )
    taken_by = (row["tier"], row["decision_id"], row["decision_index"])
    return Part(
        row["line"],
        row["part"],
        planned,
        *taken_by,
        row["open"],
        row["shipped"],
        row["delivered"],
        stored=True,
        routing=routing,
    )


def _identity_columns(orders: Sequence[OrderCopy]) -> list[Any]:
    return [
        texts([order.key.source for order in orders]),
        texts([order.key.order_id for order in orders]),
        numbers([order.version for order in orders]),
        ids([None if order.promise is None else order.promise.promise_id for order in orders]),
        [order.fingerprint for order in orders],
    ]


def _promise_columns(first: Sequence[tuple[OrderCopy, PromiseCopy]]) -> list[Any]:
    return [
        ids([promise.promise_id for _, promise in first]),
        texts([order.key.source for order, _ in first]),
        texts([order.key.order_id for order, _ in first]),
        numbers([promise.revision for _, promise in first]),
        numbers([promise.record_sequence for _, promise in first]),
        texts([promise.state for _, promise in first]),
        texts([promise.content.channel for _, promise in first]),
        texts([promise.customer_id for _, promise in first]),
        ids([promise.decision_id for _, promise in first]),
        numbers([promise.decision_index for _, promise in first]),
        [promise.encoded for _, promise in first],
        [promise.document for _, promise in first],
        [promise.held_until for _, promise in first],
        [promise.cut_over for _, promise in first],
    ]


def _record(record: DecisionRecord) -> tuple[Any, ...]:
    return record.decision_id, record.decided_at, record.engine_version, record.digest, record.input


def _change_columns(changed: Sequence[PromiseCopy]) -> list[Any]:
    """Documents and contents that are as they were loaded stay as they are: they are the largest part of a promise."""
    return [
        ids([promise.promise_id for promise in changed]),
        numbers([promise.revision for promise in changed]),
        numbers([promise.record_sequence for promise in changed]),
        texts([promise.state for promise in changed]),
        ids([promise.decision_id for promise in changed]),
        numbers([promise.decision_index for promise in changed]),
        [None if each.document is each.stored_document else each.document for each in changed],
        [None if each.encoded is each.stored_encoded else each.encoded for each in changed],
        [promise.held_until for promise in changed],
        [promise.last_command for promise in changed],
        [None if each.overrides is None else orjson.dumps(each.overrides).decode() for each in changed],
    ]


def _history_columns(replaced: Sequence[tuple[PromiseCopy, Replaced]]) -> list[Any]:
    return [
        ids([promise.promise_id for promise, _ in replaced]),
        numbers([each.revision for _, each in replaced]),
        texts([each.cause for _, each in replaced]),
        [each.document for _, each in replaced],
    ]


def _part_columns(parts: Sequence[tuple[PromiseCopy, Part]]) -> list[Any]:
    planned = [part.planned for _, part in parts]
    return [
        ids([promise.promise_id for promise, _ in parts]),
        texts([part.line for _, part in parts]),
        numbers([part.number for _, part in parts]),
        texts([each.key.item_id for each in planned]),
        texts([each.key.location_id for each in planned]),
        texts([each.service for each in planned]),
        numbers([each.quantity for each in planned]),
        numbers([part.open for _, part in parts]),
        numbers([part.shipped for _, part in parts]),
        numbers([part.delivered for _, part in parts]),
        flags([each.assumed for each in planned]),
        numbers([each.available_day for each in planned]),
        numbers([each.ship_day for each in planned]),
        numbers([each.arrival_day for each in planned]),
        numbers([each.cost_minor for each in planned]),
        [_postings(each.postings) for each in planned],
        texts([part.tier for _, part in parts]),
        ids([part.decision_id for _, part in parts]),
        numbers([part.decision_index for _, part in parts]),
        [None if part.routing is None else dump(part.routing).decode() for _, part in parts],
    ]


def _part_changes(parts: Sequence[tuple[PromiseCopy, Part]]) -> list[Any]:
    return [
        ids([promise.promise_id for promise, _ in parts]),
        texts([part.line for _, part in parts]),
        numbers([part.number for _, part in parts]),
        numbers([part.open for _, part in parts]),
        numbers([part.shipped for _, part in parts]),
        numbers([part.delivered for _, part in parts]),
        numbers([part.planned.cost_minor for _, part in parts]),
        [_postings(part.planned.postings) for _, part in parts],
    ]


def _postings(postings: Iterable[Posting]) -> str | None:
    rows = [(*posting.usage, posting.quantity, posting.taken) for posting in postings]
    return orjson.dumps(rows).decode() if rows else None


def _backorder_columns(put: Sequence[tuple[PromiseCopy, Backorder]]) -> list[list[Any]]:
    keys = [each.key for _, each in put]
    customers = [promise.content.customer for promise, _ in put]
    return [
        [promise.promise_id for promise, _ in put],
        [key.line for key in keys],
        [each.item_id for _, each in put],
        [key.lead for key in keys],
        [key.further for key in keys],
        [each.requested_arrival for _, each in put],
        [_utc_text(promise.ordered_at) for promise, _ in put],
        [key.source for key in keys],
        [key.order_id for key in keys],
        [each.quantity for _, each in put],
        [each.basis for _, each in put],
        [each.late for _, each in put],
        [each.unmet for _, each in put],
        [each.set_aside for _, each in put],
        [promise.customer_id for promise, _ in put],
        [customer.system for customer in customers],
        [customer.id for customer in customers],
    ]


def _unapplied_columns(unapplied: Sequence[Unapplied]) -> list[list[Any]]:
    return [
        [each.key.source for each in unapplied],
        [each.key.order_id for each in unapplied],
        [each.version for each in unapplied],
        [each.kind for each in unapplied],
        [each.reason for each in unapplied],
        [each.stored_version for each in unapplied],
    ]
