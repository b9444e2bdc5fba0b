"""The best possible with hindsight: the linear programme of serving known demand from the same supply, by HiGHS.

Per item and period: stock carried in + receipt = what is served + stock carried out, nothing negative; no tier gets
more than it asked. A line that may wait counts in the period of the last day on which it may be served: whatever
arrives until then can serve it, whatever arrives later cannot. Stock only comes in at the start of a period, so that
nothing is lost by looking at whole periods.
"""

from typing import Any, Final

import highspy
import numpy as np

from bench.allocation_world import WEIGHTS, Result, Setting

SOLVER: Final = "HiGHS"


def optimum(world: Setting) -> Result:
    """Units by tier of a plan with the greatest weighted number of units served."""
    starts = range(world.first, world.last, world.period_days)
    asked: dict[tuple[str, int, str], int] = {}
    result = Result()
    for each in world.demand:
        place = (each.item, world.period_start(world.last_served(each.day)), each.tier)
        asked[place] = asked.get(place, 0) + each.quantity
        result.asked[each.tier] += each.quantity
    items = sorted({each.item for each in world.demand})
    rows = {(item, start): number for number, (item, start) in enumerate((i, s) for i in items for s in starts)}
    served = sorted(asked)
    solution = _solve(world, rows, served, asked)
    for place, units in zip(served, solution, strict=True):
        result.served[place[2]] += round(units)
    return result


def _solve(
    world: Setting,
    rows: dict[tuple[str, int], int],
    served: list[tuple[str, int, str]],
    asked: dict[tuple[str, int, str], int],
) -> list[float]:
    """Columns: what is served, by item, period and tier; then what is carried out of each item's period."""
    model = highspy.HighsLp()
    model.num_row_ = len(rows)
    model.num_col_ = len(served) + len(rows)
    model.sense_ = highspy.ObjSense.kMaximize
    carried = list(rows)
    model.col_cost_ = np.array([WEIGHTS[tier] for _, _, tier in served] + [0.0] * len(carried))
    model.col_lower_ = np.zeros(model.num_col_)
    model.col_upper_ = np.array([float(asked[each]) for each in served] + [highspy.kHighsInf] * len(carried))
    received = np.array([float(world.receipts.get((item, start), 0)) for item, start in rows])
    model.row_lower_ = model.row_upper_ = received
    starts, index, value = [0], list[int](), list[float]()
    for item, start, _ in served:
        index.append(rows[item, start])
        value.append(1.0)
        starts.append(len(index))
    for item, start in carried:
        index.append(rows[item, start])
        value.append(1.0)
        after = rows.get((item, start + world.period_days))
        if after is not None:
            index.append(after)
            value.append(-1.0)
        starts.append(len(index))
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.array(starts)
    model.a_matrix_.index_ = np.array(index)
    model.a_matrix_.value_ = np.array(value)
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the option is named beside it
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"{SOLVER} found no optimum: {solver.getModelStatus()}")
    return list(solver.getSolution().col_value)[: len(served)]
