"""Puts the little company into the services before its first order: tiers, customers, items, network, protections."""

from datetime import timedelta
from typing import Any

import orjson

from services.chassis.envelope import from_record
from services.chassis.event_log.port import EventLog
from services.contracts import topics
from tiercel.demo.channels import ServiceClients
from tiercel.demo.history import History
from tiercel.demo.stock_model import StockPlan
from tiercel.demo.world import CUSTOMER_SYSTEM, LOCATIONS, LOWEST, TIERS, lanes

IMPORT_ROWS = 5_000
ITEM_ROWS = 1_000
PROTECTED_POSITIONS = 40
PROTECTED_PERCENT = 15
PROTECTION_DAYS = 28
PROTECTION_LINES_MAX = 1_000
CHANGES_AT_ONCE = 2_000
CUSTOMER_PAGE = 500
POLL_SECONDS = 1.0


async def set_up(clients: ServiceClients, history: History, plan: StockPlan) -> None:
    """Define everything; customers start in the tier that the history gave, or in the lowest."""
    for tier, body in TIERS:
        await clients.call("segment_registry", "PUT", f"/v1/tiers/{tier}", body)
    customers = sorted({order.customer_id for order in history.orders})
    named = {tier for tier, _ in TIERS}
    rows = []
    for customer in customers:
        tier = history.tiers.get(customer, LOWEST)
        row = {"identifiers": [{"system": CUSTOMER_SYSTEM, "id": customer}], "reason": "start of the replay"}
        rows.append(row | {"tier": tier if tier in named else LOWEST})
    for start in range(0, len(rows), IMPORT_ROWS):
        await clients.call("segment_registry", "POST", "/v1/imports", {"items": rows[start : start + IMPORT_ROWS]})
    for location, body in LOCATIONS:
        await clients.call("atp", "PUT", f"/v1/locations/{location}", body)
    await clients.call("atp", "PUT", "/v1/lanes", {"items": lanes(history)})
    skus = sorted({line.sku for order in history.orders for line in order.lines})
    for start in range(0, len(skus), ITEM_ROWS):
        items = [{"sku": sku} for sku in skus[start : start + ITEM_ROWS]]
        await clients.call("atp", "POST", "/v1/items", {"items": items})
    await clients.call("atp", "PUT", "/v1/protections/demo", {"lines": _protections(history, plan)})


def _protections(history: History, plan: StockPlan) -> list[dict[str, object]]:
    """For the items with most opening stock: part of it kept for the best tier, in periods of four weeks."""
    best, first = TIERS[0][0], history.orders[0].ordered_at.date()
    last = history.orders[-1].ordered_at.date()
    largest = sorted(plan.openings, key=lambda one: (-one.quantity, one.sku, one.location))[:PROTECTED_POSITIONS]
    lines: list[dict[str, object]] = []
    start = first
    while start <= last and len(lines) + len(largest) <= PROTECTION_LINES_MAX:
        end = start + timedelta(days=PROTECTION_DAYS - 1)
        lines += [
            {
                "sku": one.sku,
                "location": one.location,
                "tier": best,
                "start": start.isoformat(),
                "end": end.isoformat(),
                "protected_qty": one.quantity * PROTECTED_PERCENT // 100,
            }
            for one in largest
        ]
        start = end + timedelta(days=1)
    return lines


async def customer_names(clients: ServiceClients) -> dict[str, str]:
    """What the history calls each customer of the registry."""
    found: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        query = f"limit={CUSTOMER_PAGE}" + (f"&cursor={cursor}" if cursor else "")
        page = await clients.call("segment_registry", "GET", f"/v1/customers:list?{query}")
        for each in page["items"]:
            names = [one["id"] for one in each["identifiers"] if one["system"] == CUSTOMER_SYSTEM]
            found[each["customer_id"]] = names[0] if names else each["customer_id"]
        cursor = page["next_cursor"]
    return found


async def tier_changes(log: EventLog) -> list[dict[str, Any]]:
    """Every move that a rule made, as the registry published it, in order of its effective date."""
    reader = await log.reader([topics.SEGMENTS_CHANGES.name])
    found = []
    try:
        ends = await reader.end_offsets()
        while True:
            at = await reader.positions()
            if all(at.get(place, 0) >= end for place, end in ends.items()):
                break
            for received in await reader.poll(CHANGES_AT_ONCE, POLL_SECONDS):
                change = orjson.loads(from_record(received).data)
                if change["rule"] is not None:
                    found.append(change)
    finally:
        await reader.close()
    return sorted(found, key=lambda change: (change["effective_from"], change["customer_id"]))
