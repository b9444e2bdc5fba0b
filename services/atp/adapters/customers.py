"""Customers as the registry published them: the projection that decisions read in their own transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import asyncpg
import orjson

from services.atp.application.content import CustomerKey
from services.atp.application.customers import Customer, TierAssignment
from services.chassis.database import Connection

REGISTRY_SYSTEM: Final = "tiercel"  # the system name under which a customer's registry id is given
ASSIGNMENTS_CACHED: Final = 4_096  # by their text; about 4 MB
MERGES_FOLLOWED_MAX: Final = 8  # a longer chain is a loop

# The age of the oldest partition's heartbeat travels with every row: silence must not look like freshness.
_CUSTOMERS: Final = """
SELECT k.system, k.id, s.customer_id, s.status, s.merged_into, s.assignments, p.demand_profile,
       clock_timestamp() - (SELECT min(beat_at) FROM segment_heartbeat) AS silent
FROM unnest($1::text[], $2::text[]) AS k (system, id)
LEFT JOIN segment_identifier i ON k.system <> $3 AND i.system = k.system AND i.external_id = k.id
LEFT JOIN segment s ON s.customer_id = coalesce(i.customer_id, CASE WHEN k.system = $3 THEN k.id END)
LEFT JOIN customer_profile p ON p.customer_id = s.customer_id
"""


async def customers(
    connection: Connection, keys: Sequence[CustomerKey], *, stale_after: timedelta
) -> dict[CustomerKey, Customer]:
    """The customers of these keys, merges followed; one that is unknown or deleted has no id."""
    found: dict[CustomerKey, Customer] = {}
    asked = {key: [key] for key in keys}  # what to look up -> whose answer it is
    for _ in range(MERGES_FOLLOWED_MAX):
        merged: dict[CustomerKey, list[CustomerKey]] = {}
        systems, ids = [key.system for key in asked], [key.id for key in asked]
        for row in await connection.fetch(_CUSTOMERS, systems, ids, REGISTRY_SYSTEM):
            owners = asked[CustomerKey(row["system"], row["id"])]
            if row["status"] == "merged" and row["merged_into"] is not None:
                merged.setdefault(CustomerKey(REGISTRY_SYSTEM, row["merged_into"]), []).extend(owners)
            else:
                found.update(dict.fromkeys(owners, _customer(row, stale_after)))
        if not merged:
            break
        asked = merged
    return found


def _customer(row: asyncpg.Record, stale_after: timedelta) -> Customer:
    stale = row["silent"] is None or row["silent"] > stale_after
    if row["status"] != "active":
        return Customer(None, (), stale)
    return Customer(row["customer_id"], _assignments(row["assignments"]), stale, demand_profile=row["demand_profile"])


@lru_cache(maxsize=ASSIGNMENTS_CACHED)
def _assignments(encoded: str) -> tuple[TierAssignment, ...]:
    fields: list[dict[str, Any]] = orjson.loads(encoded)
    return tuple(
        TierAssignment(
            tier=each["tier"],
            effective_from=datetime.fromisoformat(each["effective_from"]),
            effective_to=None if each.get("effective_to") is None else datetime.fromisoformat(each["effective_to"]),
            sequence=each["sequence"],
            override=each.get("kind") == "override",
        )
        for each in fields
    )
