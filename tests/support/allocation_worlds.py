"""Small worlds to allocate in: every kind of protection, quota and hierarchy at one or two positions of one item."""

from typing import Any

from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Hierarchy,
    Item,
    Node,
    Offer,
    Position,
    PositionKey,
    Protection,
    ProtectionMode,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
)

TODAY = 740_000
SPAN_DAYS = 12
TIERS = (Tier("gold", 1, 1), Tier("silver", 2, 1), Tier("bronze", 3, 1))
NOBODY = Tier("emergency", 0, 1)
FEW = st.integers(0, 8)
MODES: st.SearchStrategy[ProtectionMode] = st.sampled_from(("prioritised", "core"))


@st.composite
def positions(draw: st.DrawFn, key: PositionKey) -> Position:
    """A position with planned and past-due receipts, and commitments that may be beyond its supply."""
    due = draw(st.lists(st.integers(TODAY - 6, TODAY + SPAN_DAYS), max_size=4, unique=True))
    owed = draw(st.lists(st.integers(TODAY - 3, TODAY + SPAN_DAYS), max_size=3, unique=True))
    return Position(
        key,
        version=1,
        on_hand=draw(st.integers(-2, 16)),
        buffer=draw(st.integers(0, 2)),
        receipts=tuple(Receipts(day, draw(FEW), draw(FEW)) for day in sorted(due)),
        commitments=tuple((day, draw(st.integers(1, 5))) for day in sorted(owed)),
    )


@st.composite
def protections(draw: st.DrawFn, key: PositionKey, mode: ProtectionMode | None) -> tuple[Protection, ...]:
    """Several periods per tier and scope; in one mode, or (None) in one for each document."""
    modes = [draw(MODES) if mode is None else mode for _ in range(2)]
    found = []
    for tier in (*TIERS, NOBODY):
        for scope in draw(st.lists(st.integers(0, 2), max_size=2, unique=True)):
            edges = sorted(draw(st.lists(st.integers(TODAY - 4, TODAY + SPAN_DAYS), max_size=4, unique=True)))
            for start, end in zip(edges[::2], edges[1::2], strict=False):
                found.append(draw(_protection(key, tier, (start, end, scope), modes)))
    return tuple(draw(st.permutations(found)))


@st.composite
def _protection(
    draw: st.DrawFn, key: PositionKey, tier: Tier, extent: tuple[int, int, int], modes: list[ProtectionMode]
) -> Protection:
    start, end, scope = extent
    document = draw(st.integers(0, 1))
    basis = draw(st.sampled_from(("quantity", "quantity", "percent", "ratio")))
    carried = draw(st.booleans())
    return Protection(
        f"{key.location_id}-{tier.tier}-{start}-{scope}",
        f"d{document}",
        1,
        key,
        tier.tier,
        tier.priority_rank,
        start,
        end,
        draw(FEW) if basis == "quantity" else 0,
        modes[document],
        lapse_days=draw(st.integers(0, 3)),
        carry_stock=carried,
        basis=basis,  # type: ignore[arg-type]
        share=draw(st.sampled_from((1_000, 3_333, 5_000))) if basis == "percent" else draw(st.integers(1, 3)),
        scope=scope,
        unconsumable=tier is NOBODY,
        strict=draw(st.sampled_from((False, False, False, True))),
        expected=draw(st.sampled_from((None, None, 0, 3, 9))),
        upcoming=draw(st.sampled_from((False, False, False, True))),
        lowered_by=draw(st.sampled_from((0, 0, 0, 1))),
        counts_from=TODAY - 30 if carried else None,
    )


@st.composite
def quotas(draw: st.DrawFn) -> tuple[Quota, ...]:
    """Maxima of several combinations, each with one to three periods and a window."""
    found = []
    for number in range(draw(st.integers(0, 2))):
        combination: dict[str, Any] = {
            "tier": draw(st.sampled_from((None, None, "gold", "bronze"))),
            "channel": draw(st.sampled_from((None, None, "web"))),
            "region": draw(st.sampled_from((None, None, "north"))),
            "customer_id": draw(st.sampled_from((None, None, "c1"))),
            "item_group": draw(st.sampled_from((None, "drinks"))),
            "backward": draw(st.integers(0, 2)),
            "forward": draw(st.integers(0, 2)),
            "upcoming": draw(st.sampled_from((False, False, True))),
        }
        start = draw(st.integers(TODAY - 6, TODAY + 4))
        for _ in range(draw(st.integers(1, 3))):
            end = start + draw(st.integers(0, 4))
            found.append(Quota(f"q{number}", f"quota{number}", 1, start, end, draw(FEW), **combination))
            start = end + draw(st.integers(1, 2))
    return tuple(draw(st.permutations(found)))


@st.composite
def hierarchies(draw: st.DrawFn) -> tuple[Hierarchy, ...]:
    """A tree of region, tiers and a customer, whose nodes may lend; or none."""
    if draw(st.booleans()):
        return ()
    begin = draw(st.integers(TODAY - 3, TODAY + 3))
    periods = ((begin, begin + 4), (begin + 5, begin + 9))[: draw(st.integers(1, 2))]

    def node(name: str, parent: str | None, attribute: str, value: str) -> Node:
        quantities = tuple(draw(FEW) for _ in periods)
        return Node(name, parent, attribute, value, draw(st.integers(1, 3)), quantities, draw(st.booleans()), draw(FEW))

    nodes = [
        node("north", None, "region", "north"),
        node("gold", "north", "tier", "gold"),
        node("silver", "north", "tier", "silver"),
        node("one", "gold", "customer", "c1"),
        node("web", None, "channel", "web"),
        node("rest", None, "tier", "-"),
    ]
    return (Hierarchy("tree.1", "tree", 1, "I1", periods, tuple(draw(st.permutations(nodes))), "rest"),)


@st.composite
def books(draw: st.DrawFn, *, mixed: bool = False, limited: bool = True) -> Book:
    """A book of one item at one or two places; `mixed`: both modes may meet at a position."""
    keys = [PositionKey("I1", f"L{place}") for place in range(draw(st.integers(1, 2)))]
    mode = None if mixed else draw(MODES)
    item = Item(
        "I1",
        planned_receipts_count=draw(st.booleans()),
        past_due_supply_days=draw(st.integers(0, 7)),
        checking_horizon_days=draw(st.sampled_from((None, None, None, 0, 5, 11))),
        groups=("drinks",),
    )
    return Book(
        TODAY,
        {"I1": item},
        {key: draw(positions(key)) for key in keys},
        {"*": tuple(Offer(key.location_id, "road", "road", 1, 0, 0, 0, 0) for key in keys)},
        {key: draw(protections(key, mode)) for key in keys},
        draw(quotas()) if limited else (),
        hierarchies=draw(hierarchies()) if limited else (),
        regions={"GB": "north"},
    )


@st.composite
def requests(draw: st.DrawFn, *, number: int = 0) -> Request:
    """An order of the item on up to three lines."""
    return Request(
        "erp",
        f"o{number}",
        draw(st.sampled_from(TIERS)),
        draw(st.sampled_from(("GB", "FR"))),
        draw(st.sampled_from(("web", "shop"))),
        TODAY,
        ship_complete=draw(st.sampled_from((False, False, True))),
        lines=tuple(draw(_line(line)) for line in range(draw(st.integers(1, 3)))),
        customer_id=draw(st.sampled_from((None, "c1", "c2"))),
    )


@st.composite
def _line(draw: st.DrawFn, number: int) -> RequestLine:
    wanted = draw(st.integers(TODAY - 1, TODAY + SPAN_DAYS))
    latest = draw(st.one_of(st.none(), st.integers(wanted, TODAY + SPAN_DAYS + 3)))
    return RequestLine(str(number), "I1", draw(st.integers(1, 9)), wanted, latest)
