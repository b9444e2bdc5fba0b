"""How far the plans of orders are from the best there are, on seeded orders of which many are hard.

Of 500 orders the one half costs at least 5 % too much if each line takes its cheapest way after the others, the other
half less. The best plan is that of HiGHS (`bench.plan_optimum`); every plan, the solver's too, is taken on a copy of
the book and costed by the domain's own function, so that neither a unit nor a cost is taken on trust. A gap is the cost
of the plan over that of the best one, penalties for what is late, split and backordered included.

Something binds where the best plan takes the last unit of it: of stock by some day, of capacity on some day; a split
where the best plan serves a line in several parts.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import Pool
from typing import Final

from bench.figures import Figure, write
from bench.plan_optimum import Optimum, Part, Programme
from bench.plan_world import world
from services.atp.domain.model import Book, Offer, OrderDecision, Request
from services.atp.domain.order_planning import Wanted, line_by_line
from services.atp.domain.outlook import Ask, Outlook, lanes_of, offers_of
from services.atp.domain.plan_problem import problem_of
from services.atp.domain.plan_search import search
from services.atp.domain.promising import inquire
from services.atp.domain.taking import Draft, Lane, Piece

ORDERS: Final = 500
HARD: Final = 0.05  # from so far above the best plan on is an order hard for line by line
SEEDS_MAX: Final = 5_000
PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One order: gaps are costs over the best cost, less one."""

    seed: int
    lines: int
    locations: int
    units: int
    best_cost: int
    gap: float
    line_by_line_gap: float
    branches: int
    budget_spent: bool
    stock_binds: bool
    capacity_binds: bool
    split_binds: bool


def main() -> None:
    """Measure and write `build/bench/plan_gap.json`."""
    chosen: dict[bool, list[Case]] = {True: [], False: []}
    with Pool(PROCESSES) as pool:
        for case in pool.imap(measured, range(SEEDS_MAX), chunksize=4):
            if case is not None and len(chosen[case.line_by_line_gap >= HARD]) < ORDERS // 2:
                chosen[case.line_by_line_gap >= HARD].append(case)
            if all(len(cases) == ORDERS // 2 for cases in chosen.values()):
                pool.terminate()
                break
    cases = sorted([*chosen[True], *chosen[False]], key=lambda case: case.seed)
    notes = {name: _summary(some) for name, some in _groups(cases).items()}
    figures = _figures("all orders", cases)
    for name, some in _groups(cases).items():
        figures += _figures(name, some)[:3]
    write("plan_gap", figures, groups=notes, worst=[asdict(case) for case in _worst(cases)])
    print(json.dumps(notes, indent=2))


def measured(seed: int) -> Case | None:
    """An order and its gaps; None where nothing can be served, or nothing costs anything."""
    book, request = world(seed)
    best = Programme(book, request).solve()
    if not best.units or not best.cost:
        return None
    if worth(book, request, best.parts) != (best.units, best.cost):
        raise RuntimeError(f"seed {seed}: the domain and the solver differ about the best plan")
    decision = inquire(book, request)
    units, cost = worth(book, request, _parts(book, decision))
    if (-units, cost) < (-best.units, best.cost):
        raise RuntimeError(f"seed {seed}: a plan better than the best one")
    alone, branches = _alone(book, request)
    return Case(
        seed,
        len(request.lines),
        len({offer.location_id for offer in book.offers["*"]}),
        best.units,
        best.cost,
        cost / best.cost - 1,
        alone / best.cost - 1,
        branches,
        decision.budget_spent,
        **_binding(book, request, best),
    )


def worth(book: Book, request: Request, parts: Sequence[Part]) -> tuple[int, int]:
    """Units and cost of a plan by the domain; each part must have room when it is taken."""
    draft = Draft(replace(book, positions=dict(book.positions), usage={}), request)
    units = cost = 0
    for number, line in enumerate(request.lines):
        ask, lanes = _wanted(draft.book, request, number)
        pieces = [
            Piece(_lane(lanes, part.offer), part.ship_day - part.offer.processing_days, part.quantity)
            for part in parts
            if part.line == number
        ]
        cost += Outlook.of(draft, ask, lanes).plan(tuple(pieces)).cost
        for piece in pieces:
            outlook = Outlook.of(draft, ask, lanes)
            if outlook.room_by(piece.lane, outlook.rooms[piece.lane.key]).at(piece.day) < piece.quantity:
                raise RuntimeError(f"{request.order_id}, line {line.line}: no room for {piece.quantity}")
            draft.take(ask.item, piece, outlook.quotas)
            units += piece.quantity
    return units, cost


def _wanted(book: Book, request: Request, number: int) -> Wanted:
    line, tier = request.lines[number], request.tier
    wanted = line.requested_arrival or request.ordered_day + tier.lead_time_days
    item, latest = book.items[line.item_id], line.latest_acceptable_arrival
    ask = Ask(item, line.quantity, 0, wanted, latest, wanted, as_late_as_possible=False)
    return Wanted(ask, lanes_of(book, offers_of(book, request), line.item_id))


def _lane(lanes: Sequence[Lane], offer: Offer) -> Lane:
    return next(lane for lane in lanes if lane.offer == offer)


def _parts(book: Book, decision: OrderDecision) -> list[Part]:
    offers = {(offer.location_id, offer.service): offer for offer in book.offers["*"]}
    return [
        Part(number, offers[part.key.location_id, part.service], part.ship_day, part.quantity)
        for number, line in enumerate(decision.lines)
        for part in line.planned
    ]


def _alone(book: Book, request: Request) -> tuple[int, int]:
    """What line by line costs, and the branches of the search beyond it."""
    draft = Draft(replace(book, positions=dict(book.positions), usage={}), request)
    wanted = [_wanted(book, request, number) for number in range(len(request.lines))]
    cost = sum(plan.cost for plan in line_by_line(draft, wanted))
    problem = problem_of([Outlook.of(draft, each.ask, each.lanes) for each in wanted])
    return cost, 0 if problem is None else search(problem).branches


def _binding(book: Book, request: Request, best: Optimum) -> dict[str, bool]:
    draft = Draft(replace(book, positions=dict(book.positions), usage={}), request)
    before = {key: position.on_hand for key, position in book.positions.items()}
    for number in range(len(request.lines)):
        ask, lanes = _wanted(draft.book, request, number)
        for part in best.parts:
            if part.line == number:
                piece = Piece(_lane(lanes, part.offer), part.ship_day - part.offer.processing_days, part.quantity)
                draft.take(ask.item, piece, ())
    stock = any(_is_exhausted(draft, number) for number in range(len(request.lines)))
    full = any(
        draft.book.usage.get(key, 0) >= capacity.weekdays[(key.period_start - 1) % 7]
        for everyone in book.capacities.values()
        for capacity in everyone
        for key in draft.book.usage
        if key.limit_id == capacity.capacity_id
    )
    lines = [part.line for part in best.parts]
    split = len(lines) > len(set(lines))
    return {"stock_binds": bool(before) and stock, "capacity_binds": full, "split_binds": split}


def _is_exhausted(draft: Draft, number: int) -> bool:
    """Whether the best plan took the last unit of a line's item at some place by some day, out of more than none."""
    ask, lanes = _wanted(draft.book, draft.request, number)
    taken = [lane for lane in lanes if draft.book.positions[lane.key].commitments]
    outlook = Outlook.of(draft, ask, taken)
    return any(0 in room.quantities for room in outlook.rooms.values())


def _groups(cases: Sequence[Case]) -> dict[str, list[Case]]:
    small = [case for case in cases if case.seed % 2 == 0]
    return {
        "hard for line by line": [case for case in cases if case.line_by_line_gap >= HARD],
        "not hard for line by line": [case for case in cases if case.line_by_line_gap < HARD],
        "up to 3 x 3 x 2": small,
        "larger": [case for case in cases if case.seed % 2 == 1],
        "stock binds": [case for case in cases if case.stock_binds],
        "capacity binds": [case for case in cases if case.capacity_binds],
        "split binds": [case for case in cases if case.split_binds],
    }


def _summary(cases: Sequence[Case]) -> dict[str, float]:
    gaps = sorted(case.gap for case in cases)
    return {
        "orders": len(cases),
        "mean": statistics.fmean(gaps),
        "p95": gaps[int(0.95 * (len(gaps) - 1))],
        "worst": gaps[-1],
        "at_the_best": sum(gap == 0 for gap in gaps) / len(gaps),
        "line_by_line_mean": statistics.fmean(case.line_by_line_gap for case in cases),
        "branches_mean": statistics.fmean(case.branches for case in cases),
        "branches_most": max(case.branches for case in cases),
        "budget_spent": sum(case.budget_spent for case in cases),
    }


def _figures(name: str, cases: Sequence[Case]) -> list[Figure]:
    found = _summary(cases)
    case = f"{name} ({found['orders']:.0f})"
    return [
        Figure(case, "mean gap", "% above the best plan", 100 * found["mean"]),
        Figure(case, "worst gap", "% above the best plan", 100 * found["worst"]),
        Figure(case, "share at the best", "% of the orders", 100 * found["at_the_best"]),
        Figure(case, "95th percentile of the gap", "% above the best plan", 100 * found["p95"]),
        Figure(case, "mean gap of line by line", "% above the best plan", 100 * found["line_by_line_mean"]),
        Figure(case, "branches", "branches an order", found["branches_mean"]),
    ]


def _worst(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: (-case.gap, case.seed))[:10]


if __name__ == "__main__":
    main()
