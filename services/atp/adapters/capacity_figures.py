"""What is booked of capacities, kept and free, by ship day, worked out by the functions that decide."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from services.atp.adapters.capacities import capacity_counters, read_capacities
from services.atp.application.capacities import capacities_at, names_of
from services.atp.application.service_levels import CapacityUse
from services.atp.domain.capacity import booked_by_tier_key, booked_key, units_on
from services.atp.domain.model import Capacity, CapacityShare, Day, UsageKey
from services.chassis.database import Connection

Usage = Mapping[UsageKey, int]
CAPACITIES_SHOWN_MAX: Final = 1_000  # in metrics, which show far fewer by name
_NAMED: Final = """
SELECT capacity_id, location_id FROM capacity
WHERE document_id = $1 AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2) ORDER BY capacity_id
"""


async def days_of_document(
    connection: Connection, document_id: str, now: datetime, first: Day, days: int
) -> list[dict[str, Any]]:
    """The capacities of a document's version in effect, each day by day; none where no version is."""
    rows = await connection.fetch(_NAMED, document_id, now)
    named = {row["capacity_id"]: None for row in rows}
    everywhere = capacities_at(await read_capacities(connection), {row["location_id"]: None for row in rows}, now)
    found = [each for own in everywhere.values() for each in own if each.capacity_id in named]
    usage = await capacity_counters(connection, names_of(found), first)
    today = now.toordinal()
    return [
        {
            "location": each.location_id,
            "service": each.service,
            "days": [_day(each, day, today, usage) for day in range(first, first + days)],
        }
        for each in sorted(found, key=_name)
    ]


def _name(capacity: Capacity) -> str:
    return capacity.capacity_id


def _day(capacity: Capacity, day: Day, today: Day, usage: Usage) -> dict[str, Any]:
    units, booked = units_on(capacity, day), usage.get(booked_key(capacity, day), 0)
    shares = [(share, *_share(capacity, share, day, today, usage)) for share in capacity.shares if share.quantity]
    return {
        "day": date.fromordinal(day),
        "units": units,
        "booked": booked,
        "overbooked": max(0, booked - units),
        "free": max(0, units - booked - sum(kept for _, _, kept in shares)),
        "tiers": [
            {"tier": share.tier, "share": share.quantity, "booked": own, "kept": kept} for share, own, kept in shares
        ],
    }


def _share(capacity: Capacity, share: CapacityShare, day: Day, today: Day, usage: Usage) -> tuple[int, int]:
    """What the tier of a share has booked on a day, and what is still kept for it."""
    own = usage.get(booked_by_tier_key(capacity, share.tier, day), 0)
    has_lapsed = today > day - share.lapse_days
    return own, 0 if has_lapsed else max(0, share.quantity - own)


async def use_of_capacities(connection: Connection, now: datetime) -> list[CapacityUse]:
    """All capacities in effect: today's units, and what is overbooked on any day from today on."""
    known = await read_capacities(connection)
    in_effect = _in_effect(known, now)
    capacities = [each for own in capacities_at(known, known, now).values() for each in own]
    shown = [each for each in capacities if each.capacity_id in in_effect][:CAPACITIES_SHOWN_MAX]
    if not shown:
        return []
    today = now.toordinal()
    usage = await capacity_counters(connection, names_of(shown), today)
    beyond = _overbooked(shown, usage)
    found = []
    for each in shown:
        figures = _day(each, today, today, usage)
        kept = sum(tier["kept"] for tier in figures["tiers"])
        own = {"units": figures["units"], "booked": figures["booked"], "kept": kept, "free": figures["free"]}
        found.append(CapacityUse(each.capacity_id, {**own, "overbooked": beyond.get(each.capacity_id, 0)}))
    return found


def _in_effect(known: Mapping[str, Sequence[Any]], now: datetime) -> dict[str, None]:
    return {
        each.capacity.capacity_id: None
        for own in known.values()
        for each in own
        if each.effective_from <= now and (each.effective_to is None or now < each.effective_to)
    }


def _overbooked(capacities: Iterable[Capacity], usage: Usage) -> dict[str, int]:
    """By capacity what is booked beyond its units, on all days together."""
    known = {each.capacity_id: each for each in capacities}
    found: dict[str, int] = {}
    for key, booked in usage.items():
        capacity = known.get(key.limit_id)  # counters of shares have other names
        if capacity is not None:
            beyond = max(0, booked - units_on(capacity, key.period_start))
            found[key.limit_id] = found.get(key.limit_id, 0) + beyond
    return found
