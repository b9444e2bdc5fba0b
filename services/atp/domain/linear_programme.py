"""Linear programmes in whole numbers: the least of `costs · x` for `rows · x ≤ levels` and `x ≥ 0`.

The simplex method (G. B. Dantzig, Linear Programming and Extensions, 1963, ch. 5) on a sparse tableau, without a
rounding error: integers, and fractions where a division leaves something. It starts at x = 0, so no level may be
negative. Costs may change afterwards; what was found stays where the next search begins.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

Number = int | Fraction
Row = dict[int, Number]

_NOTHING: Number = 0
# Pivots that change nothing, one after another, until the first column is taken in place of the steepest: with that
# rule (R. G. Bland, 1977) no search goes round in circles.
STANDSTILL_MAX: Final = 20


class Programme:
    """A programme and how far it is solved. Columns are numbered from 0; behind them come the slacks of the rows."""

    __slots__ = ("_basis", "_columns", "_costs", "_levels", "_rows", "value", "work")

    def __init__(self, costs: Sequence[int], rows: Sequence[Mapping[int, int]], levels: Sequence[int]) -> None:
        """`costs` by column; of each row what its columns count, and how much there is. Levels are not negative."""
        self._columns = len(costs)
        self._rows: list[Row] = [{**row, self._columns + number: 1} for number, row in enumerate(rows)]
        self._levels: list[Number] = list(levels)
        self._costs: Row = {column: cost for column, cost in enumerate(costs) if cost}
        self._basis = [self._columns + number for number in range(len(rows))]
        self.value: Number = 0
        self.work = 0  # entries looked at

    def copy(self) -> "Programme":
        """The same, to be changed by itself; its work begins at nothing."""
        other = Programme((), (), ())
        other._columns = self._columns
        other._rows = [dict(row) for row in self._rows]
        other._levels = list(self._levels)
        other._costs = dict(self._costs)
        other._basis = list(self._basis)
        other.value = self.value
        return other

    def change(self, costs: Mapping[int, int]) -> None:
        """Let columns cost so much more, or less."""
        rows = {column: number for number, column in enumerate(self._basis)}
        for column, more in costs.items():
            self._add(self._costs, {column: 1}, more)
            if column in rows:
                self._add(self._costs, self._rows[rows[column]], -more)
                self.value += more * self._levels[rows[column]]

    def solve(self, work_max: int) -> bool:
        """Go on to the least; False: so many entries were looked at before, and `value` is no bound."""
        still = 0
        while (column := self._entering(is_first=still >= STANDSTILL_MAX)) is not None:
            if self.work >= work_max:
                return False
            before = self.value
            self._pivot(self._leaving(column), column)
            still = still + 1 if self.value == before else 0
        return True

    def quantities(self) -> dict[int, Number]:
        """What is taken of the columns of which anything is."""
        pairs = zip(self._basis, self._levels, strict=True)
        return {column: level for column, level in sorted(pairs) if column < self._columns and level}

    def prices(self) -> list[int]:
        """What one more of each row's level saves, rounded down; nothing is negative."""
        slacks = range(self._columns, self._columns + len(self._rows))
        return [max(0, self._costs.get(slack, 0) // 1) for slack in slacks]

    def _entering(self, *, is_first: bool) -> int | None:
        self.work += len(self._costs)
        if is_first:
            return min([column for column, cost in self._costs.items() if cost < 0], default=None)
        steepest = min(self._costs.values(), default=0)
        if steepest >= 0:
            return None
        return min([column for column, cost in self._costs.items() if cost == steepest])

    def _leaving(self, column: int) -> int:
        """The row that a column fills first; some row holds each column whose cost is negative."""
        found, least = -1, _NOTHING
        self.work += len(self._rows)
        for number, row in enumerate(self._rows):
            entry = row.get(column, 0)
            if entry > 0:
                most = self._levels[number] if entry == 1 else Fraction(self._levels[number], entry)
                if found < 0 or most < least or (most == least and self._basis[number] < self._basis[found]):
                    found, least = number, most
        return found

    def _pivot(self, number: int, column: int) -> None:
        row = self._rows[number]
        entry = row[column]
        if entry != 1:
            self._rows[number] = row = {each: _divided(value, entry) for each, value in row.items()}
            self._levels[number] = _divided(self._levels[number], entry)
        level = self._levels[number]
        for other, target in enumerate(self._rows):
            if other != number and (times := target.get(column)):
                self._add(target, row, -times)
                self._levels[other] = _whole(self._levels[other] - times * level)
        cost = self._costs[column]
        self._add(self._costs, row, -cost)
        self.value += cost * level
        self._basis[number] = column

    def _add(self, target: Row, row: Mapping[int, Number], times: Number) -> None:
        self.work += len(row)
        for column, value in row.items():
            total = target.get(column, 0) + times * value
            if total:
                target[column] = total if type(total) is int else _whole(total)
            else:
                target.pop(column, None)


def _divided(value: Number, by: Number) -> Number:
    return _whole(Fraction(value, by))


def _whole(value: Number) -> Number:
    """An integer, where it is one: with them all goes faster."""
    return value.numerator if value.denominator == 1 else value
