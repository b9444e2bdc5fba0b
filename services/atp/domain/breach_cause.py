"""Why a line missed its target. The first rule that holds gives the cause; the rules are stated in docs/measures.md.

answered in full and in time?
  no ─▶ bound by a protection or a quota?            ─▶ allocation
        a receipt was past due when it was answered? ─▶ late_supply
        otherwise                                    ─▶ demand_above_plan
  yes ─▶ its promise was worsened later?             ─▶ allocation, or late_supply where supply changed
         what it was planned on came late?           ─▶ late_supply
         otherwise                                   ─▶ execution
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from services.atp.domain.model import Day
from services.atp.domain.service_measures import (
    PREEMPTING,
    AnsweredLine,
    OrderRecord,
    base_of,
    worsened,
)

Cause = Literal["execution", "late_supply", "allocation", "demand_above_plan"]
CAUSES: Final[tuple[Cause, ...]] = ("execution", "late_supply", "allocation", "demand_above_plan")
ALLOCATING: Final = ("protection", "quota", "node")
_CAUSE_OF_CHANGE: Final[Mapping[str, Cause]] = {
    "supply_changed": "late_supply",
    "supply_arrived": "late_supply",
    "execution": "execution",
}


@dataclass(frozen=True, slots=True)
class DueReceipt:
    """Supply that was due on a day; `came` has (day, quantity) of what arrived of it."""

    item_id: str
    location_id: str
    due_day: Day
    quantity: int
    came: tuple[tuple[Day, int], ...] = ()

    def short_on(self, day: Day) -> bool:
        """Whether it was due by the day and not all of it had come by its end."""
        return self.due_day <= day and sum(quantity for on, quantity in self.came if on <= day) < self.quantity


def cause_of(record: OrderRecord, line: str, receipts: Sequence[DueReceipt]) -> Cause:
    """The cause for one line that missed; `receipts` are those of its item."""
    base = base_of(record)
    asked = next(each for each in base.lines if each.line == line)
    if not _in_full_and_in_time(asked):
        if any(kind in ALLOCATING for kind in asked.why):
            return "allocation"
        late = any(each.due_day < base.day and each.short_on(base.day) for each in receipts)
        return "late_supply" if late else "demand_above_plan"
    change = _first_worsening(record, line)
    if change is not None:
        return _CAUSE_OF_CHANGE.get(change, "allocation")
    planned = [each for each in record.taken if each.line == line]
    late = any(
        (receipt.item_id, receipt.location_id) == (part.item_id, part.location_id)
        and base.day < receipt.due_day
        and receipt.short_on(part.available_day)
        for part in planned
        for receipt in receipts
    )
    return "late_supply" if late else "execution"


def main_cause(missed: Mapping[Cause, int]) -> Cause | None:
    """The cause of most; of equals the first in the order of `CAUSES`. None if nothing was missed."""
    found = [cause for cause in CAUSES if missed.get(cause)]
    return max(found, key=lambda cause: (missed[cause], -CAUSES.index(cause)), default=None)


def tally(missed: Iterable[tuple[Cause, int]]) -> dict[Cause, int]:
    """How much each cause has of what was missed."""
    found = dict.fromkeys(CAUSES, 0)
    for cause, quantity in missed:
        found[cause] += quantity
    return {cause: quantity for cause, quantity in found.items() if quantity}


def _in_full_and_in_time(asked: AnsweredLine) -> bool:
    in_time = sum(each.quantity for each in asked.schedule if each.arrival_day <= asked.requested_day)
    return in_time >= asked.quantity


def _first_worsening(record: OrderRecord, line: str) -> str | None:
    start = record.revisions.index(base_of(record))
    revisions = record.revisions[start:]
    for before, after in pairwise(revisions):
        if after.cause not in PREEMPTING:
            continue
        was = next((each.schedule for each in before.lines if each.line == line), ())
        now = next((each.schedule for each in after.lines if each.line == line), ())
        if worsened(was, now):
            return after.cause
    return None
