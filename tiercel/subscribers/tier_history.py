"""A made-up history of customers and tiers, as `segments.current.v1` and `segments.policies.v1` tell it.

Customers come, move, get overrides and planned moves, are merged and deleted (a state, then a tombstone); tiers change
their policy, and the default goes from one to another. Whoever follows the topics can say the tier of a customer at any
moment: `Follower` says what is right, from the contract alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from services.contracts import topics
from services.contracts.catalogue import SEGMENT_CURRENT, SEGMENT_HEARTBEAT, TIER_POLICY
from services.contracts.segments import SegmentCurrent, SegmentHeartbeat, TierDefined
from tiercel.subscribers.delivery import Told

TIERS: Final = ("gold", "silver", "bronze")
DEFAULT: Final = "bronze"  # to begin with
PARTITIONS: Final = 3
CUSTOMERS_MAX: Final = 12
MERGES_FOLLOWED_MAX: Final = 8
BEGIN: Final = datetime(2030, 1, 1, tzinfo=UTC)

Identifier = tuple[str, str]


@dataclass(slots=True)
class _Customer:
    customer_id: str
    sequence: int = 0
    status: str = "active"
    merged_into: str | None = None
    identifiers: list[Identifier] = field(default_factory=list)
    assignments: list[dict[str, Any]] = field(default_factory=list)


class History:
    """Makes a history of some steps; `partitions` then has the records of each partition in order."""

    def __init__(self, random: Random, steps: int) -> None:
        self._random = random
        self._now = BEGIN
        self._customers: list[_Customer] = []
        self.partitions: list[list[Told]] = [[] for _ in range(PARTITIONS + 1)]
        self._default = DEFAULT
        for rank, tier in enumerate(TIERS, start=1):
            self._tell_tier(tier, 1, rank)
        self._versions = dict.fromkeys(TIERS, 1)
        for _ in range(steps):
            self._now += timedelta(minutes=random.randint(1, 2_000))
            random.choice(
                (self._come, self._move, self._move, self._override, self._merge, self._leave, self._rank, self._mark)
            )()
        self.until = self._now

    def _active(self) -> list[_Customer]:
        return [each for each in self._customers if each.status == "active"]

    def _come(self) -> None:
        if len(self._customers) >= CUSTOMERS_MAX:
            return
        number = len(self._customers) + 1
        customer = _Customer(f"c-{number}", identifiers=[("shop", str(number)), ("erp", f"D{number:03}")])
        self._customers.append(customer)
        if self._random.randrange(5):  # the fifth is registered without a tier
            self._assign(customer, "assigned", self._now, None)
        self._tell(customer)

    def _move(self) -> None:
        """At once, or planned: then the one in force ends when the planned one starts."""
        if not (active := self._active()):
            return
        customer = self._random.choice(active)
        start = self._now + timedelta(days=self._random.choice((0, 0, 3)))
        customer.assignments = [
            each
            for each in customer.assignments
            if each["kind"] == "override" or datetime.fromisoformat(each["effective_from"]) < start
        ]
        for each in customer.assignments:
            if each["kind"] == "assigned":
                each["effective_to"] = min(each["effective_to"] or start.isoformat(), start.isoformat())
        self._assign(customer, "assigned", start, None)
        self._tell(customer)

    def _override(self) -> None:
        if not (active := self._active()):
            return
        customer = self._random.choice(active)
        customer.assignments = [each for each in customer.assignments if each["kind"] == "assigned"]
        end = self._now + timedelta(days=self._random.randint(1, 5))
        self._assign(customer, "override", self._now, end)
        self._tell(customer)

    def _merge(self) -> None:
        if len(active := self._active()) < 2:  # noqa: PLR2004 - it takes two
            return
        gone, into = self._random.sample(active, 2)
        gone.status, gone.merged_into = "merged", into.customer_id
        if self._random.randrange(2):  # else its names lead to the other one by `merged_into`
            into.identifiers, gone.identifiers = into.identifiers + gone.identifiers, []
        for customer in self._random.sample([gone, into], 2):
            self._tell(customer)

    def _leave(self) -> None:
        if len(active := self._active()) < 4:  # noqa: PLR2004 - somebody should stay
            return
        customer = self._random.choice(active)
        customer.status, customer.assignments = "deleted", []
        self._tell(customer)
        self._record(self._told(customer, None))

    def _rank(self) -> None:
        self._change(self._random.choice(TIERS))

    def _mark(self) -> None:
        """Another default: the former one loses the mark before."""
        former, self._default = self._default, self._random.choice([each for each in TIERS if each != self._default])
        self._change(former)
        self._change(self._default)

    def _change(self, tier: str) -> None:
        self._versions[tier] += 1
        self._tell_tier(tier, self._versions[tier], TIERS.index(tier) + 1)

    def _assign(self, customer: _Customer, kind: str, start: datetime, end: datetime | None) -> None:
        customer.assignments.append(
            {
                "tier": self._random.choice(TIERS),
                "effective_from": start.isoformat(),
                "effective_to": None if end is None else end.isoformat(),
                "sequence": customer.sequence + 1,
                "kind": kind,
            }
        )

    def _tell(self, customer: _Customer) -> None:
        customer.sequence += 1
        document = SegmentCurrent.model_validate(
            {
                "customer_id": customer.customer_id,
                "sequence": customer.sequence,
                "status": customer.status,
                "merged_into": customer.merged_into,
                "identifiers": [{"system": system, "id": id_} for system, id_ in customer.identifiers],
                "assignments": customer.assignments,
            }
        ).model_dump(mode="json", exclude_defaults=self._is_terse())
        self._record(self._told(customer, document))

    def _is_terse(self) -> bool:
        """Fields that have their default may be left out."""
        return self._random.randrange(2) == 0

    def _record(self, told: Told) -> None:
        partition = sum(told.key.encode()) % PARTITIONS
        self.partitions[partition].append(told)
        if self._random.randrange(6) == 0:
            beat = SegmentHeartbeat(partition=partition, beat_at=self._now).model_dump(mode="json")
            place = len(self.partitions[partition]) + 1
            key = f"heartbeat-{partition}"
            self.partitions[partition].append(Told(told.topic, key, SEGMENT_HEARTBEAT.name, place, beat))

    @staticmethod
    def _told(customer: _Customer, document: dict[str, Any] | None) -> Told:
        name = topics.SEGMENTS_CURRENT.name
        return Told(name, customer.customer_id, SEGMENT_CURRENT.name, customer.sequence, document)

    def _tell_tier(self, tier: str, version: int, rank: int) -> None:
        document = TierDefined(
            tier=tier, version=version, name=f"{tier} {version}", priority_rank=rank, is_default=tier == self._default
        ).model_dump(mode="json", exclude_defaults=self._is_terse())
        self.partitions[PARTITIONS].append(
            Told(topics.SEGMENTS_POLICIES.name, tier, TIER_POLICY.name, version, document)
        )


class Follower:
    """What is right: of every key the highest sequence counts, whatever came when."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._customers: dict[str, dict[str, Any]] = {}
        self._tiers: dict[str, Told] = {}

    def take(self, told: Told) -> None:
        """One record."""
        if told.value is None or told.type == SEGMENT_HEARTBEAT.name:
            return
        if told.type == TIER_POLICY.name:
            if told.key not in self._tiers or self._tiers[told.key].sequence < told.sequence:
                self._tiers[told.key] = told
        elif self._customers.get(told.key, {"sequence": 0})["sequence"] < told.sequence:
            self._customers[told.key] = told.value

    def question(self, random: Random) -> tuple[dict[str, Any], list[str]] | None:
        """Some customers by the names of other systems, and a moment; with the right tiers. None: too early to ask."""
        names = sorted(self._names())
        defaults = [each.key for each in self._tiers.values() if each.value and each.value.get("is_default")]
        if len(defaults) != 1 or not names:  # while the mark goes from one to another nobody can say
            return None
        [default] = defaults
        at = BEGIN + timedelta(seconds=random.randint(0, int((self._history.until - BEGIN).total_seconds()) + 400_000))
        asked = [*random.sample(names, min(5, len(names))), ("shop", "nobody")]
        customers = [{"system": system, "id": id_} for system, id_ in asked]
        right = [self._tier(name, at) or default for name in asked]
        return {"question": "tiers", "at": at.isoformat(), "customers": customers}, right

    def _names(self) -> Iterator[Identifier]:
        """Names that one customer alone has: while a merge is half told, two may claim one."""
        claims: dict[Identifier, int] = {}
        for customer in self._customers.values():
            for identifier in customer.get("identifiers", ()):
                name = (identifier["system"], identifier["id"])
                claims[name] = claims.get(name, 0) + 1
        return (name for name, count in claims.items() if count == 1)

    def _tier(self, name: Identifier, at: datetime) -> str | None:
        """None is the default. Overrides lie above what is assigned; of one kind the highest sequence counts."""
        customer = self._survivor(name)
        found = [
            each
            for each in (customer or {}).get("assignments", ())
            if datetime.fromisoformat(each["effective_from"]) <= at
            and (each.get("effective_to") is None or at < datetime.fromisoformat(each["effective_to"]))
        ]
        best = max(found, key=lambda each: (each.get("kind") == "override", each["sequence"]), default=None)
        return None if best is None else str(best["tier"])

    def _survivor(self, name: Identifier) -> dict[str, Any] | None:
        system, id_ = name
        customer = next(
            (each for each in self._customers.values() if {"system": system, "id": id_} in each.get("identifiers", ())),
            None,
        )
        for _ in range(MERGES_FOLLOWED_MAX):
            if customer is None or customer.get("status") != "merged":
                break
            customer = self._customers.get(customer["merged_into"])
        return customer if customer is not None and customer.get("status", "active") == "active" else None
