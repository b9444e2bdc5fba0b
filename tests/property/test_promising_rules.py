"""Stricter promising rules against arithmetic of its own: a row of numbers for every period, one unit at a time."""

from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.allocation import room_for
from services.atp.domain.glance import glance
from services.atp.domain.model import CUMULATIVE, Book, Item, Position, PositionKey, Request, Tier
from services.atp.domain.promising import decide, inquire
from services.atp.domain.promising_rules import Left, by_periods, consumed, figures
from services.atp.domain.release import release
from services.atp.domain.supply_picture import atp
from tests.property.test_promise_explanations import asked_alone, check_quantities, is_feasible
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import ENDLESS, Auditor

rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=10)
reaches = st.one_of(st.none(), st.integers(0, 4))


def _unit_by_unit(left: list[int], backward: int, forward: int) -> list[int]:
    """Each unit that a period is short of takes one from the nearest period that has one, first back, then ahead."""
    for steps in (range(-1, -backward - 1, -1), range(1, forward + 1)):
        for period in range(len(left)):
            while left[period] < 0:
                near = [period + step for step in steps if 0 <= period + step < len(left) and left[period + step] > 0]
                if not near:
                    break
                left[near[0]] -= 1
                left[period] += 1
    return left


@given(rows, reaches, reaches)
def test_shortages_take_from_the_nearest_period_first_back_then_ahead(
    table: list[tuple[int, int]], backward: int | None, forward: int | None
) -> None:
    supply, demand = dict(enumerate(have for have, _ in table)), dict(enumerate(owed for _, owed in table))
    far = len(table)
    counted = _unit_by_unit(
        [have - owed for have, owed in table],
        far if backward is None else backward,
        far if forward is None else forward,
    )
    lefts = consumed(by_periods(supply, demand), backward=backward, forward=forward)
    assert lefts == [Left(period, left) for period, left in enumerate(counted)]
    assert sum(each.quantity for each in lefts) == sum(supply.values()) - sum(demand.values())


@dataclass
class RuledAuditor(Auditor):
    """An auditor who counts what each period has by itself."""

    def room(self, key: PositionKey, item: Item, tier: Tier, asked: int, *, in_turn: bool = False) -> int:
        """`min(rule, ATP)`, with what is kept from the tier taken off both."""
        room = super().room(key, item, tier, asked, in_turn=in_turn)
        if asked >= self.end(item):
            return room
        levels = [self.level(key, item, day) for day in self.days if asked <= day < self.end(item)]
        free = min(levels) if levels else self.level(key, item, self.days[-1])
        return max(
            0, min(room, self.figure(key, item, asked) - (free - self._unclipped(key, item, tier, asked, in_turn)))
        )

    def _unclipped(self, key: PositionKey, item: Item, tier: Tier, asked: int, in_turn: bool) -> int:
        waiting = 0 if in_turn else sum(q for rank, q in self.positions[key].waiting if rank <= tier.priority_rank)
        levels = [
            self.level(key, item, day) - self.restricted(key, item, tier, day, asked) - waiting
            for day in self.days
            if asked <= day < self.end(item)
        ]
        return min(levels)

    def figure(self, key: PositionKey, item: Item, asked: int) -> int:
        """What the rule offers for a day by itself."""
        rule, today = item.rule, self.book.today
        days = [day for day in self.days if day < self.end(item)]
        supplies = [self.supply(key, item, day) for day in days]
        news = [supplies[0], *(after - before for before, after in pairwise(supplies))]
        owed = [self.owed(key, item, day) for day in days]
        owes = [owed[0], *(after - before for before, after in pairwise(owed))]
        if rule.kind == "discrete":
            number, numbers = 0, []
            for place, new in enumerate(news):
                number += int(place > 0 and new > 0)
                numbers.append(number)
        else:
            numbers = [(day - 1) // rule.period_days - (today - 1) // rule.period_days for day in days]
        left = [0] * (numbers[-1] + 1)
        for number, new, owe in zip(numbers, news, owes, strict=True):
            left[number] += new - owe
        discrete = rule.kind == "discrete"
        left = _unit_by_unit(left, len(left) if discrete else rule.backward, 0 if discrete else rule.forward)
        place = numbers[asked - today]
        carried = 0 if discrete else rule.accumulation
        return left[place] + sum(max(0, each) for each in left[max(0, place - carried) : place])


def _ruled(book: Book) -> Item:
    return book.items["I1"]


@given(worlds.books(waiting=True, ruled=True))
def test_what_a_tier_may_take_by_a_rule_is_what_the_auditor_counts(book: Book) -> None:
    auditor, item = RuledAuditor(book), _ruled(book)
    for key, position in book.positions.items():
        shown = figures(position, item, book.today)
        for tier in worlds.TIERS:
            room = room_for(book, key, item, tier)
            for day in auditor.days:
                if day < auditor.end(item):
                    assert shown.at(day) == auditor.figure(key, item, day)
                assert max(0, min(room.at(day), ENDLESS)) == auditor.room(key, item, tier, day)


@given(worlds.books(waiting=True, ruled=True))
def test_a_rule_only_ever_offers_less(book: Book) -> None:
    item = _ruled(book)
    for key in book.positions:
        for tier in worlds.TIERS:
            strict, free = (room_for(book, key, each, tier) for each in (item, replace(item, rule=CUMULATIVE)))
            for day in Auditor(book).days:
                assert strict.at(day) <= free.at(day)


@given(worlds.books(protected=False, limited=False, ruled=True))
def test_where_nothing_is_kept_the_offer_is_the_less_of_the_rule_and_atp(book: Book) -> None:
    item, auditor = _ruled(book), RuledAuditor(book)
    for key, position in book.positions.items():
        room = room_for(book, key, item, worlds.TIERS[-1])
        for day in auditor.days:
            if day < auditor.end(item):
                by_rule = max(0, auditor.figure(key, item, day))
                assert max(0, room.at(day)) == min(by_rule, atp(position, item, book.today, day))


@given(worlds.books(waiting=True, ruled=True), worlds.order_lists())
def test_every_part_was_offered_by_the_rule_and_nothing_is_oversold(book: Book, orders: list[Request]) -> None:
    copy = replace(book, positions=dict(book.positions), usage=dict(book.usage))
    auditor, item = RuledAuditor(copy), _ruled(book)
    for request in orders:
        before = auditor.levels(item)
        for line in decide(book, request).lines:
            for part in line.planned:
                assert part.quantity <= auditor.allowed(request, part.key, part.available_day)
                auditor.take(request, replace(line, planned=(part,)))
        for (key, day), level in auditor.levels(item).items():
            if day < auditor.end(item):
                assert level >= 0 or level == before[key, day]


@given(worlds.books(mixed=False, ruled=True, limited=False), worlds.order_lists(most=2))
def test_a_rule_leaves_a_protected_tier_what_is_kept_for_it_on_the_day_of_others(
    book: Book, orders: list[Request]
) -> None:
    """On the day on which others take, the tier has what it had under its protection, or all that is kept for it."""
    item = _ruled(book)
    auditor = Auditor(replace(book, positions=dict(book.positions), usage=dict(book.usage)))
    for request in orders:
        alone = replace(request, lines=request.lines[:1], ship_complete=False)
        after = replace(book, positions=dict(book.positions), usage=dict(book.usage))
        parts = [part for line in decide(after, alone).lines for part in line.planned]
        for part in parts if len(parts) == 1 and not parts[0].assumed else ():
            for protection in book.protections.get(part.key, ()):
                owner = next(tier for tier in worlds.TIERS if tier.tier == protection.tier)
                restricts = protection.mode == "core" or owner.priority_rank < request.tier.priority_rank
                if owner.tier != request.tier.tier and restricts and protection.start <= part.available_day:
                    kept = auditor.remaining(protection, item, part.available_day)
                    had, has = (room_for(each, part.key, item, owner).at(part.available_day) for each in (book, after))
                    assert part.available_day > protection.end or has >= min(had, kept)
        for line in decide(book, request).lines:
            auditor.take(request, line)


@given(worlds.books(ruled=True), worlds.order_lists())
def test_what_is_given_back_under_a_rule_is_exactly_what_was_taken(book: Book, orders: list[Request]) -> None:
    before = dict(book.positions)
    parts = [part for request in orders for line in decide(book, request).lines for part in line.planned]
    release(book, parts)
    assert book.positions == before


@given(worlds.books(locations=1, limited=False, waiting=True, ruled=True), worlds.requests(lines_max=1))
def test_a_change_that_would_help_does_under_a_rule_at_one_location(book: Book, asked: Request) -> None:
    check_quantities(book, asked_alone(asked))


@given(worlds.books(locations=2, ruled=True), worlds.requests(lines_max=1))
def test_a_change_that_would_help_does_under_a_rule_at_several(book: Book, asked: Request) -> None:
    check_quantities(book, asked_alone(asked))


@given(worlds.books(ruled=True, waiting=True), worlds.requests(lines_max=1))
def test_the_rule_is_named_exactly_where_the_cumulative_rule_would_help(book: Book, asked: Request) -> None:
    request = asked_alone(asked)
    answer = inquire(book, request).lines[0]
    if answer.outcome == "promised":
        return
    lifted = replace(book, items={"I1": replace(_ruled(book), rule=CUMULATIVE)})
    named = any(binding.kind == "rule" for binding in answer.why)
    assert named == is_feasible(lifted, request, answer)


@given(worlds.books(ruled=True, waiting=True), worlds.requests(lines_max=1))
def test_a_glance_says_what_an_order_is_told_under_a_rule(book: Book, asked: Request) -> None:
    line = replace(asked.lines[0], requested_arrival=None, latest_acceptable_arrival=None, minimum_quantity=0)
    request = replace(asked, ship_complete=False, lines=(line,))
    seen = glance(book, request)
    if seen.earliest_arrival is None:
        return
    for day, whole in ((seen.earliest_arrival, True), (seen.earliest_arrival - 1, False)):
        by_day = replace(request, lines=(replace(line, latest_acceptable_arrival=day),))
        answer = inquire(book, by_day).lines[0]
        assert (sum(part.quantity for part in answer.planned) == line.quantity) == whole


def test_a_position_is_ruled_by_its_items_own_rule() -> None:
    position = Position(PositionKey("I1", "L1"), 1, on_hand=5)
    assert figures(position, Item("I1"), worlds.TODAY).at(worlds.TODAY) == 5
