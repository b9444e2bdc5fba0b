"""A made-up history of promises, as `promises.v1` tells it: answered, changed, cancelled, at risk.

Whoever follows the topic knows what every location has to pick and every carrier to take: `Follower` says what is
right. A promise at risk keeps its dates, and its event repeats the promise's revision.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final

from services.contracts import topics
from services.contracts.catalogue import PROMISE_ANSWERED, PROMISE_AT_RISK, PROMISE_CHANGED
from services.contracts.promises import (
    LineOutcome,
    Promise,
    PromiseAnswered,
    PromiseChanged,
    PromisedLine,
    PromiseState,
    Routing,
    ScheduleLine,
    ServedAs,
)
from services.contracts.risks import PromiseAtRisk
from tiercel.subscribers.delivery import Told

PARTITIONS: Final = 3
BEGIN: Final = datetime(2030, 1, 1, tzinfo=UTC)
FIRST_DAY: Final = date(2030, 1, 2)
DAYS: Final = 2
LOCATIONS: Final = ("DC-1", "DC-2")
SERVICES: Final = ("parcel", "express")
RANKS: Final = {"gold": 1, "silver": 2, "bronze": 3}
PICKED: Final = {"gold": 1, "silver": 3, "bronze": 2}  # not by rank: a policy says it
LIVE: Final = frozenset({"promised", "confirmed"})
ORDERS_MAX: Final = 15


class History:
    """Makes a history of some steps; `partitions` then has the records of each partition in order."""

    def __init__(self, random: Random, steps: int) -> None:
        self._random = random
        self._promises: list[Promise] = []
        self.partitions: list[list[Told]] = [[] for _ in range(PARTITIONS)]
        for _ in range(steps):
            random.choice((self._answer, self._change, self._change, self._cancel, self._at_risk))()

    def _answer(self) -> None:
        if len(self._promises) >= ORDERS_MAX:
            return
        number = len(self._promises) + 1
        tier = self._random.choice(sorted(RANKS))
        served_as = ServedAs(
            tier=tier, priority_rank=RANKS[tier], policy_version=1, basis="unknown_customer", tier_at_order=tier
        )
        order = {"source": "shop", "order_id": f"o-{number:02}", "version": 1}
        promise = Promise(
            promise_id=f"p-{number}",
            order=order,  # type: ignore[arg-type] # read by the model
            revision=1,
            state=PromiseState.PROMISED,
            customer={"system": "shop", "id": str(number)},  # type: ignore[arg-type] # read by the model
            customer_id=None,
            served_as=served_as,
            decision_id=f"d-{number}",
            decided_at=BEGIN,
            ordered_at=BEGIN,
            zone="GB",
            channel="default",
            ship_complete=False,
            lines=self._lines(tier),
            cost_minor=0,
            currency="GBP",
        )
        self._promises.append(promise)
        self._tell(number - 1, PROMISE_ANSWERED.name, PromiseAnswered(promise=promise))

    def _lines(self, tier: str) -> tuple[PromisedLine, ...]:
        """Now and then without routing, as of a promise that another system made."""
        priority = PICKED[tier] if self._random.randrange(5) else None
        return tuple(self._line(str(number), priority) for number in range(1, self._random.randint(1, 3) + 1))

    def _line(self, line: str, priority: int | None) -> PromisedLine:
        parts = tuple(self._part(priority) for _ in range(self._random.randint(1, 2)))
        quantity = sum(part.quantity for part in parts)
        return PromisedLine(
            line=line,
            sku=f"SKU-{line}",
            quantity=quantity,
            outcome=LineOutcome.PROMISED,
            promised=quantity,
            backordered=0,
            schedule=parts,
        )

    def _part(self, priority: int | None) -> ScheduleLine:
        ships = FIRST_DAY + timedelta(days=self._random.randrange(DAYS))
        ship_by = datetime.combine(ships, time(17), UTC)
        return ScheduleLine(
            quantity=self._random.randint(1, 9),
            location=self._random.choice(LOCATIONS),
            service=self._random.choice(SERVICES),
            ship_date=ships,
            arrival_date=ships + timedelta(days=1),
            cost_minor=0,
            routing=Routing(carrier_class="standard", ship_by=ship_by, pick_priority=priority) if priority else None,
        )

    def _change(self) -> None:
        if (place := self._live()) is not None:
            self._replace(place, PromiseState.CONFIRMED, self._lines(self._promises[place].served_as.tier))

    def _cancel(self) -> None:
        if (place := self._live()) is not None:
            self._replace(place, PromiseState.CANCELLED, ())

    def _live(self) -> int | None:
        live = [place for place, each in enumerate(self._promises) if each.state in LIVE]
        return self._random.choice(live) if live else None

    def _replace(self, place: int, state: PromiseState, lines: tuple[PromisedLine, ...]) -> None:
        old = self._promises[place]
        new = old.model_copy(
            update={"revision": old.revision + 1, "state": state, "lines": lines or old.lines},
        )
        self._promises[place] = new
        changed = PromiseChanged(old=old, new=new, cause="amended" if lines else "cancelled")
        self._tell(place, PROMISE_CHANGED.name, changed)

    def _at_risk(self) -> None:
        """Of a promise that was told: some of its units are not covered."""
        if not self._promises:
            return
        place = self._random.randrange(len(self._promises))
        promise = self._promises[place]
        part = promise.lines[0].schedule[0]
        risk = PromiseAtRisk(
            order=promise.order,
            promise_id=promise.promise_id,
            customer_id=None,
            line="1",
            part=1,
            sku=promise.lines[0].sku,
            location=part.location,
            tier=promise.served_as.tier,
            promised=part.quantity,
            quantity=1,
            available_on=part.ship_date,
            arrival_date=part.arrival_date,
            covered_on=None,
            cause="supply_cut",
            detected_at=BEGIN,
        )
        self._tell(place, PROMISE_AT_RISK.name, risk)

    def _tell(self, place: int, kind: str, document: PromiseAnswered | PromiseChanged | PromiseAtRisk) -> None:
        promise = self._promises[place]
        value = document.model_dump(mode="json", exclude_defaults=self._random.randrange(2) == 0)
        told = Told(topics.PROMISES.name, promise.order.order_id, kind, promise.revision, value)
        self.partitions[place % PARTITIONS].append(told)


@dataclass(frozen=True, slots=True)
class _Part:
    order_id: str
    line: str
    priority: int
    part: dict[str, Any]


class Follower:
    """What is right: of every promise the highest revision counts, whatever came when."""

    def __init__(self) -> None:
        self._promises: dict[str, dict[str, Any]] = {}

    def take(self, told: Told) -> None:
        """One record."""
        value = told.value or {}
        promise = value.get("new") or value.get("promise")
        if promise and self._promises.get(promise["promise_id"], {"revision": 0})["revision"] < promise["revision"]:
            self._promises[promise["promise_id"]] = promise

    def picks(self, random: Random) -> tuple[dict[str, Any], list[list[Any]]]:
        """A question for what a location picks on a day, and what is right."""
        location, day = random.choice(LOCATIONS), self._day(random)
        return {"question": "picks", "location": location, "ship_date": day}, self.picks_at(location, day)

    def loads(self, random: Random) -> tuple[dict[str, Any], list[list[Any]]]:
        """A question for what carriers take on a day, and what is right."""
        day = self._day(random)
        return {"question": "loads", "ship_date": day}, self.loads_on(day)

    def picks_at(self, location: str, day: str) -> list[list[Any]]:
        """[order id, line, quantity] of a location and ship date, by pick priority, order id and line."""
        found: dict[tuple[int, str, str], int] = {}
        for each in self._parts():
            if (each.part["location"], each.part["ship_date"]) == (location, day):
                place = (each.priority, each.order_id, each.line)
                found[place] = found.get(place, 0) + each.part["quantity"]
        return [[order_id, line, found[priority, order_id, line]] for priority, order_id, line in sorted(found)]

    def loads_on(self, day: str) -> list[list[Any]]:
        """[location, service, quantity] of a ship date, ascending."""
        found: dict[tuple[str, str], int] = {}
        for each in self._parts():
            if each.part["ship_date"] == day:
                load = (each.part["location"], each.part["service"])
                found[load] = found.get(load, 0) + each.part["quantity"]
        return [[location, service, found[location, service]] for location, service in sorted(found)]

    @staticmethod
    def _day(random: Random) -> str:
        return (FIRST_DAY + timedelta(days=random.randrange(DAYS))).isoformat()

    def _parts(self) -> list[_Part]:
        return [
            _Part(promise["order"]["order_id"], line["line"], _priority(promise, part), part)
            for promise in self._promises.values()
            if promise["state"] in LIVE
            for line in promise["lines"]
            for part in line.get("schedule", ())
        ]


def _priority(promise: dict[str, Any], part: dict[str, Any]) -> int:
    """Of the part's routing, else the rank of the tier that was served."""
    return int(part["routing"]["pick_priority"] if part.get("routing") else promise["served_as"]["priority_rank"])
