"""Who takes part in a run of the re-decision, and with what: lines of promises as the domain's contenders.

The strategy is that of the tier that counts now; what was decided while another tier counted falls only if the strategy
of both lets it. A run by a variant has strategies of its own, by segments (`services.atp.domain.run_segments`). What a
planner has pinned or expedited, and what ships within the tier's lock window, does not fall, and is not planned anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from services.atp.application.batch import Batch, Needs, need_parts
from services.atp.application.content import OrderKey
from services.atp.application.documents import load
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.place_order import place_of, request_of
from services.atp.application.rewriting import beside, held_of, open_parts, shipped_by_line
from services.atp.domain.contending import Contender, Holding
from services.atp.domain.model import Day, Request, RequestLine, Tier
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.run_segments import RunLine, Segment, strategy_of
from services.atp.domain.strategies import Strategy, falls

RUNNING = ("promised", "confirmed")


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategy of each line in a run: its tier's, or that of the first segment that it is of, on the run's day."""

    segments: tuple[Segment, ...] | None = None
    day: Day = 0

    def of(self, tier: Tier, line: RunLine | None) -> Strategy:
        """The strategy of a line while a tier counts; what segments look at of it is None where there are none."""
        if self.segments is None or line is None:
            return tier.strategy
        return strategy_of(self.segments, line._replace(tier=tier.tier), self.day)

    def of_all(self, tier: Tier, lines: Iterable[RunLine | None]) -> Strategy:
        """That of lines which are served together; of lines that differ none is touched."""
        found = list(dict.fromkeys(self.of(tier, line) for line in lines))
        return found[0] if len(found) == 1 else "skip"


def need_contenders(keys: Iterable[OrderKey], orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
    """Need where orders can be served from, and what they may give up; all lines of one that ships complete."""
    for key in dict.fromkeys(keys):
        promise = orders[key].promise if key in orders else None
        if promise is None:
            continue
        needs.zones.update(dict.fromkeys(promise.content.ways))
        needs.customers[promise.content.customer] = None
        need_parts([part for part in promise.parts if part.open], needs)
        if promise.content.ship_complete:
            needs.items.update((line.item_id, None) for line in promise.content.lines)


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
    none = strategies.segments is None
    looked_at = {line.line: None if none else _run_line(batch, promise, whole, line) for line in lines}
    open_ = [part for part in open_parts(promise) if part.line in named]
    held = tuple(_holding(batch, promise, part, whole.tier, _falls(part, looked_at, strategies)) for part in open_)
    keys = [place_of(batch, promise, whole, line) for line in lines]
    return Contender(
        f"{promise.promise_id}/{lines[0].line}",
        min(keys),
        strategies.of_all(whole.tier, looked_at.values()),
        replace(whole, lines=asked),
        held,
    )


def _run_line(batch: Batch, promise: PromiseCopy, whole: Request, line: RequestLine) -> RunLine:
    """What segments look at of a line."""
    promised = [part.planned.key.location_id for part in open_parts(promise) if part.line == line.line]
    ways = promise.content.ways
    could = promised or [offer.location_id for way in ways for offer in batch.configuration.offers_for(way)]
    return RunLine(
        whole.tier.tier,
        line.item_id,
        promise.content.zone,
        promise.content.channel,
        promise.customer_id,
        wanted_arrival(whole, line),
        tuple(dict.fromkeys(could)),
    )


def _falls(part: Part, lines: Mapping[str, RunLine | None], strategies: Strategies) -> Callable[[Tier], bool]:
    """Whether a part falls while a tier counts."""
    line = lines[part.line]
    there = None if line is None else line._replace(locations=(part.planned.key.location_id,))
    return lambda tier: falls(strategies.of(tier, there))


def _holding(batch: Batch, promise: PromiseCopy, part: Part, tier: Tier, falls_by: Callable[[Tier], bool]) -> Holding:
    today = batch.book.today
    stamped = batch.configuration.tiers.get(part.tier, batch.configuration.default_tier)
    window = max(tier.lock_window_days, stamped.lock_window_days)
    free = part.line not in promise.pinned(today) and part.planned.ship_day - today > window
    may_fall = falls_by(tier) and falls_by(stamped) and not promise.expedited(today)
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
