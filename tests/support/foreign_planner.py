"""A tiny planner of somebody else, by buckets and in its own words: an endpoint that is nothing like Tiercel."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Body = dict[str, Any]
BUCKETS = 24


@dataclass
class Plan:
    """One product: what comes and goes by bucket, what is kept for whom, and a chain of pots."""

    comes: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    goes: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    kept: dict[str, int] = field(default_factory=dict)
    pots: dict[str, tuple[str | None, int]] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)

    def own(self) -> list[int]:
        """What is left of each bucket by itself."""
        return [come - go for come, go in zip(self.comes, self.goes, strict=True)]

    def balance(self) -> list[int]:
        return list(accumulate(self.own()))

    def promisable(self) -> list[int]:
        balance = self.balance()
        return [min(balance[place:]) for place in range(BUCKETS)]

    def backward(self) -> list[int]:
        """A bucket that is short takes from those before it, the nearest first."""
        left = self.own()
        for place in range(BUCKETS):
            for other in range(place - 1, -1, -1):
                _lend(left, other, place)
        return left

    def backward_then_forward(self) -> list[int]:
        left = self.backward()
        for place in range(BUCKETS):
            for other in range(place + 1, BUCKETS):
                _lend(left, other, place)
        return left

    def accumulated(self) -> list[int]:
        """What nobody used is carried on; what is short is shown where it is."""
        found, carried = [], 0
        for each in self.backward():
            carried += max(0, each)
            found.append(each if each < 0 else carried)
        return found


def _lend(left: list[int], lender: int, borrower: int) -> None:
    lent = max(0, min(left[lender], -left[borrower]))
    left[lender] -= lent
    left[borrower] += lent


def _shares(wanted: list[int], there: int) -> list[int]:
    total = sum(wanted)
    exact = [each * there for each in wanted]
    shares = [each // total for each in exact]
    by_rest = sorted(range(len(wanted)), key=lambda place: (-(exact[place] % total), place))
    for place in by_rest[: there - sum(shares)]:
        shares[place] += 1
    return shares


def _add(plan: Plan, body: Body) -> Body:
    rows = plan.comes if body["way"] == "in" else plan.goes
    rows[int(body["bucket"]) - 1] += body["pieces"]
    return {}


def _keep(plan: Plan, body: Body) -> Body:
    pieces = body.get("pieces")
    plan.kept[body["for"]] = pieces if pieces is not None else sum(plan.comes) * body["percent"] // 100
    return {}


def _pot(plan: Plan, body: Body) -> Body:
    plan.pots[body["pot"]] = (body.get("within"), body["pieces"])
    return {}


def _look(plan: Plan, _: Body) -> Body:
    rows = (plan.balance(), plan.promisable(), plan.own(), plan.backward(), plan.accumulated())
    names = ("balance", "promisable", "own", "backward", "accumulated", "both_ways")
    columns = zip(*rows, plan.backward_then_forward(), strict=True)
    return {"buckets": [{"no": no, **dict(zip(names, row, strict=True))} for no, row in enumerate(columns, start=1)]}


def _try(plan: Plan, body: Body, *, honours_kept: bool) -> Body:
    there = plan.promisable()[int(body["bucket"]) - 1]
    others = sum(pieces for group, pieces in plan.kept.items() if group != body["for"])
    there -= others if honours_kept else 0
    return {"reply": [{"yes": max(0, min(body["pieces"], there))}]}


def _draw(plan: Plan, body: Body) -> Body:
    pot, got = body["pot"], 0
    while pot is not None:
        pot, pieces = plan.pots[pot]
        got += pieces
    return {"drawn": min(got, body["pieces"])}


def _share(_: Plan, body: Body) -> Body:
    return {"shares": _shares(body["wanted"], body["there"])}


def _order(plan: Plan, body: Body) -> Body:
    plan.orders[body["order"]] = body["pieces"]
    return {}


def _drop(plan: Plan, body: Body) -> Body:
    del plan.orders[body["order"]]
    return {}


def _when(plan: Plan, body: Body) -> Body:
    """First come, first served, each in the bucket after the one in which there is enough for all up to it."""
    names = list(plan.orders)
    needed = sum(plan.orders[name] for name in names[: names.index(body["order"]) + 1])
    return {"comes": next(no for no, there in enumerate(accumulate(plan.comes), start=2) if there >= needed)}


def planner(*, honours_kept: bool = True) -> Starlette:
    """The planner as an application; one that forgets what is kept is wrong."""
    plans: dict[str, Plan] = defaultdict(Plan)

    def route(path: str, method: str, work: Callable[[Plan, Body], Body]) -> Route:
        async def handle(request: Request) -> Response:
            if request.headers.get("token") != "let-me-in":
                return JSONResponse({"no": "who are you?"}, 401)
            body = await request.json() if await request.body() else {}
            return JSONResponse(work(plans[request.path_params["product"]], body))

        return Route("/plan/{product}" + path, handle, methods=[method])

    return Starlette(
        routes=[
            route("", "GET", _look),
            route("/rows", "POST", _add),
            route("/kept", "PUT", _keep),
            route("/pots", "PUT", _pot),
            route("/try", "POST", partial(_try, honours_kept=honours_kept)),
            route("/draw", "POST", _draw),
            route("/share", "POST", _share),
            route("/orders", "POST", _order),
            route("/orders", "DELETE", _drop),
            route("/when", "POST", _when),
        ]
    )
