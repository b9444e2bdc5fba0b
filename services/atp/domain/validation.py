"""Validation: whether an order may be decided at all, before any stock is taken.

    a check fails ──┬─ for the order, and refuses ─▶ every line `not_permitted`
                    ├─ and holds, nobody released ─▶ every line `held_for_release`, but for those that are refused
                    └─ for a line, and refuses     ─▶ that line `not_permitted`, the others are decided

A check refuses unless its tier's rules list it in `held`; a block of the customer says itself what it does. A release
waives what holds, not what refuses. A line without a price fails every limit of value. Backorders were validated when
their order came, and are not validated again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.atp.domain.model import Binding, Book, Request, RequestLine
from services.atp.domain.validation_rules import MICRO, Block, Check, Effect, ValidationRules

NOT_PERMITTED = "not_permitted"
HELD = "held_for_release"


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that failed, for one line or (None) for the order, with what it allowed and what would help."""

    line: str | None
    effect: Effect
    binding: Binding


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the lines: an outcome with its reasons for those that are not decided, by line id."""

    stopped: Mapping[str, tuple[str, tuple[Binding, ...]]]


PASSED = Verdict({})


def needs_validation(request: Request) -> bool:
    """Whether there is anything to check."""
    return request.tier.validation is not None or bool(request.blocks)


def verdict(book: Book, request: Request) -> Verdict:
    """Which lines are refused or held, and why."""
    found = list(violations(book, request))
    if not found:
        return PASSED
    refusing = [each for each in found if each.effect == "refuse"]
    if any(each.line is None for each in refusing):
        return Verdict({line.line: (NOT_PERMITTED, _reasons(refusing, line.line)) for line in request.lines})
    refused = {each.line: None for each in refusing}
    if len(refusing) == len(found) or request.released or len(refused) == len(request.lines):
        return Verdict({line: (NOT_PERMITTED, _reasons(refusing, line)) for line in refused if line is not None})
    return Verdict(
        {
            line.line: (NOT_PERMITTED, _reasons(refusing, line.line))
            if line.line in refused
            else (HELD, _reasons(found, line.line))
            for line in request.lines
        }
    )


def violations(book: Book, request: Request) -> Iterator[Violation]:
    """Every check that fails, those of the order first."""
    for block in request.blocks:
        yield Violation(None, block.effect, _blocked(block))
    rules = request.tier.validation
    if rules is None:
        return
    for line, check, binding in (*_of_order(rules, request), *_of_lines(rules, book, request)):
        yield Violation(line, "hold" if check in rules.held else "refuse", binding)


def value_of(line: RequestLine) -> int | None:
    """The value of a line in millionths of the major unit; None without a price."""
    return None if line.unit_price_micro is None else line.quantity * line.unit_price_micro


def amount_text(micro: int) -> str:
    """An amount in the major unit, in plain digits without needless zeros."""
    whole, part = divmod(micro, MICRO)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")


def _reasons(found: Sequence[Violation], line: str) -> tuple[Binding, ...]:
    return tuple(each.binding for each in found if each.line in (None, line))


def _blocked(block: Block) -> Binding:
    reference: Check = "credit_block" if block.kind == "credit" else "compliance_block"
    freed = "lifted" if block.effect == "refuse" else "lifted, or the order released"
    return Binding("validation", reference, would_help=f"the {block.kind} block of the customer {freed}")


Found = tuple[str | None, Check, Binding]


def _of_order(rules: ValidationRules, request: Request) -> Iterator[Found]:
    if rules.permitted_channels and request.channel not in rules.permitted_channels:
        yield None, "permitted_channels", _not_listed("permitted_channels", "channel", request.channel, request)
    if rules.permitted_zones and request.zone not in rules.permitted_zones:
        yield None, "permitted_zones", _not_listed("permitted_zones", "zone", request.zone, request)
    ordered = sum(line.quantity for line in request.lines)
    if rules.order_quantity_max is not None and ordered > rules.order_quantity_max:
        over = ordered - rules.order_quantity_max
        help_ = f"the order smaller by {over} in quantity"
        yield None, "order_quantity_max", _limit("order_quantity_max", rules.order_quantity_max, over, help_, request)
    yield from _value_of_order(rules, request)


def _value_of_order(rules: ValidationRules, request: Request) -> Iterator[Found]:
    least, most = rules.order_value_min_micro, rules.order_value_max_micro
    if least is None and most is None:
        return
    values = [value_of(line) for line in request.lines]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        check: Check = "order_value_max" if most is not None else "order_value_min"
        yield None, check, _unpriced(check, request)
        return
    total = sum(known)
    if most is not None and total > most:
        help_ = f"an order value lower by {amount_text(total - most)}, which is at most {amount_text(most)}"
        yield None, "order_value_max", _limit("order_value_max", None, None, help_, request)
    if least is not None and total < least:
        help_ = f"an order value higher by {amount_text(least - total)}, which is at least {amount_text(least)}"
        yield None, "order_value_min", _limit("order_value_min", None, None, help_, request)


def _of_lines(rules: ValidationRules, book: Book, request: Request) -> Iterator[Found]:
    for line in request.lines:
        if not permits_item(rules, book, line.item_id):
            yield line.line, "permitted_items", _not_listed("permitted_items", "item", line.item_id, request)
        most = rules.line_quantity_max
        if most is not None and line.quantity > most:
            over = line.quantity - most
            help_ = f"the line smaller by {over} in quantity"
            yield line.line, "line_quantity_max", _limit("line_quantity_max", most, over, help_, request)
        yield from _value_of_line(rules, line, request)


def _value_of_line(rules: ValidationRules, line: RequestLine, request: Request) -> Iterator[Found]:
    most, value = rules.line_value_max_micro, value_of(line)
    if most is None or (value is not None and value <= most):
        return
    if value is None:
        yield line.line, "line_value_max", _unpriced("line_value_max", request)
        return
    help_ = f"a line value lower by {amount_text(value - most)}, which is at most {amount_text(most)}"
    yield line.line, "line_value_max", _limit("line_value_max", None, None, help_, request)


def permits_item(rules: ValidationRules, book: Book, item_id: str) -> bool:
    """Whether the rules let a tier have an item."""
    if not (rules.permitted_items or rules.permitted_item_groups) or item_id in rules.permitted_items:
        return True
    item = book.items.get(item_id)
    return item is not None and any(group in rules.permitted_item_groups for group in item.groups)


def _limit(check: Check, allowed: int | None, over: int | None, help_: str, request: Request) -> Binding:
    return Binding("validation", check, allowed, tier=request.tier.tier, would_help=help_, needed=over)


def _not_listed(check: Check, name: str, value: str, request: Request) -> Binding:
    help_ = f"{name} {value} permitted for tier {request.tier.tier}"
    return Binding("validation", check, tier=request.tier.tier, would_help=help_)


def _unpriced(check: Check, request: Request) -> Binding:
    return Binding("validation", check, tier=request.tier.tier, would_help="a unit price on every line")
