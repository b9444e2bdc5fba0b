"""The bench of plans checks itself: its solver's plans are costed by the domain, and its worlds are always the same."""

import pytest

from bench.plan_gap import measured, worth
from bench.plan_optimum import Programme
from bench.plan_world import world


@pytest.mark.parametrize("seed", range(6))
def test_the_domain_and_the_solver_agree_on_the_units_and_cost_of_the_best_plan(seed: int) -> None:
    book, request = world(seed)
    best = Programme(book, request).solve()
    assert worth(book, request, best.parts) == (best.units, best.cost)


def test_orders_get_the_best_plan_there_is_and_small_ones_are_searched_to_their_end() -> None:
    small = [case for case in map(measured, range(0, 24, 2)) if case is not None]
    larger = [case for case in map(measured, range(1, 12, 2)) if case is not None]
    assert all(not case.budget_spent for case in small)
    ended = [case for case in (*small, *larger) if not case.budget_spent]
    assert len(ended) > len(small)
    assert all(case.gap == 0 for case in ended)


def test_a_seed_makes_the_same_order_again() -> None:
    assert world(7) == world(7) != world(9)
