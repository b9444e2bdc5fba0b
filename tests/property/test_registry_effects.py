"""What subscribers of moves are told, against the tier that really counted in each hour."""

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain import moves
from services.segment_registry.domain.customers import Customer, new_customer, served_tier
from services.segment_registry.domain.moves import Move, Moved, MoveRequest
from services.segment_registry.domain.taking_effect import take_effect
from services.segment_registry.domain.timeline import Grounds, Kind, boundaries
from tests.support.painted_timeline import MOMENTS, PROBES, START, commands, moment
from tests.support.registry import CUSTOMER, DAY, ERP, TIERS

TIER_NAMES = {"gold": "gold", "silver": "silver", "bronze": "standard"}  # bronze of the painter is no tier here
GROUNDS = Grounds("because", "ann")
hours_of_commands = st.lists(st.integers(0, MOMENTS), min_size=20, max_size=20).map(sorted)


class Registry:
    """A customer, the boundaries still to be told, and the moves that were told."""

    def __init__(self) -> None:
        self.customer = new_customer(CUSTOMER, (ERP,), START - DAY)
        self.told: list[tuple[int, Move]] = []
        self.worked_until = START - DAY

    def settle(self, hour: int) -> None:
        now = moment(hour)
        passed = [each for each in boundaries(self.customer.assignments) if self.worked_until < each <= now]
        self.worked_until = max(self.worked_until, now)
        effect = take_effect(self.customer, TIERS, passed, now)
        if effect is not None:
            self.customer = effect.customer
            self.told += [(hour, told) for told in effect.moves]

    def decide(self, step: tuple[object, ...], hour: int) -> None:
        self.settle(hour)
        outcome: object = None
        match step:
            case ("assign", Kind() as kind, str(tier), int(first), last):
                until = moment(last) if isinstance(last, int) else None
                wish = MoveRequest(TIER_NAMES[tier], kind, moment(first), until, GROUNDS)
                outcome = moves.move(self.customer, TIERS, wish, moment(hour))
            case ("end", int(which), _):
                outcome = moves.end(self.customer, TIERS, which + 1, GROUNDS, moment(hour))
        if isinstance(outcome, Moved):
            self.customer = outcome.customer
            if outcome.move.takes_effect:
                self.told.append((hour, outcome.move))


@given(commands, hours_of_commands)
def test_the_told_moves_are_the_tiers_that_counted_hour_by_hour(
    steps: list[tuple[object, ...]], hours: list[int]
) -> None:
    registry = Registry()
    at_hour = {hour: [step for step, when in zip(steps, hours, strict=False) if when == hour] for hour in hours}
    for hour in range(MOMENTS + 1):
        for step in at_hour.get(hour, []):
            registry.decide(step, hour)
        registry.settle(hour)
        assert believed_tier(registry) == served_tier(registry.customer, TIERS, moment(hour)).tier
    sequences = [told.sequence for _, told in registry.told]
    assert sequences == sorted(set(sequences))


@given(commands, hours_of_commands)
def test_it_does_not_matter_how_late_a_boundary_is_worked(steps: list[tuple[object, ...]], hours: list[int]) -> None:
    punctual, late = Registry(), Registry()
    for step, hour in zip(steps, hours, strict=False):
        for each in range(hour):
            punctual.settle(each)
        punctual.decide(step, hour)
        late.decide(step, hour)
    for hour in range(MOMENTS + 1):
        punctual.settle(hour)
    late.settle(MOMENTS)
    assert [_said(told) for _, told in late.told] == [_said(told) for _, told in punctual.told]
    assert tiers_of(late.customer) == tiers_of(punctual.customer)


def believed_tier(registry: Registry) -> str:
    """Where a subscriber has the customer that follows moves alone; a move that ended before it was told is history."""
    believed = "standard"
    for hour, told in registry.told:
        if told.effective_to is None or told.effective_to > moment(hour):
            believed = told.to_tier
    return believed


def tiers_of(customer: Customer) -> list[str]:
    return [served_tier(customer, TIERS, probe).tier for probe in PROBES]


def _said(told: Move) -> tuple[object, ...]:
    return told.from_tier or "standard", told.to_tier, told.effective_from
