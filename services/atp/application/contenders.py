"""Who takes part in a run of the re-decision, and with what: lines of promises as the domain's contenders.

The strategy is that of the tier that counts now; what was decided while another tier counted falls only if the strategy
of both lets it. What a planner has pinned or expedited, and what ships within the tier's lock window, does not fall,
and is not planned anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from services.atp.application.batch import Batch
from services.atp.application.documents import load
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import place_of, request_of
from services.atp.application.rewriting import beside, held_of, open_parts, shipped_by_line
from services.atp.domain.contending import Contender, Holding
from services.atp.domain.model import Day, Request, RequestLine, Tier
from services.atp.domain.strategies import Strategy, falls

RUNNING = ("promised", "confirmed")


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategy of each tier in a run; a tier that is not named has its policy's."""

    named: Mapping[str, Strategy] = field(default_factory=dict)

    def of(self, tier: Tier) -> Strategy:
        """The strategy of a tier."""
        return self.named.get(tier.tier, tier.strategy)


def contenders_of(
    batch: Batch, orders: Iterable[OrderCopy], strategies: Strategies, concerns: Callable[[RequestLine], bool]
) -> dict[str, tuple[OrderCopy, Contender]]:
    """The lines that `concerns` says, by a name each; of an order that ships complete all lines as one."""
    found: dict[str, tuple[OrderCopy, Contender]] = {}
    for order in orders:
        promise = order.promise
        if promise is None or promise.state not in RUNNING:
            continue
        served = batch.served(promise.content, promise.ordered_at)
        whole = _as_measured(promise, request_of(order.key, promise.content, served, promise.ordered_at))
        whole = beside(whole, promise.parts)
        if whole.ship_complete:
            if any(concerns(line) for line in whole.lines):
                contender = _contender(batch, promise, whole, whole.lines, strategies)
                found[contender.promise_id] = (order, contender)
            continue
        for line in whole.lines:
            if concerns(line):
                contender = _contender(batch, promise, whole, (line,), strategies)
                found[contender.promise_id] = (order, contender)
    return found


def _contender(
    batch: Batch, promise: PromiseCopy, whole: Request, lines: tuple[RequestLine, ...], strategies: Strategies
) -> Contender:
    shipped = shipped_by_line(promise)
    named = {line.line: None for line in lines}
    asked = tuple(
        replace(
            line,
            quantity=promise.backorders[line.line].quantity if line.line in promise.backorders else 0,
            minimum_quantity=0 if line.line in shipped else line.minimum_quantity,
        )
        for line in lines
    )
    held = tuple(
        _holding(batch, promise, part, whole.tier, strategies) for part in open_parts(promise) if part.line in named
    )
    keys = [place_of(batch, promise, whole, line) for line in lines]
    return Contender(
        f"{promise.promise_id}/{lines[0].line}",
        min(keys),
        strategies.of(whole.tier),
        replace(whole, lines=asked),
        held,
    )


def _holding(batch: Batch, promise: PromiseCopy, part: Part, tier: Tier, strategies: Strategies) -> Holding:
    today = batch.book.today
    stamped = batch.configuration.tiers.get(part.tier, batch.configuration.default_tier)
    window = max(tier.lock_window_days, stamped.lock_window_days)
    free = part.line not in promise.pinned(today) and part.planned.ship_day - today > window
    may_fall = falls(strategies.of(tier)) and falls(strategies.of(stamped)) and not promise.expedited(today)
    return Holding(part.line, part.number, held_of(part).planned, moves=free, falls=free and may_fall)


def _as_measured(promise: PromiseCopy, request: Request) -> Request:
    """The request with the arrivals that its answer is measured against, whatever another tier's lead time says now."""
    if all(line.requested_arrival is not None for line in request.lines):
        return request
    told: dict[str, Day] = {
        line["line"]: date.fromisoformat(line["requested_arrival"]).toordinal()
        for line in load(promise.document)["lines"]
        if line["requested_arrival"]
    }
    lines = tuple(
        replace(line, requested_arrival=line.requested_arrival or told.get(line.line)) for line in request.lines
    )
    return replace(request, lines=lines)
