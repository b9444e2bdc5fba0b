"""What the bench of protections stands on: decisions of the product, a policy without foresight, a true optimum."""

import random
from dataclasses import replace
from itertools import product

import pytest

from bench.allocation_optimum import optimum
from bench.allocation_policy import ExpectedRest, Parameters
from bench.allocation_world import TIERS, WEIGHTS, Demand, Result, Setting, replay, setting, shuffled_after
from bench.uci_protections import Row, demand_of, tiers_by_revenue, trained
from services.atp.domain.model import Book, Item, Offer, Position, PositionKey, Protection, Request, RequestLine, Tier
from services.atp.domain.promising import decide

PARAMETERS = Parameters(scale=1.5, lapse_days=2)


def history(seed: int, *, days: int = 40, items: int = 3, lines: int = 6) -> list[Demand]:
    chance = random.Random(seed)
    return [
        Demand(day, f"I{chance.randrange(items)}", chance.choice(TIERS), chance.randint(1, 9))
        for day in range(days)
        for _ in range(chance.randint(2, lines))
    ]


def world_of(past: list[Demand], *, wait_days: int = 3, percent: int = 80) -> Setting:
    return setting(past, 20, 40, period_days=5, wait_days=wait_days, supply_percent=percent)


def by_policy(world: Setting, past: list[Demand], *, until: int | None = None) -> Result:
    return replay(world, trained(past, world.first, PARAMETERS), until=until)


@pytest.mark.parametrize("seed", range(20))
def test_decisions_until_a_day_are_the_same_whatever_comes_after_it(seed: int) -> None:
    past = history(seed)
    world = world_of(past)
    for day in (22, 29, 35):
        other = shuffled_after(world, day, seed)
        assert other.demand != world.demand
        assert by_policy(world, past, until=day).decisions == by_policy(other, past, until=day).decisions


def test_decisions_do_depend_on_what_came_before() -> None:
    past = history(1)
    world = world_of(past)
    assert by_policy(world, past).decisions != by_policy(world, history(2)).decisions


@pytest.mark.parametrize(("seed", "wait_days", "percent"), [*product(range(6), (0, 3), (60, 95))])
def test_nobody_does_better_than_hindsight_and_nobody_gets_more_than_there_is(
    seed: int, wait_days: int, percent: int
) -> None:
    past = history(seed)
    world = world_of(past, wait_days=wait_days, percent=percent)
    best = optimum(world)
    for result in (replay(world, None), by_policy(world, past)):
        assert result.value <= best.value
        assert result.units <= best.units <= sum(world.receipts.values())
        assert all(result.served[tier] <= result.asked[tier] for tier in TIERS)
        assert result.asked == best.asked


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_trying_everything(seed: int) -> None:
    chance = random.Random(seed)
    demand = [Demand(day, "I0", chance.choice(TIERS), chance.randint(1, 3)) for day in range(4)]
    world = setting(demand, 0, 4, period_days=2, wait_days=1, supply_percent=60)
    best = 0.0
    for given in product(*(range(each.quantity + 1) for each in demand)):
        feasible = all(
            sum(units for units, each in zip(given, demand, strict=True) if min(each.day + 1, 3) // 2 <= period)
            <= sum(quantity for (_, day), quantity in world.receipts.items() if day // 2 <= period)
            for period in (0, 1)
        )
        value = sum(WEIGHTS[each.tier] * units for units, each in zip(given, demand, strict=True))
        best = max(best, value if feasible else 0.0)
    assert optimum(world).value == pytest.approx(best)


def test_without_a_policy_all_that_there_is_goes_to_whoever_comes_first() -> None:
    demand = [Demand(0, "I0", "bronze", 4), Demand(0, "I0", "gold", 4), Demand(1, "I0", "gold", 1)]
    world = replace(world_of([]), first=0, last=5, demand=tuple(demand), receipts={("I0", 0): 6, ("I0", 2): 1})
    result = replay(world, None)
    assert result.decisions == [(0, "I0", 1, 4), (0, "I0", 2, 2), (1, "I0", 3, 0), (2, "I0", 2, 1)]
    assert (result.served, result.served_at_once) == ({"gold": 3, "silver": 0, "bronze": 4}, 6)


class Fixed:
    """Keeps the same for gold every day."""

    lapse_days = 1

    def protected(self, item: str, day: int, period_end: int) -> dict[str, int]:
        return {"gold": 3} if item else {str(day): period_end}

    def see(self, demand: Demand) -> None:
        pass


def test_what_is_kept_lapses_to_those_who_wait() -> None:
    demand = (Demand(0, "I0", "bronze", 4), Demand(1, "I0", "gold", 1))
    world = replace(world_of([]), first=0, last=5, wait_days=4, demand=demand, receipts={("I0", 0): 5})
    assert replay(world, Fixed()).decisions == [(0, "I0", 1, 2), (1, "I0", 2, 1), (4, "I0", 1, 2)]


@pytest.mark.parametrize("seed", range(20))
def test_a_line_gets_what_a_whole_decision_gives_it(seed: int) -> None:
    """The bench takes a short way to a decision; here is the long one, for the first line of a day."""
    chance = random.Random(seed)
    on_hand, kept, wanted, tier = chance.randint(1, 9), chance.randint(0, 9), chance.randint(1, 9), chance.choice(TIERS)
    world = replace(
        world_of([]), first=0, last=5, demand=(Demand(0, "I0", tier, wanted),), receipts={("I0", 0): on_hand}
    )

    class Keeps(Fixed):
        def protected(self, item: str, day: int, period_end: int) -> dict[str, int]:
            return {"gold": kept, "silver": 1} if item else {str(day): period_end}

    key, ranks = PositionKey("I0", "L"), {name: rank for rank, name in enumerate(TIERS, start=1)}
    rules = [
        Protection(name, "d", 1, key, name, ranks[name], 1, 5, quantity, lapse_days=1)
        for name, quantity in (("gold", kept), ("silver", 1))
    ]
    book = Book(
        1,
        {"I0": Item("I0")},
        {key: Position(key, 0, on_hand)},
        {"*": (Offer("L", "s", "c", 1, 0, 0, 0, 0),)},
        {key: tuple(rules)},
    )
    line = RequestLine("1", "I0", wanted, 1, 1)
    request = Request("s", "o", Tier(tier, ranks[tier], 1), "*", "c", 1, ship_complete=False, lines=(line,))
    decided = decide(book, request).lines[0]
    assert replay(world, Keeps()).decisions[0] == (0, "I0", 1, decided.quantity - decided.backordered)


def test_tiers_go_by_what_was_spent_before_and_the_unknown_are_bronze() -> None:
    rows = [
        Row(day, "I0", customer, 1, float(customer or 99)) for day, customer in enumerate([*range(1, 11), None, 77])
    ]
    tiers = tiers_by_revenue(rows, 11)
    assert tiers == {10: "gold", 9: "silver", 8: "silver", 7: "silver"}
    assert [each.tier for each in demand_of(rows, tiers)[-3:]] == ["gold", "bronze", "bronze"]


def test_what_is_expected_follows_demand_and_shrinks_with_the_days_that_are_left() -> None:
    policy = ExpectedRest(Parameters(scale=1.0, lapse_days=0))
    assert policy.protected("I0", 0, 9) == {}
    for day in range(60):
        for tier, units in (("gold", 6), ("silver", 3), ("bronze", 1)):
            policy.see(Demand(day, "I0", tier, units))
    assert policy.protected("I0", 60, 69) == pytest.approx({"gold": 60, "silver": 30}, abs=3)
    assert policy.protected("I0", 69, 69)["gold"] < policy.protected("I0", 60, 69)["gold"] / 8
