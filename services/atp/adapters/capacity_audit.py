"""Looks for overbooked ship days in the decision records, with arithmetic of its own; a part of `oversell_audit`.

*Overbooked*: a decision, at the moment it was stored, let more leave a location on a day than the capacity in force
says, or more than that by more. What was booked is taken as it was read under lock; what a decision took, from the
ledger; what was given back in between, from the postings of the recorded steps. A lowered capacity is no decision.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MONDAY_TO_SUNDAY = 7


class Leaves(NamedTuple):
    """What a decision let leave: from where, by what, when, how much."""

    location_id: str
    service: str
    ship_day: int
    quantity: int


class Bookings:
    """What is booked of the capacities that a record knows, by capacity and ship day."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._capacities: dict[str, list[Mapping[str, Any]]] = {}
        for capacity in record.get("capacities", ()):
            self._capacities.setdefault(capacity["location_id"], []).append(capacity)
        self._booked: dict[tuple[str, int], int] = {
            (limit_id, day): consumed for kind, limit_id, day, consumed in record["usage"] if kind == "capacity"
        }

    def give_back(self, part: Mapping[str, Any]) -> None:
        """A recorded step gave a part back."""
        for posting in part["postings"]:
            kind, limit_id, day = posting["usage"]
            if kind == "capacity":
                self._booked[limit_id, day] = self._booked.get((limit_id, day), 0) - posting["quantity"]

    def take(self, taken: Iterable[Leaves]) -> dict[tuple[str, int], str]:
        """Let one decision take; by capacity and day what it overbooked."""
        found: dict[tuple[str, int], str] = {}
        before: dict[tuple[str, int], int] = {}
        for leaves in taken:
            for capacity in self._capacities.get(leaves.location_id, ()):
                if capacity["service"] not in (None, leaves.service):
                    continue
                key = (capacity["capacity_id"], leaves.ship_day)
                was = before.setdefault(key, self._booked.get(key, 0))
                self._booked[key] = booked = self._booked.get(key, 0) + leaves.quantity
                units = _units(capacity, leaves.ship_day)
                if booked > units:
                    found[key] = f"{booked} are booked of {units}, and were {was}"
        return found


def _units(capacity: Mapping[str, Any], day: int) -> int:
    """By its own reading of the calendar: day 1 of the ordinals was a Monday."""
    named: dict[int, int] = dict(capacity["exceptions"])
    usual: int = capacity["weekdays"][(day - 1) % MONDAY_TO_SUNDAY]
    return named.get(day, usual)
