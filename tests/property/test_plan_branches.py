"""The search of a whole order finds the first of all its plans, tried here by every quantity of every choice."""

from collections.abc import Iterator, Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.linear_programme import Programme
from services.atp.domain.model import Offer, PositionKey
from services.atp.domain.plan_branches import Branches
from services.atp.domain.plan_problem import Choice, Problem, Shipment, Wish
from services.atp.domain.plan_relaxation import Relaxation
from services.atp.domain.plan_search import search
from services.atp.domain.plan_state import Key, Plan, key_of
from services.atp.domain.taking import GRAMS, Lane, Piece

ENOUGH = 10_000_000  # entries and choices looked at
LINES_MAX, CHOICES_MAX, NEED_MAX = 3, 6, 3

quantities = st.integers(0, 4)
costs = st.sampled_from((0, 1, 5, 20, 60))


def _piece(number: int) -> Piece:
    place = f"L{number}"
    offer = Offer(place, "S", "road", 1, processing_days=0, transit_days=0, cost_shipment_minor=0, cost_unit_minor=0)
    return Piece(Lane(offer, PositionKey("I", place), 0, timed=False, capacities=()), 1, 0)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small orders: shared shipments, stock that grows by day, limits; packs, minima, and carriage by weight too."""
    shipments = tuple(
        Shipment(f"L{number // 2}", f"S{number % 2}", 1, 0 if is_open else draw(costs), is_open)
        for number in range(draw(st.integers(1, 4)))
        for is_open in [draw(st.sampled_from((False, False, False, True)))]
    )
    levels = tuple(tuple(sorted((draw(quantities), draw(quantities)))) for _ in range(draw(st.integers(1, 3))))
    limits = tuple(draw(quantities) for _ in range(draw(st.integers(0, 2))))
    unit_costs = draw(st.sampled_from(((0, 1, 2, 7, 30), (100, 333, 1_250, 2_000, 9_999))))
    grain = GRAMS if unit_costs[0] == 0 else 1
    left, wishes = CHOICES_MAX, []
    for line in range(draw(st.integers(1, LINES_MAX))):
        need = draw(st.integers(1, NEED_MAX))
        pack = draw(st.sampled_from((1, 1, 1, 2)))
        count = draw(st.integers(0, min(3, left)))
        left -= count
        choices = [
            Choice(
                line,
                _piece(number),
                draw(st.integers(0, len(shipments) - 1)),
                grain * draw(st.sampled_from(unit_costs)),
                (0, 0, "", ""),
                draw(st.integers(0, len(levels) - 1)),
                draw(st.integers(0, 1)),
                tuple(sorted(draw(st.sets(st.integers(0, len(limits) - 1))))) if limits else (),
            )
            for number in range(count)
        ]
        minimum = draw(st.sampled_from((0, 0, 1, need)))
        wishes.append(Wish(need, minimum, pack, tuple(sorted(choices, key=lambda each: each.unit_cost))))
    return Problem(
        tuple(wishes),
        shipments,
        levels,
        limits,
        split_penalty=draw(costs),
        backorder_penalty=draw(costs),
        split_allowed=draw(st.sampled_from((True, True, False))),
        shipments_before=draw(st.integers(0, 1)) + sum(each.is_open for each in shipments),
        shipments_max=draw(st.sampled_from((None, None, 1, 2))),
    )


def _plans(problem: Problem) -> Iterator[Plan]:
    """Every plan that may be taken."""
    choices = [choice for wish in problem.wishes for choice in wish.choices]
    ranges = [range(0, problem.wishes[each.line].need + 1, problem.wishes[each.line].pack) for each in choices]
    for amounts in product(*ranges):
        taken = tuple((choice, amount) for choice, amount in zip(choices, amounts, strict=True) if amount)
        if is_feasible(problem, taken):
            yield key_of(problem, taken), taken


def is_feasible(problem: Problem, taken: Sequence[tuple[Choice, int]]) -> bool:
    """Whether all of it may be taken together."""
    for line, wish in enumerate(problem.wishes):
        own = [amount for choice, amount in taken if choice.line == line]
        if sum(own) > wish.need or 0 < sum(own) < wish.minimum or any(amount % wish.pack for amount in own):
            return False
        if len(own) > 1 and not problem.split_allowed:
            return False
    for stock, levels in enumerate(problem.levels):
        for place, level in enumerate(levels):
            if sum(amount for choice, amount in taken if choice.stock == stock and choice.place <= place) > level:
                return False
    for limit, left in enumerate(problem.limits):
        if sum(amount for choice, amount in taken if limit in choice.limits) > left:
            return False
    used = {choice.shipment for choice, _ in taken}
    opened = sum(not problem.shipments[number].is_open for number in used)
    most = problem.shipments_max
    return most is None or opened == 0 or problem.shipments_before + opened <= most


def _worth(key: Key) -> tuple[int, int, int]:
    return key[:3]


@given(problems())
def test_no_plan_of_an_order_comes_before_the_one_that_is_found(problem: Problem) -> None:
    best = min((key for key, _ in _plans(problem)), key=_worth)
    found = search(problem)
    assert is_feasible(problem, found.taken)
    assert found.key == key_of(problem, found.taken)
    assert found.is_exact
    assert _worth(found.key) == _worth(best)


@given(problems())
def test_what_no_plan_ranks_below_is_right_and_ranks_keep_the_order_of_plans(problem: Problem) -> None:
    relaxation, plans = Relaxation(problem), list(_plans(problem))
    ranks = [relaxation.rank(key) for key, _ in plans]
    programme = relaxation.programme()
    assert programme.solve(ENOUGH)
    assert relaxation.least(programme.value, 0, 0) <= min(ranks)
    assert sorted(range(len(plans)), key=lambda each: ranks[each]) == sorted(
        range(len(plans)), key=lambda each: _worth(plans[each][0])
    )


@given(problems(), st.integers(0, 300))
def test_a_search_that_ends_at_its_bound_keeps_a_plan_that_can_be_taken(problem: Problem, work_max: int) -> None:
    nothing: Plan = (key_of(problem, ()), ())
    branches = Branches(problem, nothing, work_max, to_the_unit=True)
    is_whole = branches.search()
    assert is_feasible(problem, branches.best[1])
    assert _worth(branches.best[0]) <= _worth(nothing[0])
    if is_whole:
        assert _worth(branches.best[0]) == min(_worth(key) for key, _ in _plans(problem))


@given(problems())
def test_a_search_that_is_not_to_the_unit_leaves_less_than_a_minor_unit_a_piece(problem: Problem) -> None:
    branches = Branches(problem, (key_of(problem, ()), ()), ENOUGH, to_the_unit=False)
    assert branches.search()
    units, cost, *_ = branches.best[0]
    best_units, best_cost, _ = min(_worth(key) for key, _ in _plans(problem))
    assert units == best_units
    assert cost <= best_cost + len(branches.best[1])


@st.composite
def programmes(draw: st.DrawFn) -> tuple[list[int], list[dict[int, int]], list[int]]:
    """Small ones, all of whose columns are bounded by some row."""
    columns = draw(st.integers(1, 4))
    entries = st.dictionaries(st.integers(0, columns - 1), st.integers(1, 3), max_size=columns)
    rows = [dict.fromkeys(range(columns), 1), *draw(st.lists(entries, max_size=4))]
    return (
        draw(st.lists(st.integers(-9, 9), min_size=columns, max_size=columns)),
        rows,
        draw(st.lists(quantities, min_size=len(rows), max_size=len(rows))),
    )


@given(programmes(), st.data())
def test_a_programme_is_least_where_its_prices_say_so(
    made: tuple[list[int], list[dict[int, int]], list[int]], data: st.DataObject
) -> None:
    costs_, rows, levels = made
    programme = Programme(costs_, rows, levels)
    assert programme.solve(ENOUGH)
    changes = data.draw(st.dictionaries(st.integers(0, len(costs_) - 1), st.integers(-9, 9)))
    again = programme.copy()
    again.change(changes)
    assert again.solve(ENOUGH)
    changed = [cost + changes.get(column, 0) for column, cost in enumerate(costs_)]
    for solved, prices_of in ((programme, costs_), (again, changed)):
        taken, prices = solved.quantities(), solved.prices()
        assert all(amount > 0 for amount in taken.values())
        assert sum(prices_of[column] * amount for column, amount in taken.items()) == solved.value
        for row, level in zip(rows, levels, strict=True):
            assert sum(entry * taken.get(column, 0) for column, entry in row.items()) <= level
        # weak duality: what any prices say is no more than the least; without fractions it is as much
        bound = -sum(price * level for price, level in zip(prices, levels, strict=True))
        for column, cost in enumerate(prices_of):
            reduced = cost + sum(price * row.get(column, 0) for price, row in zip(prices, rows, strict=True))
            bound += min(0, reduced) * levels[0]
        assert bound <= solved.value
        fresh = Programme(prices_of, rows, levels)
        assert fresh.solve(ENOUGH)
        assert fresh.value == solved.value
