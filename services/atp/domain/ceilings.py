"""What a request may take at most: quotas with their windows, and hierarchies, in one form.

A ceiling is a list of sources by day, in the order in which they are taken from; a request passes every ceiling.

- Quota: its own period first, then earlier and later ones, nearest first (of two as near the earlier one), over the
  stated number of periods. Periods that ended before today are closed.
- Hierarchy: a request belongs to the deepest node that it matches, or to the pool if it matches none. It takes from its
  own node, then from the parents, nearest first, then from siblings that rank behind it and lend: least important
  first, and only for days that are not within the sibling's lock window. On a day in no period of the hierarchy
  nothing is limited; a node's quantity is its own, besides what its children have.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.atp.domain.model import (
    Book,
    Day,
    Hierarchy,
    Item,
    Node,
    Posting,
    Quota,
    Request,
    TakenFrom,
    UsageKey,
)
from services.atp.domain.supply_picture import Room


class Source(NamedTuple):
    """Something to take from: what it has in all, and whose it is."""

    usage: UsageKey
    quantity: int
    taken: TakenFrom


class Ceiling(NamedTuple):
    """Sources by day: `sources[i]` from `days[i]` up to the next; without sources nothing is limited."""

    days: Sequence[Day]
    sources: Sequence[Sequence[Source]]

    def at(self, day: Day) -> Sequence[Source]:
        """The sources for a day, in the order in which they are taken from."""
        index = bisect_right(self.days, day) - 1
        return self.sources[index] if index >= 0 else ()


def quota_key(quota: Quota) -> UsageKey:
    """The counter of a quota's period."""
    return UsageKey("quota", quota.quota_id, quota.start)


def node_key(hierarchy: Hierarchy, node: Node, start: Day) -> UsageKey:
    """The counter of a node in a period."""
    return UsageKey("node", f"{hierarchy.hierarchy_id}/{node.name}", start)


def ceilings_for(book: Book, request: Request, item: Item) -> list[Ceiling]:
    """The ceilings that a request for an item has to pass, in a fixed order."""
    quotas = [each for each in book.quotas if matches(each, request, item, book.regions)]
    ceilings = [_of_quotas(series, book.today) for series in _series(quotas) if not series[0].upcoming]
    trees = sorted((each for each in book.hierarchies if each.item_id == item.item_id), key=_hierarchy_id)
    return ceilings + [_of_hierarchy(each, request, book) for each in trees if not each.upcoming]


def counting_for(book: Book, request: Request, item: Item) -> list[Ceiling]:
    """The ceilings that are not in effect yet: what is taken is counted, and nothing is limited."""
    quotas = [each for each in book.quotas if each.upcoming and matches(each, request, item, book.regions)]
    trees = sorted((each for each in book.hierarchies if each.item_id == item.item_id), key=_hierarchy_id)
    ceilings = [_of_quotas(series, book.today) for series in _series(quotas)]
    return ceilings + [_of_hierarchy(each, request, book) for each in trees if each.upcoming]


def matches(quota: Quota, request: Request, item: Item, regions: Mapping[str, str]) -> bool:
    """Whether a quota speaks of a request for an item."""
    return (
        quota.item_id in (None, item.item_id)
        and quota.tier in (None, request.tier.tier)
        and quota.zone in (None, request.zone)
        and quota.channel in (None, request.channel)
        and (quota.region is None or quota.region == regions.get(request.zone))
        and (quota.customer_id is None or quota.customer_id == request.customer_id)
        and (quota.item_group is None or quota.item_group in item.groups)
    )


def left_of(ceiling: Ceiling, usage: Mapping[UsageKey, int], day: Day) -> int | None:
    """What a ceiling leaves for a day; None: it does not limit the day."""
    sources = ceiling.at(day)
    return sum([max(0, each.quantity - usage.get(each.usage, 0)) for each in sources]) if sources else None


def lefts(ceilings: Sequence[Ceiling], usage: Mapping[UsageKey, int], day: Day) -> list[tuple[str, int]]:
    """What each of the ceilings leaves for a day, named by the source that is asked first."""
    found = [(ceiling, left_of(ceiling, usage, day)) for ceiling in ceilings]
    return [(ceiling.at(day)[0].usage.limit_id, left) for ceiling, left in found if left is not None]


def below(room: Room, ceilings: Sequence[Ceiling], usage: Mapping[UsageKey, int], today: Day) -> Room:
    """The room that ceilings leave of a room: nowhere more, and less on the days on which they are nearly used up."""
    edges = [*room.days, *(day for ceiling in ceilings for day in ceiling.days)]
    days = sorted(dict.fromkeys(day for day in edges if day >= today))
    quantities = [min([room.at(day), *(left for _, left in lefts(ceilings, usage, day))]) for day in days]
    return Room(days, quantities)


def portions(ceiling: Ceiling, usage: Mapping[UsageKey, int], day: Day, quantity: int) -> Iterator[Posting]:
    """From where a quantity is taken; what is beyond the ceiling is put on the source that is asked first."""
    sources = ceiling.at(day)
    parts = []
    for source in sources:
        part = min(quantity, max(0, source.quantity - usage.get(source.usage, 0)))
        quantity -= part
        parts.append(part)
    for index, source in enumerate(sources):
        part = parts[index] + (quantity if index == 0 else 0)
        if part:
            yield Posting(source.usage, part, source.taken)


def owner(posting: Posting) -> tuple[str, str]:
    """What the postings of a quantity that add up to it have in common: the quota, the hierarchy, the protection."""
    kind, limit, start = posting.usage
    if kind == "node":
        return kind, limit.rpartition("/")[0]
    return kind, limit if kind == "quota" else f"{limit}/{start}"


def path_of(hierarchy: Hierarchy, request: Request, region: str | None) -> list[Node]:
    """The nodes of a request: its own, then the parents, nearest first; the pool for one that matches none."""
    known = {
        "region": region,
        "zone": request.zone,
        "tier": request.tier.tier,
        "channel": request.channel,
        "customer": request.customer_id,
    }
    path: list[Node] = []
    parent: str | None = None
    while True:
        children = [
            node
            for node in hierarchy.nodes
            if node.parent == parent and node.name != hierarchy.pool and known.get(node.attribute) == node.value
        ]
        if not children:
            break
        path.insert(0, min(children, key=_importance))
        parent = path[0].name
    return path or [node for node in hierarchy.nodes if node.name == hierarchy.pool]


def _series(quotas: Sequence[Quota]) -> list[list[Quota]]:
    by_id: dict[str, list[Quota]] = {}
    for quota in sorted(quotas, key=quota_key):
        by_id.setdefault(quota.quota_id, []).append(quota)
    return list(by_id.values())


def _of_quotas(series: Sequence[Quota], today: Day) -> Ceiling:
    days: list[Day] = []
    sources: list[Sequence[Source]] = []
    for place, own in enumerate(series):
        if days and days[-1] == own.start:
            days.pop()
            sources.pop()
        days += [own.start, own.end + 1]
        sources += [[_source(series[index], index == place) for index in _window(series, place, today)], ()]
    return Ceiling(days, sources)


def _window(series: Sequence[Quota], place: int, today: Day) -> list[int]:
    """The periods that one may take from, in order: its own, then nearest first, the earlier of two first."""
    own = series[place]
    first, last = max(0, place - own.backward), min(len(series) - 1, place + own.forward)
    near = sorted(range(first, last + 1), key=lambda index: (abs(index - place), index))
    return [index for index in near if index == place or series[index].end >= today]


def _source(quota: Quota, is_own: bool) -> Source:
    return Source(quota_key(quota), quota.quantity, "own" if is_own else "borrowed")


def _of_hierarchy(hierarchy: Hierarchy, request: Request, book: Book) -> Ceiling:
    path = path_of(hierarchy, request, book.regions.get(request.zone))
    lenders = _lenders(hierarchy, path[0])
    by_day: dict[Day, Sequence[Source]] = {}
    for index, (start, end) in enumerate(hierarchy.periods):
        own, *parents = [Source(node_key(hierarchy, node, start), node.quantities[index], "own") for node in path]
        line = [own, *(parent._replace(taken="parent") for parent in parents)]
        unlocked = {book.today + node.lock_days for node in lenders}
        for day in sorted({start, *(day for day in unlocked if start < day <= end)}):
            by_day[day] = line + [
                Source(node_key(hierarchy, node, start), node.quantities[index], "borrowed")
                for node in lenders
                if day >= book.today + node.lock_days
            ]
        by_day.setdefault(end + 1, ())
    days = sorted(by_day)
    return Ceiling(days, [by_day[day] for day in days])


def _lenders(hierarchy: Hierarchy, own: Node) -> list[Node]:
    """Siblings that one may borrow from, the least important first."""
    if own.name == hierarchy.pool:
        return []
    found = [
        node
        for node in hierarchy.nodes
        if node.parent == own.parent and node.lends and node.rank > own.rank and node.name != hierarchy.pool
    ]
    return sorted(found, key=_importance, reverse=True)


def _importance(node: Node) -> tuple[int, str]:
    return node.rank, node.name


def _hierarchy_id(hierarchy: Hierarchy) -> str:
    return hierarchy.hierarchy_id
