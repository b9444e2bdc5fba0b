"""The report of a back-test: one HTML file without scripts and without anything from elsewhere, plots as SVG."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from html import escape
from typing import Any, Final

from tiercel.backtest.figures import Move, Tried

WIDTH: Final = 760
HEIGHT: Final = 220
LEFT: Final = 48
BOTTOM: Final = 24
COLORS: Final = ("#8a6d00", "#5b6770", "#a2542b", "#2b6ca2", "#3c7d3c", "#7d3c74")
MOVES_SHOWN: Final = 200  # in the page; the CSV file beside it has all

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1c2227; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .7rem; text-align: right; }
th { border-bottom: 1px solid #aab2b8; } td:first-child, th:first-child { text-align: left; }
.words td { text-align: left; } svg { display: block; margin: .5rem 0 1.5rem; } code { font-size: 90%; }
"""


def page(document: Mapping[str, Any], tries: Sequence[Tried], *, digest: str) -> str:
    """The whole page; the same document gives the same bytes."""
    facts = document["history"]
    setting = (
        f"{escape(facts['source'])}: {facts['orders']:,} orders of {facts['customers']:,} customers, "
        f"{facts['first_day']} to {facts['last_day']}. Supply is modelled at {facts['supply_percent']} % of demand, "
        f"landed cost at {facts['landed_percent']} % of revenue. {escape(document['approval'])}"
    )
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Back-test</title>",
        f"<style>{_STYLE}</style></head><body><h1>Back-test</h1>",
        f"<p>{setting}</p>",
        _outline(tries),
        *(_of(one) for one in tries),
        f"<p>SHA-256 of the result: <code>{digest}</code></p></body></html>\n",
    ]
    return "\n".join(parts)


def _outline(tries: Sequence[Tried]) -> str:
    rows = []
    for one in tries:
        found = one.document
        margin = sum(row["margin_minor"] for row in one.by_tier)
        cost = sum(row["cost_to_serve_minor"] for row in one.by_tier)
        stay = found["shortest_stay_days"]
        rows.append(
            (
                one.name,
                f"{found['moves']:,}",
                f"{found['customers_moved']:,}",
                str(found["most_moves_of_a_customer"]),
                f"{found['reversals']:,}",
                "" if stay is None else f"{stay} days",
                _money(cost),
                _money(margin),
            )
        )
    names = (
        "rule set",
        "moves",
        "customers moved",
        "most of one",
        "reversals",
        "shortest stay",
        "cost to serve",
        "margin",
    )
    return _table(names, rows)


def _of(one: Tried) -> str:
    tiers = list(next(iter(one.members.values()), {}))
    rows = [
        (
            row["tier"],
            f"{row['orders']:,}",
            f"{row['units']:,}",
            f"{row['fill_rate']:.1%}",
            f"{row['on_time_rate']:.1%}",
            _money(row["revenue_minor"]),
            _money(row["landed_cost_minor"]),
            _money(row["cost_to_serve_minor"]),
            _money(row["margin_minor"]),
        )
        for row in one.by_tier
    ]
    names = ("tier", "orders", "units", "fill rate", "on time", "revenue", "landed cost", "cost to serve", "margin")
    shown = [(move.at[:10], move.customer, move.from_tier, move.to_tier, move.reason) for move in one.moves]
    more = f"<p>The first {MOVES_SHOWN} of {len(shown):,}.</p>" if len(shown) > MOVES_SHOWN else ""
    moves = _table(("day", "customer", "from", "to", "because"), shown[:MOVES_SHOWN], kind="words")
    return (
        f"<h2>{escape(one.name)}</h2>{_table(names, rows)}"
        f"<h3>Customers by tier</h3>{_lines(one.members, tiers)}"
        f"<h3>Moves by week</h3>{_bars(one.moves)}"
        f"<h3>Who moves, when and why</h3>{more}{moves}"
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table class='{kind}'><tr>{head}</tr>{body}</table>"


def _lines(members: Mapping[str, Mapping[str, int]], tiers: Sequence[str]) -> str:
    """A step line for each tier over the days."""
    days = list(members)
    top = max((count for of_day in members.values() for count in of_day.values()), default=0) or 1
    drawn = [_axes(top, days)]
    for place, tier in enumerate(tiers):
        points = []
        for number, day in enumerate(days):
            y = _y(members[day][tier], top)
            points += [f"{_x(number, len(days))},{y}", f"{_x(number + 1, len(days))},{y}"]
        color = COLORS[place % len(COLORS)]
        drawn.append(f"<polyline fill='none' stroke='{color}' stroke-width='2' points='{' '.join(points)}'/>")
        drawn.append(f"<text x='{LEFT + 8 + place * 110}' y='14' fill='{color}'>{escape(tier)}</text>")
    return _svg("Customers by tier over the days", drawn)


def _bars(moves: Sequence[Move]) -> str:
    """Moves of each ISO week."""
    if not moves:
        return "<p>None.</p>"
    weeks = Counter(_week(move) for move in moves)
    first, last = min(weeks), max(weeks)
    every = [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1, 7)]
    top = max(weeks.values())
    width = max(1, (WIDTH - LEFT) // len(every) - 2)
    drawn = [_axes(top, [week.isoformat() for week in every])]
    for number, week in enumerate(every):
        y = _y(weeks[week], top)
        height = HEIGHT - BOTTOM - y
        x = _x(number, len(every))
        drawn.append(f"<rect x='{x}' y='{y}' width='{width}' height='{height}' fill='{COLORS[3]}'/>")
    return _svg("Moves by week", drawn)


def _week(move: Move) -> date:
    """The Monday of the move's week."""
    day = datetime.fromisoformat(move.at).date()
    return date.fromordinal(day.toordinal() - day.weekday())


def _axes(top: int, days: Sequence[str]) -> str:
    base = HEIGHT - BOTTOM
    return (
        f"<line x1='{LEFT}' y1='{base}' x2='{WIDTH}' y2='{base}' stroke='#aab2b8'/>"
        f"<text x='0' y='{_y(top, top) + 5}'>{top:,}</text><text x='0' y='{base}'>0</text>"
        f"<text x='{LEFT}' y='{HEIGHT - 6}'>{days[0]}</text>"
        f"<text x='{WIDTH}' y='{HEIGHT - 6}' text-anchor='end'>{days[-1]}</text>"
    )


def _svg(title: str, drawn: Sequence[str]) -> str:
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' role='img' font-size='12'>"
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg>"
    )


def _x(number: int, total: int) -> int:
    return LEFT + (WIDTH - LEFT) * number // total


def _y(value: int, top: int) -> int:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 20) * value // top


def _money(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"
