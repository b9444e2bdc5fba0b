"""Small worlds to promise in, for property tests: a few positions, tiers, periods and orders within three weeks."""

from dataclasses import replace

from hypothesis import strategies as st

from services.atp.domain.model import (
    CUMULATIVE,
    Book,
    Day,
    Item,
    Offer,
    Position,
    PositionKey,
    PromisingRule,
    Protection,
    ProtectionMode,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
)

TODAY: Day = 740_000
SPAN_DAYS = 16
TIERS = (
    Tier("gold", 1, 1, lead_time_days=3),
    Tier("silver", 2, 1, lead_time_days=5, as_soon_as_possible=False),
    Tier("bronze", 3, 1, lead_time_days=8),
)
ITEM = Item("I1")

days = st.integers(TODAY, TODAY + SPAN_DAYS)
few = st.integers(0, 12)
windows = st.sampled_from((0, 0, 1, 2, 30))
rules = st.one_of(
    st.just(PromisingRule("discrete")),
    st.builds(PromisingRule, st.just("periods"), st.sampled_from((1, 2, 7)), windows, windows, windows),
)


@st.composite
def positions(
    draw: st.DrawFn, key: PositionKey, *, planned: bool = False, waiting: bool = False, held_back: bool = False
) -> Position:
    """A position whose commitments may be beyond its supply; `held_back`: something may be kept from the web."""
    due = draw(st.lists(st.integers(TODAY - 9, TODAY + SPAN_DAYS), max_size=4, unique=True))
    owed = draw(st.lists(st.integers(TODAY - 3, TODAY + SPAN_DAYS), max_size=4, unique=True))
    ranks = draw(st.lists(st.integers(1, 3), max_size=2, unique=True)) if waiting else []
    receipts = [Receipts(day, draw(few), draw(few) if planned else 0) for day in sorted(due)]
    return Position(
        key,
        version=1,
        on_hand=draw(st.integers(-2, 20)),
        buffer=draw(st.integers(0, 3)),
        receipts=tuple(each for each in receipts if each.confirmed or each.planned),  # as stored: no day without any
        commitments=tuple((day, draw(st.integers(1, 6))) for day in sorted(owed)),
        waiting=tuple((rank, draw(st.integers(1, 5))) for rank in sorted(ranks)),
        channel_buffers=(("web", draw(st.integers(1, 9))),) if held_back and draw(st.booleans()) else (),
    )


@st.composite
def protections(draw: st.DrawFn, key: PositionKey, *, mixed: bool = True) -> tuple[Protection, ...]:
    """Several periods per tier, none of one tier overlapping, in one mode per tier (`mixed`) or in one for all."""
    found = []
    modes: st.SearchStrategy[ProtectionMode] = st.sampled_from(("prioritised", "core"))
    mode = draw(modes)
    for tier in TIERS:
        edges = sorted(draw(st.lists(st.integers(TODAY - 4, TODAY + SPAN_DAYS), max_size=4, unique=True)))
        mode = draw(modes) if mixed else mode
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            found.append(
                Protection(
                    f"{key.location_id}-{tier.tier}-{start}",
                    "doc",
                    1,
                    key,
                    tier.tier,
                    tier.priority_rank,
                    start,
                    end,
                    draw(few),
                    mode,
                    lapse_days=draw(st.integers(0, 3)),
                    carry_stock=draw(st.booleans()),
                )
            )
    return tuple(found)


@st.composite
def quotas(draw: st.DrawFn) -> tuple[Quota, ...]:
    """Maxima for all, for a tier, a channel or a zone."""
    found = []
    for number in range(draw(st.integers(0, 3))):
        start = draw(st.integers(TODAY - 4, TODAY + SPAN_DAYS))
        found.append(
            Quota(
                f"q{number}",
                "doc",
                1,
                start,
                start + draw(st.integers(0, 8)),
                draw(few),
                tier=draw(st.sampled_from((None, "gold", "bronze"))),
                channel=draw(st.sampled_from((None, None, "web"))),
            )
        )
    return tuple(found)


@st.composite
def offers(draw: st.DrawFn, locations: int) -> tuple[Offer, ...]:
    """One or two services per location."""
    return tuple(
        Offer(
            f"L{place}",
            f"S{service}",
            "road",
            rank=draw(st.integers(1, 2)),
            processing_days=draw(st.integers(0, 2)),
            transit_days=draw(st.integers(0, 3)),
            cost_shipment_minor=draw(st.sampled_from((0, 100, 500))),
            cost_unit_minor=draw(st.sampled_from((0, 7, 20))),
        )
        for place in range(locations)
        for service in range(draw(st.integers(1, 2)))
    )


@st.composite
def books(
    draw: st.DrawFn,
    *,
    locations: int = 2,
    protected: bool = True,
    mixed: bool = True,
    limited: bool = True,
    horizon: bool = True,
    waiting: bool = False,
    ruled: bool = False,
    held_back: bool = False,
) -> Book:
    """A book of one item at up to `locations` places; `ruled`: promised by a stricter rule."""
    keys = [PositionKey("I1", f"L{place}") for place in range(draw(st.integers(1, locations)))]
    item = replace(
        ITEM,
        planned_receipts_count=draw(st.booleans()),
        past_due_supply_days=draw(st.integers(0, 8)),
        checking_horizon_days=draw(st.one_of(st.none(), st.integers(0, SPAN_DAYS))) if horizon else None,
        rule=draw(rules) if ruled else CUMULATIVE,
    )
    return Book(
        TODAY,
        {"I1": item},
        {key: draw(positions(key, planned=True, waiting=waiting, held_back=held_back)) for key in keys},
        {"*": draw(offers(len(keys)))},
        {key: draw(protections(key, mixed=mixed)) for key in keys} if protected else {},
        draw(quotas()) if limited else (),
    )


@st.composite
def lines(draw: st.DrawFn, number: int) -> RequestLine:
    """A line that may want to arrive in the past, at once, or late."""
    wanted = draw(st.one_of(st.none(), st.integers(TODAY - 2, TODAY + SPAN_DAYS)))
    return RequestLine(
        str(number),
        "I1",
        draw(st.integers(1, 15)),
        wanted,
        draw(st.one_of(st.none(), st.integers(TODAY - 1, TODAY + SPAN_DAYS + 4))),
        draw(st.sampled_from((0, 0, 0, 1, 5))),
    )


@st.composite
def requests(draw: st.DrawFn, *, number: int = 0, lines_max: int = 2) -> Request:
    """An order of one item, often with the same item on several lines."""
    return Request(
        "erp",
        f"o{number}",
        replace(
            draw(st.sampled_from(TIERS)),
            split_allowed=draw(st.booleans()),
            lateness_penalty_minor=draw(st.sampled_from((0, 10, 100_000))),
            split_penalty_minor=draw(st.sampled_from((0, 50))),
        ),
        "GB",
        draw(st.sampled_from(("web", "shop"))),
        TODAY,
        ship_complete=draw(st.booleans()),
        lines=tuple(draw(lines(line)) for line in range(draw(st.integers(1, lines_max)))),
    )


@st.composite
def order_lists(draw: st.DrawFn, *, most: int = 4) -> list[Request]:
    """Orders to be decided one after another."""
    return [draw(requests(number=number)) for number in range(draw(st.integers(1, most)))]
