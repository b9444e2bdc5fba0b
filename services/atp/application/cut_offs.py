"""When work on an order can begin at a location: its own day, or the next one once a service's cut-off has passed.

Worked out from business time when a batch begins, and recorded with the offers, so that a decision can be repeated
without knowing any time zone.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.atp.application.departures import moment
from services.atp.application.ports import Clock, OfferName
from services.atp.domain.model import Day, Offer


def in_time(offers: tuple[Offer, ...], clocks: Mapping[OfferName, Clock], now: datetime) -> tuple[Offer, ...]:
    """The offers with the day from which each can be worked on, where that is later than today."""
    if not clocks:
        return offers
    today = now.toordinal()
    found = []
    for offer in offers:
        clock = clocks.get((offer.location_id, offer.service))
        day = today if clock is None else first_day(clock, now)
        found.append(replace(offer, not_before=day) if day > today else offer)
    return tuple(found)


def first_day(clock: Clock, now: datetime) -> Day:
    """The day on which what comes now is worked on, by the clock of the location."""
    ready = now + timedelta(minutes=clock.ready_minutes)
    today = ready.astimezone(ZoneInfo(clock.time_zone)).toordinal()
    missed = clock.cut_off is not None and ready > moment(clock.time_zone, today, clock.cut_off)
    return today + missed
