"""Four weeks of another made-up company, in which service depends on more than the tier, with cases planted.

Around a holiday, on islands and for large orders everybody is served worse. Innocents who look otherwise order only in
the peak, only outside of it, only to islands or only by the pallet; once by the pallet; are in another tier from the
third week on; reach a quota and do not go around it; use two channels all day; share an address with another firm; or
fill a lorry each day. Desks enter orders for many, and expedite as few of them as each other.
"""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

from bench.detection_world import NOW, World

DAYS: Final = 28
DAY_MINUTES: Final = 1_440
PEAK: Final = (18, 19, 20, 21)
QUIET: Final = tuple(day for day in range(DAYS) if day not in PEAK)
MAINLAND: Final = tuple(f"M{number}" for number in range(20))
ISLANDS: Final = ("I0", "I1", "I2")
IN_FULL: Final = {"gold": 97, "silver": 90, "bronze": 80}
IN_TIME: Final = {"gold": 97, "silver": 93, "bronze": 87}
SHORT_IN_PEAK: Final = {"gold": 8, "silver": 45, "bronze": 45}
SHORT_OF_PALLETS: Final = {"gold": 15, "silver": 45, "bronze": 45}
PALLET: Final = 100
LATE_ON_ISLANDS: Final = 45
LATE_IN_PEAK: Final = 25
SMALL: Final = (1, 2, 3, 5, 8, 10, 20, 40)


def peak_world(seed: int) -> World:
    """The four weeks of one seed."""
    maker = _Maker(Random(seed))
    maker.everybody()
    for number in range(8):
        maker.lookalikes(number)
    maker.desks()
    maker.planners()
    for number in range(3):
        maker.beside_their_tier(number)
        maker.workarounds(number)
    return maker.made


class _Maker:
    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.made = World()
        self._orders = 0
        self._homes: dict[str, str] = {}
        self._debt: dict[tuple[str, str], int] = {}

    def everybody(self) -> None:
        """Customers of three tiers with a zone, some luck and two users each."""
        for tier, count in (("gold", 60), ("silver", 120), ("bronze", 220)):
            for number in range(count):
                name = self._innocent(f"{tier}-{number}")
                zone = self._homes[name] = self.draw.choice(MAINLAND)
                users = [self._innocent(f"{name}-u{place}") for place in (0, 1)]
                luck = self.draw.randint(-4, 4)
                for _ in range(self.draw.choice((3, 8, 15, 25, 40, 60))):
                    self._order(name, tier, zone, user=self.draw.choice(users), better=luck)

    def lookalikes(self, number: int) -> None:
        """One of each kind."""
        for tier in ("silver", "bronze"):
            for _ in range(40):
                self._alike(f"peak-{tier}-{number}", tier, days=PEAK)
                self._alike(f"quiet-{tier}-{number}", tier, days=QUIET)
                self._alike(f"island-{tier}-{number}", tier, zone=ISLANDS[number % len(ISLANDS)])
        for day in range(DAYS - 4):
            self._alike(f"pallets-{number}", "silver", days=(day,), units=self.draw.randrange(150, 500))
        for day in range(0, DAYS, 2):
            self._alike(f"once-{number}", "bronze", days=(day,), units=999 if day == DAYS // 2 else 0)
        zone = self.draw.choice(MAINLAND)
        for day in range(DAYS):
            for _ in range(2):
                self._alike(f"risen-{number}", "bronze" if day < DAYS // 2 else "gold", days=(day,))
            self._alike(f"lorry-{number}", "bronze", zone=zone, days=(day,), units=self.draw.randrange(700, 1_000))
            self._alike(f"quota-{number}", "silver", zone=zone, days=(day,), quota=day % 4 == 0)
            for _ in range(6):
                quota, channel = self.draw.random() < 1 / 10, self.draw.choice(("web", "edi"))
                self._alike(f"channels-{number}", "silver", zone=zone, days=(day,), quota=quota, channel=channel)
        for _ in range(25):
            self._alike(f"tenant-{number}", "bronze", zone=zone)
            self._alike(f"landlord-{number}", "gold", zone=zone)
        for _ in range(4):
            self._order(f"landlord-{number}", "gold", zone, user=f"tenant-{number}-u")

    def desks(self) -> None:
        """Three desks, each of which enters forty orders a day for thirty customers, in one zone."""
        customers = [name for name in self._homes if name.startswith("silver")]
        for number in range(3):
            desk = self._innocent(f"desk-{number}")
            served = self.draw.sample(customers, 30)
            self.made.lookalikes |= {desk, *served}
            for day in range(DAYS):
                for _ in range(40):
                    quota = self.draw.randrange(20) == 0
                    name = self.draw.choice(served)
                    self._order(name, "silver", MAINLAND[number], days=(day,), user=desk, quota=quota)

    def planners(self) -> None:
        """Planners with a few acts each, desks with more, and planted ones with many."""
        placed = [one for one in self.made.records if one["sequence"] == 1]
        acts = {self._innocent(f"planner-{number}"): self.draw.randint(1, 5) for number in range(6)}
        acts |= {f"desk-{number}": self.draw.randint(14, 20) for number in range(3)}
        acts |= {f"generous-{number}": self.draw.randint(22, 40) for number in range(2)}
        self.made.planted |= {("priority_overrides", f"generous-{number}") for number in range(2)}
        for user, count in acts.items():
            of_user = [one for one in placed if one["entered_by"] == user] or placed
            for order in self.draw.sample(of_user, count):
                self._orders += 1
                act = {"kind": self.draw.choice(("expedited", "reassigned")), "by": user}
                told = {"change": "promise_changed", "sequence": 100 + self._orders, "act": act}
                self.made.records.append({**order, **told})

    def beside_their_tier(self, number: int) -> None:
        """Planted: customers served 45 points worse than others like them, and some as if they were gold."""
        for tier in ("silver", "bronze"):
            short, late = f"short-{tier}-{number}", f"late-{tier}-{number}"
            self._accuse("under_served", short, late)
            for _ in range(60):
                self._order(short, tier, self.draw.choice(MAINLAND), better=-45, even=True)
                self._order(late, tier, self.draw.choice(MAINLAND), sooner=-45, even=True)
        self._accuse("under_served", f"short-outside-{number}")
        self._accuse("over_served", f"favoured-{number}")
        for _ in range(70):
            self._order(f"short-outside-{number}", "silver", self.draw.choice(MAINLAND), QUIET, better=-40, even=True)
            self._order(f"favoured-{number}", "bronze", self.draw.choice(MAINLAND), better=100, even=True)

    def workarounds(self, number: int) -> None:
        """Planted: orders under another's id, in pieces, and another way once a quota is reached."""
        own, used, user = f"bronze-{100 + number}", f"used-{number}", f"bronze-{100 + number}-u0"
        self._accuse("other_customers_id", used)
        for _ in range(30):
            self._order(own, "bronze", self._homes[own], user=user)
            self._order(used, "gold", next(zone for zone in MAINLAND if zone != self._homes[own]))
        for _ in range(self.draw.randint(3, 5)):
            self._order(used, "gold", self._homes[own], user=user)
        pieces, around = f"pieces-{number}", f"around-{number}"
        self._accuse("split_orders", pieces, around)
        zone = self.draw.choice(MAINLAND)
        other, channel = (around, "edi") if number == 0 else (f"bronze-{150 + number}", "web")
        for _ in range(15):
            self._order(pieces, "bronze", zone)
            self._order(around, "silver", zone)
        for day in self.draw.sample(range(DAYS), 4):
            minute = self.draw.randrange(500, 900)
            for piece in range(2):
                units = self.draw.randrange(650, 1_000)
                self._order(pieces, "bronze", zone, (day,), minute=minute + 25 * piece, units=units)
            self._order(around, "silver", zone, (day,), minute=minute, quota=True)
            tier = "silver" if other == around else "bronze"
            self._order(other, tier, zone, (day,), minute=minute + 20, channel=channel, user=f"{around}-u")

    def _alike(self, name: str, tier: str, *, zone: str = "", **how: Any) -> None:
        self.made.lookalikes.add(self._innocent(name))
        self._order(name, tier, zone or self.draw.choice(MAINLAND), **how)

    def _innocent(self, name: str) -> str:
        self.made.innocents.add(name)
        return name

    def _accuse(self, kind: str, *names: str) -> None:
        self.made.planted |= {(kind, name) for name in names}

    def _order(
        self,
        name: str,
        tier: str,
        zone: str,
        days: Sequence[int] = (*range(DAYS), *PEAK),
        *,
        minute: int = 0,
        units: int = 0,
        better: int = 0,
        sooner: int = 0,
        even: bool = False,
        quota: bool = False,
        channel: str = "web",
        user: str = "",
    ) -> None:
        self._orders += 1
        day, wanted = self.draw.choice(days), units or self.draw.choice(SMALL)
        in_full = IN_FULL[tier] + better - (SHORT_IN_PEAK[tier] if day in PEAK else 0)
        in_full -= SHORT_OF_PALLETS[tier] if wanted >= PALLET else 0
        in_time = IN_TIME[tier] + sooner - (LATE_ON_ISLANDS if zone in ISLANDS else 0)
        in_time -= LATE_IN_PEAK if day in PEAK else 0
        served = not quota and self._goes_well((name, "in_full"), in_full, even=even)
        line = {"line": "1", "sku": "A", "quantity": wanted, "unit_price": "1", "quota_reached": quota}
        line["promised_quantity"] = wanted if served else wanted // 2
        begin = NOW - timedelta(days=DAYS) + timedelta(minutes=1)
        at = begin + timedelta(minutes=day * DAY_MINUTES + (minute or self.draw.randrange(420, 1_200)))
        first = {
            "order": {"source": "shop", "order_id": f"p{self._orders}"},
            "change": "accepted",
            "sequence": 1,
            "customer_id": name,
            "customer": {"system": "shop", "id": name},
            "tier": tier,
            "channel": channel,
            "zone": zone,
            "ordered_at": at.isoformat(),
            "occurred_at": at.isoformat(),
            "lines": [line],
            "currency": "GBP",
            "entered_by": user or f"{name}-u",
        }
        self.made.records.append(first)
        if self.draw.randrange(10):
            on_time = self._goes_well((name, "in_time"), in_time, even=even)
            self.made.records.append(
                {**first, "change": "delivered", "sequence": 2, "on_time": on_time, "entered_by": None}
            )

    def _goes_well(self, of: tuple[str, str], percent: int, *, even: bool) -> bool:
        """By chance, or for an even one as often as it should be: what is owed is carried to its next order."""
        if not even:
            return self.draw.randrange(100) < percent
        owed = self._debt.get(of, 0) + min(max(percent, 0), 100)
        self._debt[of] = owed % 100
        return owed >= 100
