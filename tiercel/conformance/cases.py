"""What the cases ask, as checks over operations that an endpoint may offer.

Every check sets up an item of its own, so that checks disturb neither each other nor what is there. What is asked and
what is expected follow from cases.json and from the readings in conformance/README.md, nothing else.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol

from tiercel.conformance.mapping import Operation

Cases = Mapping[str, Any]
P8_ALLOCATIONS: Final = {"leaf_quantity": 50, "middle_quantity": 20, "root_quantity": 10}
"""P8 names no allocations; these are chosen: the node, its parent and the root have 80 together."""

RANKS_FROM: Final = (
    900  # the groups of the cases rank behind those that an endpoint may have; the first is served first
)


class Endpoint(Protocol):
    """An endpoint, as a check sees it."""

    clips: bool

    async def do(self, operation: Operation, **variables: Any) -> None:
        """Carry an operation out."""
        ...

    async def ask(self, operation: Operation, **variables: Any) -> Any:
        """Carry an operation out; its answer."""
        ...

    def day(self, period: int) -> str:
        """The first day of a period."""
        ...


class Different(Exception):  # noqa: N818 - says what is wrong
    """The endpoint answers otherwise."""


Script = Callable[[Endpoint, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is asked. `needs` are the operations without which it cannot be asked."""

    name: str
    needs: tuple[Operation, ...]
    run: Script


def checks(cases: Cases) -> list[Check]:
    """All checks, in the order of the file."""
    return [
        *_oracle(cases["oracle_atp"]),
        *map(_discrete, cases["discrete_atp"]),
        *_protection(cases["protection"]),
        *map(_reprocess, cases["reprocess"]),
    ]


_BALANCE: Final[tuple[Operation, ...]] = ("item", "supply", "demand")


def _oracle(case: Cases) -> list[Check]:
    lookahead: Sequence[int] = case["lookahead_derived"]
    wanted: Cases = case["request"]

    def figures(name: str, operation: Operation, *, clipped: bool = False) -> Check:
        async def run(endpoint: Endpoint, item: str) -> None:
            await _balance(endpoint, item, case["supply"], case["demand"])
            clip = clipped and endpoint.clips
            expected = [max(0, each) if clip else each for each in case[name]]
            found = [await endpoint.ask(operation, item=item, period=period) for period in _periods(expected)]
            _same(expected, found, "periods 1 to 8")

        return Check(f"oracle_atp/{name}", (*_BALANCE, operation), run)

    async def requests(endpoint: Endpoint, item: str) -> None:
        await _balance(endpoint, item, case["supply"], case["demand"])
        for period, level in enumerate(lookahead, start=1):
            least = max(0, level)
            found = await endpoint.ask("ask", item=item, period=period, quantity=least + 1, group="")
            _same(least, found, f"a request of {least + 1} for period {period}")

    async def offered(endpoint: Endpoint, item: str) -> None:
        await _balance(endpoint, item, case["supply"], case["demand"])
        quantity, period = wanted["qty"], wanted["accumulate_offer"]
        found = await endpoint.ask("ask", item=item, period=wanted["period"], quantity=quantity, group="")
        _same(quantity, found, f"a request of {quantity} for period {wanted['period']}, offered in period {period}")

    async def offered_backward(endpoint: Endpoint, item: str) -> None:
        await _balance(endpoint, item, case["supply"], case["demand"])
        periods = range(wanted["period"], 0, -1)
        found = [
            period for period in periods if await endpoint.ask("backward", item=item, period=period) >= wanted["qty"]
        ]
        _same(wanted["backward_only_offer"], next(iter(found), None), "the last period with the quantity by itself")

    return [
        figures("projected", "projected"),
        figures("period", "period"),
        figures("backward", "backward"),
        figures("backward_accumulate", "backward_accumulate"),
        figures("backward_then_forward_derived", "backward_then_forward"),
        figures("lookahead_derived", "atp", clipped=True),
        Check("oracle_atp/lookahead_derived by requests", (*_BALANCE, "ask"), requests),
        Check("oracle_atp/request.accumulate_offer", (*_BALANCE, "ask"), offered),
        Check("oracle_atp/request.backward_only_offer", (*_BALANCE, "backward"), offered_backward),
    ]


def _discrete(case: Cases) -> Check:
    """The difference of what can be promised in total from one receipt to the next is the ATP of that receipt."""

    async def run(endpoint: Endpoint, item: str) -> None:
        supply = list(case["mps"])
        supply[0] += case["opening"]
        await _balance(endpoint, item, supply, case["orders"])
        before = 0
        for week, expected in case["atp"].items():
            total = await endpoint.ask("atp", item=item, period=int(week) - case["first_week"] + 1)
            _same(expected, total - before, f"the ATP of week {week}")
            before = total

    return Check(f"discrete_atp/{case['id']}", (*_BALANCE, "atp"), run)


def _protection(cases: Sequence[Cases]) -> list[Check]:
    by_id = {case["id"]: case for case in cases}
    return [
        Check("protection/P1", ("item", "stock", "group", "protect", "ask"), _minimum(by_id["P1"])),
        Check("protection/P7", ("item", "stock", "group", "protect_percent", "ask"), _percentages(by_id["P7"])),
        Check("protection/P8", ("item", "stock", "tree", "take_at_node"), _hierarchy(by_id["P8"])),
        Check("protection/P10", ("item", "stock", "share_out", "share"), _fair_share(by_id["P10"])),
    ]


def _minimum(case: Cases) -> Script:
    async def run(endpoint: Endpoint, item: str) -> None:
        asked = case["request"]
        await endpoint.do("item", item=item)
        await endpoint.do("stock", item=item, quantity=case["stock"])
        for rank, group in enumerate(sorted({*case["protected"], asked["group"]}), start=RANKS_FROM):
            await endpoint.do("group", item=item, group=group, rank=rank)
        for group, quantity in case["protected"].items():
            await endpoint.do("protect", item=item, group=group, quantity=quantity)
        found = await endpoint.ask("ask", item=item, period=1, quantity=asked["qty"], group=asked["group"])
        _same(case["confirmed"], found, f"what {asked['group']} is confirmed")

    return run


def _percentages(case: Cases) -> Script:
    async def run(endpoint: Endpoint, item: str) -> None:
        groups = [f"P{number}" for number in range(1, len(case["pct"]) + 1)]
        await endpoint.do("item", item=item)
        await endpoint.do("stock", item=item, quantity=case["total"])
        for rank, group in enumerate(groups, start=RANKS_FROM + 10):
            await endpoint.do("group", item=item, group=group, rank=rank)
        for group, percent in zip(groups, case["pct"], strict=True):
            await endpoint.do("protect_percent", item=item, group=group, percent=percent)
        found = [
            await endpoint.ask("ask", item=item, period=1, quantity=case["total"], group=group) for group in groups
        ]
        _same(case["alloc"], found, "what each group is confirmed of the total")

    return run


def _hierarchy(case: Cases) -> Script:
    async def run(endpoint: Endpoint, item: str) -> None:
        await endpoint.do("item", item=item)
        await endpoint.do("stock", item=item, quantity=case["order"])
        await endpoint.do("tree", item=item, leaf=case["node"], middle="EAST", root="ROOT", **P8_ALLOCATIONS)
        found = await endpoint.ask("take_at_node", item=item, node=case["node"], quantity=case["order"], period=1)
        _same(case["parents_only_consumed"], found, "what an order takes from its node and its parents")

    return run


def _fair_share(case: Cases) -> Script:
    async def run(endpoint: Endpoint, item: str) -> None:
        demands: Sequence[int] = case["import"]
        everyone = {f"demand_{place}": demand for place, demand in enumerate(demands)}
        await endpoint.do("item", item=item)
        await endpoint.do("stock", item=item, quantity=case["supply"])
        await endpoint.do("share_out", item=item, supply=case["supply"], **everyone)
        found = [
            await endpoint.ask("share", item=item, place=place, demand=demand, supply=case["supply"], **everyone)
            for place, demand in enumerate(demands)
        ]
        _same(case["alloc"], found, "the shares")

    return run


def _reprocess(case: Cases) -> Check:
    """Orders are promised late, one is cancelled, and the others are decided anew. Period 1 is the earliest date."""
    dates = [due for _, _, due in case["po"]] + [day for _, _, *days in case["orders"] for day in days]
    first = min(_day(each) for each in dates)

    async def arrives(endpoint: Endpoint, item: str, order: str, expected: str) -> None:
        period = _day(expected) - first + 1
        day = endpoint.day(period)
        found = await endpoint.ask("arrival", item=item, order=order, expected=day)
        _same(day, endpoint.day(found) if isinstance(found, int) else found, f"when {order} arrives")

    async def run(endpoint: Endpoint, item: str) -> None:
        await endpoint.do("item", item=item)
        for _, quantity, due in case["po"]:
            await endpoint.do("supply", item=item, period=_day(due) - first + 1, quantity=quantity)
        for order, quantity, wanted, promised in case["orders"]:
            await endpoint.do("order", item=item, order=order, period=_day(wanted) - first + 1, quantity=quantity)
            await arrives(endpoint, item, order, promised)
        await endpoint.do("cancel", item=item, order=case["cancel"])
        for order, promised in case["expected"].items():
            await arrives(endpoint, item, order, promised)

    return Check(f"reprocess/{case['id']}", ("item", "supply", "order", "cancel", "arrival"), run)


def _day(month_and_day: str) -> int:
    """A date of a case, which names no year, as a number of days."""
    return date.fromisoformat(f"2001-{month_and_day}").toordinal()


async def _balance(endpoint: Endpoint, item: str, supply: Sequence[int], demand: Sequence[int]) -> None:
    """Commitments and receipts of each period; commitments may be beyond supply, and come first."""
    await endpoint.do("item", item=item)
    for operation, quantities in (("demand", demand), ("supply", supply), ("demand_done", demand)):
        for period, quantity in enumerate(quantities, start=1):
            if quantity:
                await endpoint.do(operation, item=item, period=period, quantity=quantity)  # type: ignore[arg-type]


def _periods(figures: Sequence[int]) -> range:
    return range(1, len(figures) + 1)


def _same(expected: object, found: object, what: str) -> None:
    if expected != found:
        raise Different(f"{what}: expected {expected}, got {found}")
