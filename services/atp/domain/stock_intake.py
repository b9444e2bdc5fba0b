"""Keeping on hand true while movements, shipments and counts arrive in any order, more than once.

A source numbers its movements and shipments per position without gaps; a count names the last one that it includes,
its cursor. Per position and source:

- a movement beyond the cursor of the count in effect changes on hand, once;
- a movement at or before it is in the count already: it closes its scheduled receipt or commitment and leaves on hand
  alone;
- a count takes effect when every movement up to its cursor has arrived. Until then it waits, and only lowers: on hand
  is the lower of what it was without the count and what the count says;
- a count that is older than the one in effect or in waiting is recorded and not applied.

Guarantee: with cursors, any interleaving and duplication ends in the same on hand; and a count in waiting never adds
to what is shown, so that goods that it includes are not counted again with their open scheduled receipt. Without a
cursor (`as_of` only) a count takes effect at once, movements up to that time are taken to be in it, and neither is
promised. Opening: where a source was never heard of and nothing is scheduled, there is nothing that a count could
hold twice, so its first count takes effect at once, although the movements before it never come.

Duplicates by (source, reference) are the caller's to drop; those by sequence are found here.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple

Effect = Literal["applied", "included", "duplicate", "waiting", "older"]
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of on hand by `quantity` (negative: out), by a receipt, adjustment, issue or shipment."""

    quantity: int
    occurred_at: datetime
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A full count. `cursor`: the last sequence that it includes; None: all that occurred up to `as_of`.

    `later`: the sum of the recorded movements of the position that the count does not include: those of this source
    with a sequence beyond the cursor, and those without one, or of other sources, that occurred after `as_of`.
    """

    on_hand: int
    as_of: datetime
    cursor: int | None = None
    later: int = 0
    nothing_scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A count that waits for movements, and by how much it will change on hand as far as is known."""

    cursor: int
    as_of: datetime
    correction: int


@dataclass(frozen=True, slots=True)
class StockState:
    """What a source has said about a position.

    Sequences up to `floor` are in an opening count and may or may not have arrived; from there to `through` all have,
    and those in `beyond` (ranges, ascending) as well. `cursor` and `counted_at` are those of the count in effect.
    """

    floor: int = 0
    through: int = 0
    beyond: Ranges = ()
    cursor: int = 0
    counted_at: datetime | None = None
    counted_by_time: bool = False
    waiting: Waiting | None = None


class Intake(NamedTuple):
    """The outcome of an entry: the state and on hand after it, and the count correction to be published.

    A movement closes its scheduled receipt or commitment when its effect is `applied` or `included`.
    """

    state: StockState
    on_hand: int
    effect: Effect
    correction: int = 0


def apply_movement(state: StockState, on_hand: int, movement: Movement) -> Intake:
    """Take in a movement or shipment of a source at a position whose on hand is `on_hand`."""
    sequence = movement.sequence
    if sequence is not None:
        if _has(state, sequence):
            return Intake(state, on_hand, "duplicate")
        state = _with(state, sequence)
    effect: Effect = "included" if _in_effective_count(state, movement) else "applied"
    quantity = 0 if effect == "included" else movement.quantity
    waiting = state.waiting
    if waiting is None:
        return Intake(state, on_hand + quantity, effect)
    without = on_hand - min(0, waiting.correction) + quantity
    if _in_count(movement, waiting.cursor, waiting.as_of):
        waiting = replace(waiting, correction=waiting.correction - quantity)
    return _settle(state, without, waiting, effect)


def apply_count(state: StockState, on_hand: int, count: Count) -> Intake:
    """Take in a full count of a position whose on hand is `on_hand`."""
    if _is_older(state, count):
        return Intake(state, on_hand, "older")
    without = on_hand - min(0, state.waiting.correction) if state.waiting else on_hand
    correction = count.on_hand + count.later - without
    if count.cursor is None:
        after = replace(state, counted_at=count.as_of, counted_by_time=True, waiting=None)
        return Intake(after, without + correction, "applied", correction)
    if state == StockState() and count.nothing_scheduled:
        state = StockState(floor=count.cursor, through=count.cursor)
    return _settle(state, without, Waiting(count.cursor, count.as_of, correction), "waiting")


def _settle(state: StockState, without: int, waiting: Waiting, effect: Effect) -> Intake:
    """Let a count take effect if all that it includes has arrived; else let it only lower."""
    if state.through < waiting.cursor:
        return Intake(replace(state, waiting=waiting), without + min(0, waiting.correction), effect)
    after = replace(state, cursor=waiting.cursor, counted_at=waiting.as_of, counted_by_time=False, waiting=None)
    settled: Effect = "applied" if effect == "waiting" else effect
    return Intake(after, without + waiting.correction, settled, waiting.correction)


def _is_older(state: StockState, count: Count) -> bool:
    if count.cursor is not None and state.waiting:
        return (count.cursor, count.as_of) <= (state.waiting.cursor, state.waiting.as_of)
    if count.cursor is not None and state.counted_at and not state.counted_by_time:
        return (count.cursor, count.as_of) <= (state.cursor, state.counted_at)
    known = [each for each in (state.counted_at, state.waiting and state.waiting.as_of) if each]
    return any(count.as_of <= each for each in known)


def _in_effective_count(state: StockState, movement: Movement) -> bool:
    if state.counted_at is None:
        return False
    if state.counted_by_time and movement.occurred_at <= state.counted_at:
        return True
    return _in_count(movement, state.cursor, state.counted_at)


def _in_count(movement: Movement, cursor: int, as_of: datetime) -> bool:
    """Whether a count includes a movement: by sequence, or by time where there is none."""
    return movement.occurred_at <= as_of if movement.sequence is None else movement.sequence <= cursor


def _has(state: StockState, sequence: int) -> bool:
    return state.floor < sequence <= state.through or any(low <= sequence <= high for low, high in state.beyond)


def _with(state: StockState, sequence: int) -> StockState:
    """The state with one more sequence arrived (one that had not)."""
    if sequence <= state.floor:
        return state
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*state.beyond, (sequence, sequence))):
        if merged and merged[-1][1] + 1 == low:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    through = state.through
    if merged[0][0] == through + 1:
        through = merged.pop(0)[1]
    return replace(state, through=through, beyond=tuple(merged))
