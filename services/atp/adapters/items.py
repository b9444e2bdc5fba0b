"""Items in PostgreSQL: written at their versions, read as documents, and read for decisions."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import asyncpg
import orjson

from services.atp.adapters.deficits import ask_for_items
from services.atp.adapters.waking import mark_items
from services.atp.domain import model
from services.atp.domain.model import CUMULATIVE, OPEN, Backordering, Item
from services.chassis.business_time import business_now
from services.chassis.database import Connection
from services.contracts.items import CatalogItem, PromisingRule

_COLUMNS: Final = """item_id, version, active, planned_receipts_count, checking_horizon_days, past_due_supply_days,
    base_unit, units, pack_size, weight_grams, item_groups, criticality, substitutes,
    backorder_policy, backorder_until, backorder_limit, promising_rule"""
# Lists travel as JSON: an array of arrays of different lengths has no type in PostgreSQL.
_UPSERT: Final = f"""
INSERT INTO item ({_COLUMNS})
SELECT item_id, version, active, planned_receipts_count, checking_horizon_days, past_due_supply_days, base_unit,
    units, pack_size, weight_grams, ARRAY(SELECT jsonb_array_elements_text(item_groups)), criticality,
    ARRAY(SELECT jsonb_array_elements_text(substitutes)), backorder_policy, backorder_until,
    backorder_limit, promising_rule
FROM unnest($1::text[], $2::bigint[], $3::bool[], $4::bool[], $5::int[], $6::int[], $7::text[], $8::jsonb[],
    $9::bigint[], $10::bigint[], $11::jsonb[], $12::text[], $13::jsonb[], $14::text[], $15::int[], $16::bigint[],
    $17::jsonb[])
    AS k ({_COLUMNS})
ON CONFLICT (item_id) DO UPDATE SET version = excluded.version, active = excluded.active,
    planned_receipts_count = excluded.planned_receipts_count,
    checking_horizon_days = excluded.checking_horizon_days, past_due_supply_days = excluded.past_due_supply_days,
    base_unit = excluded.base_unit, units = excluded.units, pack_size = excluded.pack_size,
    weight_grams = excluded.weight_grams, item_groups = excluded.item_groups, criticality = excluded.criticality,
    substitutes = excluded.substitutes,
    backorder_policy = excluded.backorder_policy, backorder_until = excluded.backorder_until,
    backorder_limit = excluded.backorder_limit, promising_rule = excluded.promising_rule
WHERE item.version < excluded.version
RETURNING item_id
"""  # noqa: S608 - made of constants
_PAGE: Final = f"SELECT {_COLUMNS} FROM item WHERE item_id > $1 ORDER BY item_id LIMIT $2"  # noqa: S608
_ONE: Final = f"SELECT {_COLUMNS} FROM item WHERE item_id = $1"  # noqa: S608
_FOR_DECISIONS: Final = """
SELECT i.item_id, i.active, i.planned_receipts_count, i.checking_horizon_days, i.past_due_supply_days, i.base_unit,
    i.pack_size, i.weight_grams, i.units, i.item_groups, i.criticality, i.substitutes, i.backorder_policy,
    i.backorder_until, i.backorder_limit, i.promising_rule
FROM unnest($1::text[]) AS k (item_id) JOIN item i ON i.item_id = k.item_id
"""
_LOCK: Final = "SELECT FROM item WHERE item_id = ANY($1::text[]) ORDER BY item_id FOR NO KEY UPDATE"
SUPPLY_CHANGED: Final = "supply_changed"
_NO_UNITS: Final = "[]"
_CUMULATIVE: Final = PromisingRule().model_dump_json()


async def store_items(connection: Connection, items: Sequence[CatalogItem]) -> int:
    """Write items at their versions; how many were newer than what is stored. Of one item the newest counts.

    What counts as supply, and what is offered of it, may change with a policy: whoever may go short by it is looked
    for, and those who wait are asked anew.
    """
    newest: dict[str, CatalogItem] = {}
    for item in items:
        if item.sku not in newest or newest[item.sku].version < item.version:
            newest[item.sku] = item
    rows = [newest[sku] for sku in sorted(newest)]
    stored = await connection.fetch(_UPSERT, *zip(*map(_row, rows), strict=True))
    if stored:
        changed = [row["item_id"] for row in stored]
        await mark_items(connection, changed, await business_now(connection), SUPPLY_CHANGED)
        await ask_for_items(connection, changed)
    return len(stored)


async def read_items(connection: Connection, after: str, limit: int) -> list[dict[str, Any]]:
    """Items in order of their ids, after one, as `CatalogItem` documents."""
    return [_document(row) for row in await connection.fetch(_PAGE, after, limit)]


async def read_item(connection: Connection, sku: str) -> dict[str, Any] | None:
    """One item."""
    row = await connection.fetchrow(_ONE, sku)
    return None if row is None else _document(row)


async def lock_items(connection: Connection, item_ids: Sequence[str]) -> None:
    """Lock items that exist, in order of their ids."""
    await connection.fetch(_LOCK, item_ids)


async def items(connection: Connection, item_ids: Sequence[str]) -> dict[str, Item]:
    """The items that exist, as decisions see them."""
    found = {}
    for row in await connection.fetch(_FOR_DECISIONS, item_ids):
        item_id, active, planned, horizon, past_due, base_unit, pack, *more = row
        weight, units, groups, criticality, substitutes, *rest, rule = more
        found[item_id] = Item(
            item_id,
            active,
            planned,
            horizon,
            past_due,
            base_unit,
            pack,
            weight or 0,
            () if units == _NO_UNITS else tuple((each["unit"], each["quantity"]) for each in orjson.loads(units)),
            tuple(groups),
            criticality,
            tuple(substitutes),
            OPEN if rest[0] == OPEN.policy else Backordering(*rest),
            CUMULATIVE if rule is None else _rule(PromisingRule.model_validate_json(rule)),
        )
    return found


def _rule(said: PromisingRule) -> model.PromisingRule:
    windows = (said.backward_periods, said.forward_periods, said.accumulation_periods)
    return model.PromisingRule(said.kind, said.period_days, *windows)


def _row(item: CatalogItem) -> tuple[Any, ...]:
    backorders = item.backorders
    return (
        item.sku,
        item.version,
        item.active,
        item.planned_receipts_count,
        item.checking_horizon_days,
        item.past_due_supply_days,
        item.base_unit,
        orjson.dumps([unit.model_dump() for unit in item.units]).decode(),
        item.pack_size,
        item.weight_grams,
        orjson.dumps(item.groups).decode(),
        item.criticality,
        orjson.dumps(item.substitutes).decode(),
        backorders.policy,
        None if backorders.until is None else backorders.until.toordinal(),
        backorders.limit,
        None if item.promising_rule == PromisingRule() else item.promising_rule.model_dump_json(),
    )


def _document(row: asyncpg.Record) -> dict[str, Any]:
    until = row["backorder_until"]
    return {
        "sku": row["item_id"],
        "version": row["version"],
        "active": row["active"],
        "planned_receipts_count": row["planned_receipts_count"],
        "checking_horizon_days": row["checking_horizon_days"],
        "past_due_supply_days": row["past_due_supply_days"],
        "base_unit": row["base_unit"],
        "units": orjson.loads(row["units"]),
        "pack_size": row["pack_size"],
        "weight_grams": row["weight_grams"],
        "groups": row["item_groups"],
        "criticality": row["criticality"],
        "substitutes": row["substitutes"],
        "backorders": {
            "policy": row["backorder_policy"],
            "until": None if until is None else date.fromordinal(until).isoformat(),
            "limit": row["backorder_limit"],
        },
        "promising_rule": orjson.loads(row["promising_rule"] or _CUMULATIVE),
    }
