"""A seeded four weeks of a made-up company: records of orders and tiers, with cases planted among innocents.

Innocents are customers and users who do nothing wrong; some look as if they did: customers with bad luck in few
orders or cut short by a quota, sellers who enter orders for many, a colleague who helps out, large orders on their own
and once two at a time, a busy planner, customers of two channels. `planted` and `innocents` name whom a detection is
about: `(kind, customer or user)` and customers and users; `lookalikes` are those innocents who look otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

NOW: Final = datetime(2026, 3, 30, 12, tzinfo=UTC)
WINDOW_DAYS: Final = 28
ZONES: Final = tuple(f"Z{number}" for number in range(40))
IN_FULL: Final = {"gold": 97, "silver": 88, "bronze": 72}
IN_TIME: Final = {"gold": 98, "silver": 93, "bronze": 85}
QUANTITY_MAX: Final = 1_000
VALUE_MAX: Final = 5_000
MINUTES: Final = WINDOW_DAYS * 24 * 60
TIERS: Final[tuple[dict[str, Any], ...]] = (
    {"tier": "gold", "priority_rank": 1, "policy": {"fill_rate_target_bp": 9_500}},
    {"tier": "silver", "priority_rank": 2, "policy": {"validation": {"order_value_max": str(VALUE_MAX)}}},
    {"tier": "bronze", "priority_rank": 3, "policy": {"validation": {"order_quantity_max": QUANTITY_MAX}}},
)


@dataclass(slots=True)
class Customer:
    """A customer of the registry with its usual zone, users, and how well it is served (percent).

    An `even` one is served so exactly, and not by chance.
    """

    name: str
    tier: str
    zone: str
    users: tuple[str | None, ...]
    in_full: int
    in_time: int
    even: bool = False
    placed: int = 0
    delivered: int = 0


@dataclass(slots=True)
class World:
    """What happened, each order's records in their order, and who is to be found."""

    records: list[dict[str, Any]] = field(default_factory=list)
    planted: set[tuple[str, str]] = field(default_factory=set)
    innocents: set[str] = field(default_factory=set)
    lookalikes: set[str] = field(default_factory=set)
    customers: dict[str, Customer] = field(default_factory=dict)


def tiers() -> list[dict[str, Any]]:
    """Payloads of `tier.policy.v2`."""
    return [{"version": 1, "name": tier["tier"], "is_default": tier["tier"] == "bronze", **tier} for tier in TIERS]


def world(seed: int) -> World:
    """The four weeks of one seed."""
    maker = _Maker(Random(seed))
    maker.innocents()
    maker.lookalikes()
    maker.beside_their_tier()
    maker.under_anothers_id()
    maker.splitters()
    maker.planners()
    return maker.made


class _Maker:
    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.made = World()
        self._orders = 0

    def innocents(self) -> None:
        """A hundred customers a tier, each with users of its own and some luck of its own."""
        for tier in IN_FULL:
            for number in range(100):
                self._some_orders(self._customer(f"{tier}-{number}", tier), self.draw.randint(15, 60))

    def lookalikes(self) -> None:
        """Who looks like one of the planted and is none."""
        for number in range(6):
            unlucky = self._customer(f"unlucky-{number}", "gold", in_full=0, in_time=0)
            self._some_orders(unlucky, 8)
            cut_short = self._customer(f"cut-short-{number}", "silver")
            for at in self._moments(40):
                self._order(cut_short, at, quota=self.draw.randrange(3) > 0)
            big = self._customer(f"big-{number}", "bronze")
            for day in range(WINDOW_DAYS - 1):
                self._order(big, day * 1_440 + self.draw.randrange(600), units=self.draw.randint(700, 1_000))
            twice = self.draw.randrange(WINDOW_DAYS - 1) * 1_440 + 1_000
            self._order(big, twice, units=900)
            self._order(big, twice + 30, units=900)
            channels = self._customer(f"channels-{number}", "silver")
            for at in self._moments(30):
                self._order(channels, at, channel=self.draw.choice(("web", "shop")))
            met = self.draw.randrange(MINUTES - 300)
            self._order(channels, met, quota=True)
            self._order(channels, met + 40, channel="shop")
            self.made.lookalikes |= {one.name for one in (unlucky, cut_short, big, channels)}
        self._sellers()

    def _sellers(self) -> None:
        """Users who enter orders for many, and one of each who helps another customer's people out, where these are."""
        names = sorted(self.made.customers)
        for number in range(4):
            seller = self._innocent(f"seller-{number}")
            for name in self.draw.sample(names, 12):
                for at in self._moments(3):
                    self._order(self.made.customers[name], at, user=seller)
            helped = self.made.customers[f"gold-{number}"]
            self.made.lookalikes |= {seller, helped.name}
            for at in self._moments(4):
                self._order(helped, at, user=self.made.customers[f"bronze-{number}"].users[0])

    def beside_their_tier(self) -> None:
        """Planted: customers far worse served than their tier, and some served as if they were gold."""
        for number in range(3):
            for tier in ("gold", "silver"):
                gap = self.draw.randint(40, 55)
                short = self._planted("under_served", f"short-{tier}-{number}", tier, in_full=IN_FULL[tier] - gap)
                self._some_orders(short, self.draw.randint(50, 80))
                late = self._planted("under_served", f"late-{tier}-{number}", tier, in_time=IN_TIME[tier] - gap)
                self._some_orders(late, self.draw.randint(50, 80))
            favoured = self._planted("over_served", f"favoured-{number}", "bronze", in_full=100)
            self._some_orders(favoured, self.draw.randint(60, 90))

    def under_anothers_id(self) -> None:
        """Planted: users of bronze customers who order for them under the id of a gold one."""
        for number in range(4):
            own = self.made.customers[f"bronze-{10 + number}"]
            user = own.users[0]
            assert user is not None  # noqa: S101 - customers 10 to 13 name their users
            for at in self._moments(15):
                self._order(own, at, user=user)
            used = self._customer(f"used-{number}", "gold", zone=ZONES[(ZONES.index(own.zone) + 1) % len(ZONES)])
            self._some_orders(used, 40)
            for at in self._moments(self.draw.randint(2, 4)):
                self._order(used, at, user=user, zone=own.zone)
            self._accuse("other_customers_id", used.name)

    def splitters(self) -> None:
        """Planted: one order in pieces, each below the limit; and another way to order once a quota is reached."""
        for number in range(3):
            pieces = self._planted("split_orders", f"pieces-{number}", "bronze")
            dear = self._planted("split_orders", f"dear-{number}", "silver")
            around = self._planted("split_orders", f"around-{number}", "silver")
            other = self._customer(f"other-name-{number}", "silver")
            for customer in (pieces, dear, around, other):
                self._some_orders(customer, 20)
            for at in self._moments(3):
                for piece in range(self.draw.randint(2, 3)):
                    self._order(pieces, at + 20 * piece, units=self.draw.randint(620, 1_000))
                    self._order(dear, at + 20 * piece, units=self.draw.randint(310, 500), price="10")
                self._order(around, at, quota=True, user=f"buyer-{number}")
                channel = "shop" if number else "web"
                ordering = around if number else other
                self._order(ordering, at + 15, user=f"buyer-{number}", zone=around.zone, channel=channel)

    def planners(self) -> None:
        """Planners with a few acts each, a busy one among them, and planted ones with many."""
        placed = [one for one in self.made.records if one["sequence"] == 1]
        acts = {self._innocent(f"planner-{number}"): self.draw.randint(4, 9) for number in range(8)}
        acts[self._innocent("planner-busy")] = 11
        self.made.lookalikes.add("planner-busy")
        for number in range(2):
            acts[f"generous-{number}"] = self.draw.randint(30, 50)
            self.made.planted.add(("priority_overrides", f"generous-{number}"))
        for user, count in acts.items():
            for order in self.draw.sample(placed, count):
                act = {"kind": self.draw.choice(("expedited", "reassigned")), "by": user}
                sequence = 10 + sum(acts.values()) + len(self.made.records)
                later = {"change": "promise_changed", "sequence": sequence, "act": act}
                self.made.records.append({**order, **later})

    def _planted(self, kind: str, name: str, tier: str, *, in_full: int = -1, in_time: int = -1) -> Customer:
        customer = self._customer(name, tier, in_full=in_full, in_time=in_time)
        customer.even = True
        self._accuse(kind, name)
        return customer

    def _accuse(self, kind: str, name: str) -> None:
        self.made.planted.add((kind, name))
        self.made.innocents.discard(name)

    def _customer(self, name: str, tier: str, *, zone: str = "", in_full: int = -1, in_time: int = -1) -> Customer:
        users = (f"{name}-u0", f"{name}-u1")
        own: tuple[str | None, ...] = users if self.draw.randrange(2) or name.startswith("bronze-1") else (*users, None)
        luck = self.draw.randint(-7, 2)
        customer = Customer(
            name,
            tier,
            zone or self.draw.choice(ZONES),
            own,
            IN_FULL[tier] + luck if in_full < 0 else in_full,
            IN_TIME[tier] + luck if in_time < 0 else in_time,
        )
        self.made.customers[name] = customer
        for each in (name, *users):
            self._innocent(each)
        return customer

    def _innocent(self, name: str) -> str:
        self.made.innocents.add(name)
        return name

    def _moments(self, count: int) -> list[int]:
        return sorted(self.draw.randrange(MINUTES - 120) for _ in range(count))

    def _some_orders(self, customer: Customer, count: int) -> None:
        for at in self._moments(count):
            self._order(customer, at)

    def _order(
        self,
        customer: Customer,
        minute: int,
        *,
        units: int = 0,
        price: str = "1",
        quota: bool = False,
        channel: str = "web",
        user: str | None = None,
        zone: str = "",
    ) -> None:
        self._orders += 1
        wanted = units or self.draw.randint(1, 300)
        served = not quota and self._goes_well(customer, customer.in_full, customer.placed)
        customer.placed += 1
        line = {"line": "1", "sku": "A", "quantity": wanted, "unit_price": price}
        line |= {"promised_quantity": wanted if served else wanted // 2, "quota_reached": quota}
        at = NOW - timedelta(minutes=MINUTES - 1) + timedelta(minutes=minute)
        first = {
            "order": {"source": "shop", "order_id": f"o{self._orders}"},
            "change": "accepted",
            "sequence": 1,
            "customer_id": customer.name,
            "customer": {"system": "shop", "id": customer.name},
            "tier": customer.tier,
            "channel": channel,
            "zone": zone or customer.zone,
            "ordered_at": at.isoformat(),
            "occurred_at": at.isoformat(),
            "lines": [line],
            "currency": "GBP",
            "entered_by": user or self.draw.choice(customer.users),
        }
        self.made.records.append(first)
        if self.draw.randrange(10):
            in_time = self._goes_well(customer, customer.in_time, customer.delivered)
            customer.delivered += 1
            later = {"change": "delivered", "sequence": 2, "on_time": in_time, "entered_by": None}
            self.made.records.append({**first, **later})

    def _goes_well(self, customer: Customer, percent: int, before: int) -> bool:
        if customer.even:
            return (before + 1) * percent // 100 > before * percent // 100
        return self.draw.randrange(100) < percent


def first_records(made: World) -> Iterator[dict[str, Any]]:
    """The first record of each order."""
    return (one for one in made.records if one["sequence"] == 1)
