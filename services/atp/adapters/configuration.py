"""Lanes, locations, quotas and tiers, kept in memory under one version number.

Who changes one of them calls `raise_version` in the same transaction; a decision reads the number in its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import orjson

from services.atp.adapters.capacities import read_capacities
from services.atp.adapters.ceilings import read_hierarchies, read_quotas, read_regions, read_shared_items
from services.atp.adapters.routing_rules import read_rules
from services.atp.adapters.service_rules import read_service_rules
from services.atp.application.content import micro_of, plain
from services.atp.application.ports import Clock, Configuration, OfferName
from services.atp.application.routing import Lead
from services.atp.domain.micro_segments import MicroSegment, in_order
from services.atp.domain.model import Calendar, Offer, Tier
from services.atp.domain.routing_rules import PICK_UP, pick_up_key
from services.atp.domain.validation_rules import ValidationRules
from services.atp.domain.zones import ZoneMap, ZoneRule
from services.chassis.database import Connection

_VERSION: Final = "SELECT version FROM configuration"
_HELD_VERSION: Final = "SELECT held_configuration()"
_CHANGE_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext(current_schema()), 1)"
_RAISE_RANKS: Final = "UPDATE configuration SET ranks_version = ranks_version + 1"
_RAISE: Final = "UPDATE configuration SET version = version + 1"
_TIERS: Final = "SELECT tier, version, priority_rank, is_default, policy FROM tier ORDER BY tier"
# A lane ships nothing while a calendar that it needs is not known: every day would be a guess.
_OFFERS: Final = """
SELECT l.zone, l.location_id, l.service, l.carrier_class, l.rank, o.processing_days, l.transit_days,
       l.cost_shipment_minor, l.cost_unit_minor, l.cost_kg_minor, o.calendar_id, s.pick_up_calendar,
       o.kind, o.zone_name, s.cut_off, s.pick_up_time, o.closes_at, o.ready_minutes
FROM lane l JOIN location o USING (location_id) LEFT JOIN carrier_service s ON s.service = l.service
LEFT JOIN calendar w ON w.calendar_id = o.calendar_id LEFT JOIN calendar p ON p.calendar_id = s.pick_up_calendar
WHERE l.active AND o.active AND coalesce(s.active, true)
    AND (o.calendar_id IS NULL OR w.calendar_id IS NOT NULL)
    AND (s.pick_up_calendar IS NULL OR p.calendar_id IS NOT NULL)
ORDER BY l.zone, l.rank, l.location_id, l.service
"""
# Public holidays are closed days, but for those that are opened.
_ALL_CLOSED: Final = """
ARRAY(SELECT DISTINCT day FROM unnest(c.closed || c.holidays) AS days (day)
    WHERE day = ANY(c.closed) OR day <> ALL(c.opened) ORDER BY day) AS closed
"""
_CALENDARS: Final = f"SELECT c.calendar_id, c.weekdays, {_ALL_CLOSED}, c.opened FROM calendar c"  # noqa: S608
# Working days of locations. Nothing is assumed while the calendar is not known; goods at the dock wait any days then.
_LEADS: Final = f"""
SELECT o.location_id, o.{{days}} AS days, c.weekdays, {_ALL_CLOSED}, c.opened
FROM location o LEFT JOIN calendar c ON c.calendar_id = o.calendar_id WHERE {{where}}
"""  # noqa: S608 - made of constants
_LEAD_TIMES: Final = _LEADS.format(
    days="lead_time_days",
    where="o.lead_time_days IS NOT NULL AND (o.calendar_id IS NULL OR c.calendar_id IS NOT NULL)",
)
_DOCK_TO_STOCK: Final = _LEADS.format(days="dock_to_stock_days", where="o.dock_to_stock_days > 0")
_ZONES_VERSION: Final = "SELECT zones_version FROM configuration"
_ZONE_RULES: Final = "SELECT country, low, high, zone FROM zone_rule WHERE active"
_PROCESSING: Final = "SELECT location_id, processing_days FROM location"
_TIME_ZONES: Final = "SELECT location_id, zone_name FROM location WHERE zone_name <> 'UTC'"
_CLOSED: Final = "SELECT location_id, coalesce(through_day, 10000000) AS through_day FROM location_closing"
_ANY_PROTECTION: Final = "SELECT EXISTS (SELECT FROM protection)"
ANY_BLOCK: Final = "SELECT EXISTS (SELECT FROM customer_block)"  # of a customer, set or lifted

# Serves customers until the registry was heard of; ranks behind every tier that the registry defines.
TIER_BEFORE_ANY: Final = Tier("default", priority_rank=1_000_000, policy_version=1)
_POLICY_FIELDS: Final = (
    "lead_time_days",
    "split_allowed",
    "as_soon_as_possible",
    "lateness_penalty_minor",
    "split_penalty_minor",
    "backorder_penalty_minor",
    "pick_priority",
    "packaging",
    "strategy",
    "lock_window_days",
)
_ATTRIBUTES: Final = ("item_groups", "zones", "channels", "regions", "demand_profiles")
_POLICY_LISTS: Final = ("carrier_classes", "handling")
UNTIMED: Final = Clock("UTC", None)
_QUANTITY_LIMITS: Final = ("line_quantity_max", "order_quantity_max")
_VALUE_LIMITS: Final = ("line_value_max", "order_value_min", "order_value_max")
_PERMITTED: Final = ("permitted_items", "permitted_item_groups", "permitted_channels", "permitted_zones")
NOTHING_VALIDATED: Final = ValidationRules()


class ConfigurationCache:
    """The configuration of one process, read again when its version moved."""

    def __init__(self) -> None:
        self._held: Configuration | None = None
        self._zones: tuple[int, ZoneMap] | None = None

    def copy(self) -> "ConfigurationCache":
        """Another one that has read as much: for a transaction whose changes nobody else may see."""
        other = ConfigurationCache()
        other._held, other._zones = self._held, self._zones
        return other

    async def current(self, connection: Connection, *, hold: bool = False) -> Configuration:
        """The configuration at the version that this transaction sees.

        `hold`: nobody who changes it alone (`change_alone`) commits before this transaction has ended.
        """
        version: int = await connection.fetchval(_HELD_VERSION if hold else _VERSION)
        held = self._held
        if held is None or held.version != version:
            self._held = held = await _read(connection, version, await self._zone_map(connection))
        return held

    async def _zone_map(self, connection: Connection) -> ZoneMap:
        """The zone rules, which are many: read again only when they changed themselves."""
        version: int = await connection.fetchval(_ZONES_VERSION)
        if self._zones is None or self._zones[0] != version:
            self._zones = (version, await read_zone_map(connection))
        return self._zones[1]


async def read_zone_map(connection: Connection) -> ZoneMap:
    """The zone rules in force."""
    return ZoneMap([ZoneRule(*row) for row in await connection.fetch(_ZONE_RULES)])


async def raise_version(connection: Connection) -> None:
    """Tell all processes that the configuration changed, once this transaction has committed."""
    await connection.execute(_RAISE)


async def change_alone(connection: Connection) -> None:
    """Wait for all transactions that hold a configuration, and let others wait: none decides by a former one then.

    It must be the first lock of its transaction. Decisions wait as long as it lasts.
    """
    await connection.execute(_CHANGE_ALONE)


async def raise_ranks(connection: Connection) -> None:
    """Let the places of all who wait be set anew: a tier has another rank."""
    await connection.execute(_RAISE_RANKS)


async def _read(connection: Connection, version: int, zone_map: ZoneMap) -> Configuration:
    tiers: dict[str, Tier] = {}
    segments: dict[str, tuple[MicroSegment, ...]] = {}
    default = TIER_BEFORE_ANY
    for row in await connection.fetch(_TIERS):
        policy = orjson.loads(row["policy"])
        tier = _tier(row["tier"], row["version"], row["priority_rank"], policy)
        tiers[tier.tier] = tier
        if refining := policy.get("micro_segments"):
            segments[tier.tier] = in_order([_micro_segment(each) for each in refining])
        if row["is_default"]:
            default = tier
    offers, clocks = await _offers(connection)
    protections: bool = await connection.fetchval(_ANY_PROTECTION)
    blocks: bool = await connection.fetchval(ANY_BLOCK)
    return Configuration(
        version,
        tiers,
        default,
        offers,
        await read_quotas(connection),
        protections,
        await _leads(connection, _DOCK_TO_STOCK),
        blocks,
        zone_map,
        clocks,
        hierarchies=await read_hierarchies(connection),
        regions=await read_regions(connection),
        capacities=await read_capacities(connection),
        closed={row["location_id"]: row["through_day"] for row in await connection.fetch(_CLOSED)},
        divided=await read_shared_items(connection),
        routing=await read_rules(connection),
        leads=await _leads(connection, _LEAD_TIMES),
        processing_days={row["location_id"]: row["processing_days"] for row in await connection.fetch(_PROCESSING)},
        service_rules=await read_service_rules(connection),
        micro_segments=segments,
        by_item_group=any(each.item_groups for own in segments.values() for each in own),
        time_zones={row["location_id"]: row["zone_name"] for row in await connection.fetch(_TIME_ZONES)},
    )


async def _offers(connection: Connection) -> tuple[dict[str, tuple[Offer, ...]], dict[OfferName, Clock]]:
    """The ways to serve each zone, and when the day ends for those of them for which that is not midnight in UTC."""
    calendars: dict[str | None, Calendar] = {
        name: _calendar(weekdays, closed, opened)
        for name, weekdays, closed, opened in await connection.fetch(_CALENDARS)
    }
    rows = await connection.fetch(_OFFERS)
    offers: dict[str, tuple[Offer, ...]] = {}
    clocks: dict[OfferName, Clock] = {}
    for zone, *offer, working, pick_up, kind, time_zone, cut_off, comes_at, closes, ready in rows:
        found = replace(Offer(*offer), working=calendars.get(working), pick_up=calendars.get(pick_up), kind=kind)
        name = (found.location_id, found.service)
        if found.carrier_class == PICK_UP:  # no zone sees it: the customer names the store
            way, clock = pick_up_key(found.location_id), Clock(time_zone, closes or cut_off, None, ready)
            if any(each.service == found.service for each in offers.get(way, ())):
                continue
        else:
            way, clock = zone, Clock(time_zone, cut_off, comes_at)
        offers[way] = (*offers.get(way, ()), found)
        if clock != UNTIMED:
            clocks[name] = clock
    return offers, clocks


async def _leads(connection: Connection, query: str) -> dict[str, Lead]:
    """Working days of locations, where they take any."""
    return {
        name: Lead(days, None if weekdays is None else _calendar(weekdays, closed, opened))
        for name, days, weekdays, closed, opened in await connection.fetch(query)
    }


def _calendar(weekdays: str, closed: Sequence[int], opened: Sequence[int]) -> Calendar:
    return Calendar(tuple(flag == "1" for flag in weekdays), tuple(closed), tuple(opened))


def _tier(tier: str, version: int, rank: int, policy: dict[str, Any]) -> Tier:
    known = {name: policy[name] for name in _POLICY_FIELDS if name in policy}
    lists: dict[str, Any] = {name: tuple(policy.get(name, ())) for name in _POLICY_LISTS}
    return Tier(tier, rank, version, validation=_validation(policy.get("validation")), **lists, **known)


def _micro_segment(document: dict[str, Any]) -> MicroSegment:
    given = {name: value for name, value in document["policy"].items() if value is not None}
    if "validation" in given:
        given["validation"] = _validation(given["validation"])
    given |= {name: tuple(given[name]) for name in _POLICY_LISTS if name in given}
    named = {name: tuple(document.get(name, ())) for name in _ATTRIBUTES}
    return MicroSegment(document["name"], given, **named)


def _validation(policy: dict[str, Any] | None) -> ValidationRules | None:
    if policy is None:
        return None
    limits = {name: policy.get(name) for name in _VALUE_LIMITS}
    values: dict[str, Any] = {
        f"{name}_micro": None if text is None else micro_of(plain(Decimal(text))) for name, text in limits.items()
    }
    quantities: dict[str, Any] = {name: policy.get(name) for name in _QUANTITY_LIMITS}
    lists: dict[str, Any] = {name: tuple(policy.get(name, ())) for name in _PERMITTED}
    rules = ValidationRules(**quantities, **values, **lists)
    return None if rules == NOTHING_VALIDATED else replace(rules, held=tuple(policy.get("held", ())))
