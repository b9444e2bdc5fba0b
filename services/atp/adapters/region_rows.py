"""Regions: zones that are allocated together."""

from collections.abc import Sequence
from typing import Final

from services.atp.adapters.configuration import raise_version
from services.chassis.database import Connection

_DROP: Final = "DELETE FROM region WHERE region = $1"
_ADD: Final = """
INSERT INTO region (zone, region) SELECT zone, $2 FROM unnest($1::text[]) AS k (zone)
ON CONFLICT (zone) DO UPDATE SET region = excluded.region
"""
_ALL: Final = "SELECT zone, region FROM region ORDER BY region, zone"


async def store_region(connection: Connection, region: str, zones: Sequence[str]) -> None:
    """Let a region be these zones, and no others."""
    await connection.execute(_DROP, region)
    await connection.execute(_ADD, sorted(dict.fromkeys(zones)), region)
    await raise_version(connection)


async def read_regions(connection: Connection) -> dict[str, list[str]]:
    """The zones of all regions, in order."""
    found: dict[str, list[str]] = {}
    for row in await connection.fetch(_ALL):
        found.setdefault(row["region"], []).append(row["zone"])
    return found
