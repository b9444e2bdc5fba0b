"""Locations and lanes in PostgreSQL. A change of the network raises the configuration's version."""

from collections.abc import Sequence
from typing import Any, Final

from services.atp.adapters.configuration import raise_version
from services.atp.application.planning import LaneRow, LocationRow
from services.chassis.database import Connection

_UPSERT_LOCATION: Final = """
INSERT INTO location (location_id, active, processing_days, zone_name, dock_to_stock_days) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (location_id) DO UPDATE SET active = excluded.active, processing_days = excluded.processing_days,
    zone_name = excluded.zone_name, dock_to_stock_days = excluded.dock_to_stock_days
"""
_LOCATIONS: Final = """
SELECT location_id AS location, active, processing_days, zone_name AS time_zone, dock_to_stock_days
FROM location ORDER BY location_id
"""
_KNOWN_LOCATIONS: Final = "SELECT location_id FROM location WHERE location_id = ANY($1::text[])"
_UPSERT_LANES: Final = """
INSERT INTO lane (zone, location_id, service, carrier_class, rank, transit_days, cost_shipment_minor, cost_unit_minor,
    active)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
    $9::bool[])
ON CONFLICT (zone, location_id, service) DO UPDATE SET carrier_class = excluded.carrier_class, rank = excluded.rank,
    transit_days = excluded.transit_days, cost_shipment_minor = excluded.cost_shipment_minor,
    cost_unit_minor = excluded.cost_unit_minor, active = excluded.active
"""
_LANES: Final = """
SELECT zone, location_id AS location, service, carrier_class, rank, transit_days, cost_shipment_minor,
    cost_unit_minor, active
FROM lane ORDER BY zone, rank, location_id, service
"""


async def store_location(connection: Connection, row: LocationRow) -> None:
    """Write a location."""
    values = (row.location, row.active, row.processing_days, row.time_zone, row.dock_to_stock_days)
    await connection.execute(_UPSERT_LOCATION, *values)
    await raise_version(connection)


async def read_locations(connection: Connection) -> list[dict[str, Any]]:
    """All locations."""
    return [dict(row) for row in await connection.fetch(_LOCATIONS)]


async def store_lanes(connection: Connection, lanes: Sequence[LaneRow]) -> list[str]:
    """Write lanes, if every location is known; the locations that are not."""
    locations = sorted({lane.location for lane in lanes})
    known = {row["location_id"] for row in await connection.fetch(_KNOWN_LOCATIONS, locations)}
    if missing := [location for location in locations if location not in known]:
        return missing
    rows = {(lane.zone, lane.location, lane.service): lane for lane in lanes}
    ordered = [rows[key] for key in sorted(rows)]
    await connection.execute(
        _UPSERT_LANES,
        [lane.zone for lane in ordered],
        [lane.location for lane in ordered],
        [lane.service for lane in ordered],
        [lane.carrier_class for lane in ordered],
        [lane.rank for lane in ordered],
        [lane.transit_days for lane in ordered],
        [lane.cost_shipment_minor for lane in ordered],
        [lane.cost_unit_minor for lane in ordered],
        [lane.active for lane in ordered],
    )
    await raise_version(connection)
    return []


async def read_lanes(connection: Connection) -> list[dict[str, Any]]:
    """All lanes, by zone and rank."""
    return [dict(row) for row in await connection.fetch(_LANES)]
