"""Validation against an oracle that asks each question by itself; and the change that is named is the smallest."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Binding, Book, Request, RequestLine
from services.atp.domain.promising import decide
from services.atp.domain.validation_rules import CHECKS, MICRO, Block, ValidationRules
from tests.support import promise_worlds as worlds

HELD_CHECKS = tuple(check for check in CHECKS if not check.endswith("_block"))


def _some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


def _limit(most: int) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.integers(1, most))


rules = st.builds(
    ValidationRules,
    line_quantity_max=_limit(12),
    order_quantity_max=_limit(20),
    line_value_max_micro=_limit(9 * MICRO),
    order_value_min_micro=_limit(9 * MICRO),
    order_value_max_micro=_limit(20 * MICRO),
    permitted_items=_some("I1", "I2"),
    permitted_item_groups=_some("a", "b"),
    permitted_channels=_some("web", "shop"),
    permitted_zones=_some("GB", "FR"),
    held=st.lists(st.sampled_from(HELD_CHECKS), unique=True).map(tuple),
)
blocks = st.lists(
    st.builds(Block, st.sampled_from(("credit", "compliance")), st.sampled_from(("refuse", "hold"))), max_size=2
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """An order of a tier that validates; most lines have prices."""
    asked = draw(worlds.requests(lines_max=3))
    lines = tuple(
        replace(line, unit_price_micro=draw(st.one_of(st.none(), *[st.integers(0, 2 * MICRO)] * 5)))
        for line in asked.lines
    )
    tier = replace(asked.tier, validation=draw(rules))
    return replace(asked, tier=tier, lines=lines, blocks=draw(blocks), released=draw(st.booleans()))


@st.composite
def books(draw: st.DrawFn) -> Book:
    """A book whose item is in some groups."""
    book = draw(worlds.books(protected=False, limited=False))
    return replace(book, items={"I1": replace(book.items["I1"], groups=draw(_some("a", "b", "c")))})


def _failing_of_line(book: Book, asked: ValidationRules, line: RequestLine) -> Iterator[str]:
    listed = [*asked.permitted_items, *asked.permitted_item_groups]
    if listed and line.item_id not in asked.permitted_items:
        groups = set(book.items[line.item_id].groups)
        if not groups & set(asked.permitted_item_groups):
            yield "permitted_items"
    if asked.line_quantity_max is not None and line.quantity > asked.line_quantity_max:
        yield "line_quantity_max"
    if asked.line_value_max_micro is not None:
        price = line.unit_price_micro
        if price is None or Decimal(price) * line.quantity > asked.line_value_max_micro:
            yield "line_value_max"


def _failing_of_order(asked: ValidationRules, request: Request) -> Iterator[str]:
    if asked.permitted_channels and request.channel not in asked.permitted_channels:
        yield "permitted_channels"
    if asked.permitted_zones and request.zone not in asked.permitted_zones:
        yield "permitted_zones"
    if asked.order_quantity_max is not None and sum(line.quantity for line in request.lines) > asked.order_quantity_max:
        yield "order_quantity_max"
    prices = [line.unit_price_micro for line in request.lines]
    least, most = asked.order_value_min_micro, asked.order_value_max_micro
    if None in prices:
        if most is not None:
            yield "order_value_max"
        elif least is not None:
            yield "order_value_min"
        return
    total = sum((price or 0) * line.quantity for price, line in zip(prices, request.lines, strict=True))
    if most is not None and total > most:
        yield "order_value_max"
    if least is not None and total < least:
        yield "order_value_min"


def _expected(book: Book, request: Request) -> dict[str, str | None]:
    """By line: the outcome that validation gives, None for a line that is decided."""
    asked = request.tier.validation or ValidationRules()
    of_order = list(_failing_of_order(asked, request))
    of_line = {line.line: list(_failing_of_line(book, asked, line)) for line in request.lines}
    stops = {block.effect for block in request.blocks} | {
        "hold" if check in asked.held else "refuse" for check in of_order
    }
    refused = {line: any(check not in asked.held for check in checks) for line, checks in of_line.items()}
    holds = "hold" in stops or any(check in asked.held for checks in of_line.values() for check in checks)
    if "refuse" in stops:
        return dict.fromkeys(of_line, "not_permitted")
    held = holds and not request.released and not all(refused.values())
    return {line: "not_permitted" if refused[line] else "held_for_release" if held else None for line in of_line}


@given(books(), requests())
def test_lines_are_refused_held_or_decided_as_each_check_says_by_itself(book: Book, request: Request) -> None:
    expected = _expected(book, request)
    before = dict(book.positions)
    decision = decide(book, request)
    for line in decision.lines:
        stopped = expected[line.line]
        if stopped is None:
            assert line.outcome not in {"not_permitted", "held_for_release"}
        else:
            assert line.outcome == stopped
            assert (line.planned, line.backordered) == ((), 0)
    assert any(line.why for line in decision.lines) or not any(expected.values())
    if all(expected.values()):
        assert book.positions == before


@given(books(), requests())
def test_validation_changes_nothing_for_an_order_that_passes(book: Book, request: Request) -> None:
    if any(_expected(book, request).values()):
        return
    plain = replace(request, tier=replace(request.tier, validation=None), blocks=())
    other = replace(book, positions=dict(book.positions))
    assert decide(other, plain) == decide(book, request)


def _relaxed(request: Request, binding: Binding, less: int) -> Request:
    """The request with the limit moved by the change that is named, less so many steps."""
    asked = request.tier.validation
    assert asked is not None
    if binding.needed is not None:
        name = binding.reference
        changed = replace(asked, **{name: getattr(asked, name) + binding.needed - less})
    else:
        amount = re.search(r"(lower|higher) by ([0-9.]+),", binding.would_help)
        assert amount is not None
        step = int(Decimal(amount[2]) * MICRO) - less
        name = f"{binding.reference}_micro"
        sign = 1 if amount[1] == "lower" else -1
        changed = replace(asked, **{name: getattr(asked, name) + sign * step})
    return replace(request, tier=replace(request.tier, validation=changed))


def _fails(book: Book, request: Request, line: str, reference: str) -> bool:
    decision = decide(replace(book, positions=dict(book.positions)), request)
    return any(why.reference == reference for each in decision.lines if each.line == line for why in each.why)


@given(books(), requests())
def test_a_limit_moved_by_what_is_named_lets_the_line_pass_and_one_step_less_does_not(
    book: Book, request: Request
) -> None:
    decision = decide(replace(book, positions=dict(book.positions)), request)
    for line in decision.lines:
        for binding in line.why:
            if binding.kind != "validation" or ("by" not in binding.would_help.split() and binding.needed is None):
                continue
            assert not _fails(book, _relaxed(request, binding, 0), line.line, binding.reference)
            assert _fails(book, _relaxed(request, binding, 1), line.line, binding.reference)
