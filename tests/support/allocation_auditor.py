"""An auditor of allocation with arithmetic of its own, written from the design's formulas: every day, every unit.

It takes nothing from `services.atp.domain` but the values of its model. What it knows are plain stocks and a list of
grants (what was promised to whom); there are no counters, breakpoints, steps or look-ahead arrays here, so that it is
slow and can be read beside the design. Of every grant it works out by itself where it was taken from.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from services.atp.domain.model import (
    Book,
    Hierarchy,
    Node,
    Position,
    PositionKey,
    Protection,
    Quota,
    Request,
    Tier,
    UsageKey,
)

ENDLESS = 10**15
BEYOND_DAYS = 4  # looked at after the last day on which anything changes
Source = tuple[UsageKey, int]
Seen = tuple[list[tuple[Protection, dict[int, int]]], dict[int, int]]
Place = tuple[PositionKey, str, int]  # a position, a protection there, and a day


class Grant(NamedTuple):
    """A promised quantity: `open` of it is still here, `gone` (by day) has been shipped; the rest was given back.

    `sources` are what it was taken from, by owner (a quota, a hierarchy, a protection), in the order of the taking.
    """

    request: Request
    key: PositionKey
    day: int
    decided: int
    assumed: bool
    open: int
    gone: tuple[tuple[int, int], ...]
    sources: tuple[tuple[Source, ...], ...]


@dataclass
class AllocationAuditor:
    """The state of a book as the auditor sees it. `days` reach beyond everything that the test does."""

    book: Book
    today: int = field(init=False)
    positions: dict[PositionKey, Position] = field(init=False)
    grants: list[Grant] = field(default_factory=list)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        self.today, self.positions = self.book.today, dict(self.book.positions)
        self.item = self.book.items["I1"]
        known = [self.today + 20, *(each.end for own in self.book.protections.values() for each in own)]
        known += [each.end for each in self.book.quotas]
        known += [end for tree in self.book.hierarchies for _, end in tree.periods]
        known += [receipts.day for position in self.positions.values() for receipts in position.receipts]
        self.last = max(known) + BEYOND_DAYS

    @property
    def days(self) -> range:
        return range(self.today, self.last)

    @property
    def end(self) -> int:
        """H."""
        horizon = self.item.checking_horizon_days
        return ENDLESS if horizon is None else self.today + horizon

    # Supply

    def arriving(self, key: PositionKey) -> list[tuple[int, int]]:
        """(day, units) of receipts that count today, past-due ones too."""
        found = []
        for receipts in self.positions[key].receipts:
            if receipts.day >= self.today - self.item.past_due_supply_days:
                planned = receipts.planned if self.item.planned_receipts_count else 0
                found.append((receipts.day, receipts.confirmed + planned))
        return found

    def level(self, key: PositionKey, day: int) -> int:
        """A(day), asked for days before H: what is assumed is beyond it, and is no supply for anything before."""
        position = self.positions[key]
        supply = position.on_hand - position.buffer + sum(units for due, units in self.arriving(key) if due <= day)
        owed = sum(units for available, units in position.commitments if available <= day)
        for grant in self.grants:
            if grant.key == key and grant.day <= day:
                owed += grant.open
        return supply - owed

    def levels(self) -> dict[tuple[PositionKey, int], int]:
        return {(key, day): self.level(key, day) for key in self.positions for day in self.days if day < self.end}

    # Protections

    def live(self, key: PositionKey) -> list[Protection]:
        """Those that keep something, in order of rank, then start."""
        everyone = self.book.protections.get(key, ())
        found = [
            each
            for each in everyone
            if not each.upcoming and self.today <= each.end - each.lapse_days and not self.is_nested(each, everyone)
        ]
        return sorted(found, key=lambda each: (each.priority_rank, each.start, each.protection_id))

    def is_nested(self, one: Protection, everyone: Sequence[Protection]) -> bool:
        """Of nested scopes the most specific one counts."""
        return any(
            each.tier == one.tier and each.scope < one.scope and each.start <= one.end and one.start <= each.end
            for each in everyone
            if not each.upcoming
        )

    def consumed(self, protection: Protection) -> int:
        """Held, committed and shipped by its tier, with the planned availability in its period."""
        return sum(
            grant.open + sum(units for _, units in grant.gone)
            for grant in self.grants
            if grant.key == protection.key
            and grant.request.tier.tier == protection.tier
            and protection.start <= grant.day <= protection.end
            and not protection.unconsumable
        )

    def taken_today(self, protection: Protection) -> int:
        """The part of `consumed` that was decided today."""
        later = replace(self, grants=[grant for grant in self.grants if grant.decided == self.today])
        return later.consumed(protection)

    def gross(self, protection: Protection, day: int) -> int:
        """Gross supply by a day: opening stock, and receipts from the start to min(day, end)."""
        key, start = protection.key, protection.start
        shipped = sum(
            units
            for grant in self.grants
            for left, units in grant.gone
            if grant.key == key and (protection.counts_from or start) <= left <= protection.end
        )
        opening = 0
        begun = start <= self.today
        if begun or protection.carry_stock:
            early = [units for due, units in self.arriving(key) if (due <= self.today if begun else due < start)]
            opening = max(0, self.positions[key].on_hand + shipped + sum(early))
        first = max(self.today + 1, start) if begun else start
        until = min(day, protection.end)
        return opening + sum(units for due, units in self.arriving(key) if first <= due <= until)

    def target(self, protection: Protection, day: int, live: Sequence[Protection]) -> int:
        """What its document asks for by a day, covered or not."""
        if day < protection.start:
            return 0
        if protection.basis == "quantity":
            return protection.quantity
        gross = self.gross(protection, day)
        if protection.basis == "percent":
            return gross * protection.share // 10_000
        sharing = [
            each
            for each in live
            if each.basis == "ratio"
            and (each.document_id, each.scope, each.start, each.end)
            == (protection.document_id, protection.scope, protection.start, protection.end)
        ]
        whole = sum(each.share for each in sharing)
        first = self.today if protection.start <= self.today else protection.start - 1
        due = [each for each, _ in self.arriving(protection.key) if first < each <= protection.end]
        if day < max(due, default=0):
            return gross * protection.share // whole
        units = {each.protection_id: gross * each.share // whole for each in sharing}
        for each in sorted(sharing, key=lambda one: -(gross * one.share % whole))[: gross - sum(units.values())]:
            units[each.protection_id] += 1
        return units[protection.protection_id]

    def protected(self, key: PositionKey) -> dict[str, dict[int, int]]:
        """P by protection and day. A future period has only what its receipts cover, each unit once."""
        live = self.live(key)
        free = [due for due, units in sorted(self.arriving(key)) if due > self.today for _ in range(units)]
        found: dict[str, dict[int, int]] = {}
        for protection in live:
            wanted = {day: self.target(protection, day, live) for day in self.days}
            found[protection.protection_id] = wanted
            if protection.start <= self.today or protection.carry_stock:
                continue
            covered = 0
            for day in self.days:
                until = min(day, protection.end)
                for due in [each for each in free if protection.start <= each <= until]:
                    if covered < wanted[day]:
                        free.remove(due)
                        covered += 1
                wanted[day] = covered
        return found

    def remainders(self, key: PositionKey) -> list[tuple[Protection, dict[int, int]]]:
        """What every live protection still keeps, by day."""
        protected = self.protected(key)
        found = []
        for protection in self.live(key):
            used = self.consumed(protection) + protection.lowered_by
            kept = {day: max(0, units - used) for day, units in protected[protection.protection_id].items()}
            if protection.expected is not None:
                length = protection.end - protection.start + 1
                left = protection.end - max(protection.start, self.today) + 1
                most = -(-protection.expected * left // length) - self.taken_today(protection)
                kept = {day: min(units, max(0, most)) for day, units in kept.items()}
            found.append((protection, kept))
        return found

    def is_own(self, protection: Protection, tier: Tier) -> bool:
        return protection.tier == tier.tier and not protection.unconsumable

    def restricts(self, protection: Protection, tier: Tier, asked: int) -> bool:
        """Whether it belongs to a tier that restricts this one, or, in core mode, to itself for another period."""
        if self.is_own(protection, tier):
            return protection.mode == "core" and not protection.start <= asked <= protection.end
        return protection.mode == "core" or protection.unconsumable or protection.priority_rank < tier.priority_rank

    def room(self, key: PositionKey, tier: Tier, asked: int) -> int:
        """Confirmable for a tier on a day, quotas aside."""
        return self.rooms(key, tier, [asked])[asked]

    def seen(self, key: PositionKey) -> Seen:
        """A position as it is now: what is kept there, and A by day."""
        return self.remainders(key), {day: self.level(key, day) for day in self.days if day < self.end}

    def rooms(self, key: PositionKey, tier: Tier, asked: Sequence[int], seen: Seen | None = None) -> dict[int, int]:
        """`room` for several days; who asks for several tiers may look at the position once."""
        if self.end <= self.today:
            return dict.fromkeys(asked, ENDLESS)
        kept, level = seen or self.seen(key)
        found = {}
        for day in asked:
            if day >= self.end:
                found[day] = ENDLESS
                continue
            after = [each for each in level if each >= day]
            restricting = [each for each in kept if self.restricts(each[0], tier, day)]
            most = max(0, min(level[each] - sum(units[each] for _, units in restricting) for each in after))
            found[day] = self._privileged(most, kept, tier, day, {each: level[each] for each in after})
        return found

    def _privileged(
        self, most: int, kept: list[tuple[Protection, dict[int, int]]], tier: Tier, day: int, level: dict[int, int]
    ) -> int:
        """The greatest quantity whose rest, after what the own protection covers, passes all strict protections too."""
        if not any(protection.strict for protection, _ in kept):
            return most
        own = [
            protection.protection_id
            for protection, _ in kept
            if self.is_own(protection, tier) and protection.start <= day <= protection.end
        ]
        privilege = sum(units[day] for protection, units in kept if protection.protection_id in own)
        for quantity in range(most, 0, -1):
            covered = min(quantity, privilege)
            if quantity == covered:
                return quantity
            asked = {
                each: sum(
                    units[each] - (min(covered, units[each]) if protection.protection_id in own else 0)
                    for protection, units in kept
                    if protection.strict or self.restricts(protection, tier, day)
                )
                for each in level
            }
            if all(level[each] - quantity >= asked[each] for each in level):
                return quantity
        return 0

    def guaranteed(self, tier: Tier) -> dict[Place, int]:
        """What each other tier may take within its protection, where that is kept from this tier."""
        found: dict[Place, int] = {}
        for key in self.positions:
            seen = self.seen(key)
            for protection, kept in seen[0]:
                if protection.unconsumable or protection.tier == tier.tier:
                    continue
                if protection.mode == "core" or protection.priority_rank < tier.priority_rank:
                    days = [day for day in self.days if protection.start <= day <= protection.end]
                    for day, room in self.rooms(key, _owner(protection), days, seen).items():
                        found[key, protection.protection_id, day] = min(room, kept[day])
        return found

    def owners_rooms(self) -> dict[Place, int]:
        """What the owner of each protection may take on each of its days."""
        found: dict[Place, int] = {}
        for key in self.positions:
            seen = self.seen(key)
            for protection in self.book.protections.get(key, ()):
                days = [day for day in self.days if protection.start <= day <= protection.end]
                for day, room in self.rooms(key, _owner(protection), days, seen).items():
                    found[key, protection.protection_id, day] = room
        return found

    # Quotas and hierarchies

    def used(self, key: UsageKey) -> int:
        """What the grants have taken of a limit."""
        return sum(units for grant in self.grants for own in grant.sources for name, units in own if name == key)

    def quota_left(self, request: Request, asked: int) -> int:
        """The least that a quota or hierarchy leaves."""
        lefts = [
            sum(max(0, quantity - self.used(name)) for name, quantity in sources)
            for upcoming, sources in self.limits(request, asked)
            if not upcoming
        ]
        return min(lefts, default=ENDLESS)

    def limits(self, request: Request, asked: int) -> Iterator[tuple[bool, list[Source]]]:
        """What limits a request on a day: the sources of each, in the order in which they are asked."""
        for quota in sorted(self.book.quotas, key=lambda each: (each.quota_id, each.start)):
            if quota.start <= asked <= quota.end and self.speaks_of(quota, request):
                yield quota.upcoming, self.window(quota)
        for tree in sorted(self.book.hierarchies, key=lambda each: each.hierarchy_id):
            for index, (start, end) in enumerate(tree.periods):
                if start <= asked <= end:
                    nodes = self.nodes_for(tree, request, asked)
                    names = [UsageKey("node", f"{tree.hierarchy_id}/{node.name}", start) for node in nodes]
                    yield (
                        tree.upcoming,
                        [(name, node.quantities[index]) for name, node in zip(names, nodes, strict=True)],
                    )

    def speaks_of(self, quota: Quota, request: Request) -> bool:
        asked = {
            "tier": request.tier.tier,
            "item_id": "I1",
            "zone": request.zone,
            "channel": request.channel,
            "region": self.book.regions.get(request.zone),
            "customer_id": request.customer_id,
        }
        named = {name: getattr(quota, name) for name in asked if getattr(quota, name) is not None}
        in_group = quota.item_group is None or quota.item_group in self.item.groups
        return in_group and all(asked[name] == value for name, value in named.items())

    def window(self, own: Quota) -> list[Source]:
        """Its own period first, then the nearest, the earlier of two as near; closed periods give nothing."""
        series = sorted((each for each in self.book.quotas if each.quota_id == own.quota_id), key=lambda one: one.start)
        place = series.index(own)
        order = [(place, own)]
        for distance in range(1, len(series)):
            for index in (place - distance, place + distance):
                reach = own.backward if index < place else own.forward
                if 0 <= index < len(series) and distance <= reach and series[index].end >= self.today:
                    order.append((index, series[index]))
        return [(UsageKey("quota", each.quota_id, each.start), each.quantity) for _, each in order]

    def nodes_for(self, tree: Hierarchy, request: Request, asked: int) -> list[Node]:
        """Its own node, the parents from below, then lending siblings of lower priority, the least important first."""
        facts = {"tier": request.tier.tier, "channel": request.channel, "zone": request.zone}
        facts |= {"customer": str(request.customer_id), "region": str(self.book.regions.get(request.zone))}
        path: list[Node] = []
        while True:
            above = path[-1].name if path else None
            fitting = [
                node
                for node in tree.nodes
                if node.parent == above and node.name != tree.pool and facts.get(node.attribute) == node.value
            ]
            if not fitting:
                break
            path.append(min(fitting, key=lambda node: (node.rank, node.name)))
        if not path:
            return [node for node in tree.nodes if node.name == tree.pool]
        own = path[-1]
        lending = [
            node
            for node in tree.nodes
            if node.parent == own.parent and node.lends and node.rank > own.rank and node.name != tree.pool
        ]
        lending.sort(key=lambda node: (node.rank, node.name), reverse=True)
        return [*reversed(path), *(node for node in lending if asked >= self.today + node.lock_days)]

    # What happens

    def allowed(self, request: Request, key: PositionKey, asked: int) -> int:
        """What a request may be promised at a position on a day, by everything together."""
        return min(self.room(key, request.tier, asked), self.quota_left(request, asked))

    def take(self, request: Request, key: PositionKey, day: int, quantity: int, *, assumed: bool) -> None:
        """Note a promised quantity, and where it came from."""
        sources: list[tuple[Source, ...]] = []
        everyone = self.book.protections.get(key, ())
        for each in everyone:
            counts = each.upcoming or not self.is_nested(each, everyone)
            if self.is_own(each, request.tier) and each.start <= day <= each.end and counts:
                sources.append(((UsageKey("protection", each.protection_id, each.start), quantity),))
                if each.expected is not None:
                    sources.append(((UsageKey("asked", each.protection_id, self.today), quantity),))
        for _, limit in self.limits(request, day):
            wanted, parts = quantity, []
            for name, most in limit:
                part = min(wanted, max(0, most - self.used(name)))
                wanted -= part
                parts.append((name, part))
            first, part = parts[0]
            parts[0] = (first, part + wanted)
            sources.append(tuple(each for each in parts if each[1]))
        self.grants.append(Grant(request, key, day, self.today, assumed, quantity, (), tuple(sources)))

    def give_back(self, place: int, quantity: int) -> None:
        """Take a quantity off a grant; what was taken last is given back first."""
        grant = self.grants[place]
        sources = []
        for own in grant.sources:
            left, kept = quantity, list[Source]()
            for name, units in reversed(own):
                part = min(left, units)
                left -= part
                kept.insert(0, (name, units - part))
            sources.append(tuple(each for each in kept if each[1]))
        self.grants[place] = grant._replace(open=grant.open - quantity, sources=tuple(sources))

    def ship(self, place: int, quantity: int) -> None:
        """Let a quantity leave today."""
        grant = self.grants[place]
        self.grants[place] = grant._replace(open=grant.open - quantity, gone=(*grant.gone, (self.today, quantity)))
        position = self.positions[grant.key]
        self.positions[grant.key] = replace(position, on_hand=position.on_hand - quantity)

    def counters(self) -> Counter[UsageKey]:
        """All counters but those of shipments, by what the grants have taken."""
        found: Counter[UsageKey] = Counter()
        for grant in self.grants:
            for own in grant.sources:
                for name, units in own:
                    found[name] += units
        return found


def _owner(protection: Protection) -> Tier:
    return Tier(protection.tier, protection.priority_rank, 1)
