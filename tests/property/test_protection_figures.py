"""The figures of protections against a count by units, day by day, on small instances."""

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Item, Position, PositionKey, Protection, Receipts, UsageKey
from services.atp.domain.protection_figures import figures

TODAY, LAST = 100, 108
KEY = PositionKey("item", "L1")
ITEM = Item("item")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Protection], Position, dict[UsageKey, int]]:
    days = st.integers(TODAY + 1, LAST)
    receipts = draw(st.dictionaries(days, st.integers(1, 9), max_size=3))
    commitments = draw(st.dictionaries(st.integers(TODAY, LAST), st.integers(1, 6), max_size=2))
    position = Position(
        KEY,
        1,
        draw(st.integers(0, 12)),
        receipts=tuple(Receipts(day, receipts[day]) for day in sorted(receipts)),
        commitments=tuple(sorted(commitments.items())),
    )
    protections = []
    for rank in range(draw(st.integers(1, 3))):
        start = draw(st.integers(TODAY - 3, LAST - 1))
        protections.append(
            Protection(
                f"p{rank}",
                "doc",
                1,
                KEY,
                f"t{rank}",
                rank + 1,
                start,
                draw(st.integers(max(start, TODAY), LAST)),
                draw(st.integers(0, 12)),
                carry_stock=draw(st.booleans()),
                lapse_days=draw(st.integers(0, 2)),
            )
        )
    usage = {UsageKey("protection", each.protection_id, each.start): draw(st.integers(0, 6)) for each in protections}
    return protections, position, usage


def there(position: Position, day: int) -> int:
    """What would be there at the end of a day, if no promise were kept short."""
    supply = position.on_hand + sum(each.confirmed for each in position.receipts if each.day <= day)
    return supply - sum(quantity for each, quantity in position.commitments if each <= day)


@given(worlds())
def test_figures_are_what_a_count_by_units_gives(world: tuple[list[Protection], Position, dict[UsageKey, int]]) -> None:
    protections, position, usage = world
    taken: list[tuple[int, int]] = []  # (day from which a unit is spoken for, units)
    receipts = {each.day: each.confirmed for each in position.receipts}
    shown = {each.protection_id: worth for each, worth in figures(protections, position, ITEM, TODAY, usage)}
    for protection in sorted(protections, key=lambda each: (each.priority_rank, each.start)):
        worth = shown[protection.protection_id]
        consumed = usage[UsageKey("protection", protection.protection_id, protection.start)]
        assert (worth.protected, worth.consumed) == (protection.quantity, consumed)
        if protection.end - protection.lapse_days < TODAY:
            lapsed = max(0, protection.quantity - consumed) if protection.start <= TODAY else 0
            assert (worth.remaining, worth.lapsed, worth.uncovered) == (0, lapsed, 0)
            continue
        assert worth.lapsed == 0
        if protection.start > TODAY and not protection.carry_stock:
            given_units = 0
            for day in range(protection.start, protection.end + 1):
                while given_units < protection.quantity and receipts.get(day, 0):
                    receipts[day] -= 1
                    given_units += 1
            assert worth.uncovered == protection.quantity - given_units
            assert worth.remaining == max(0, given_units - consumed)
            continue
        wanted = max(0, protection.quantity - consumed)
        units = 0
        while units < wanted and all(
            there(position, day) - sum(count for begin, count in taken if begin <= day) > units
            for day in range(protection.end, LAST + 1)
        ):
            units += 1
        taken.append((max(TODAY, protection.start), units))
        assert (worth.remaining, worth.uncovered) == (wanted, wanted - units)
