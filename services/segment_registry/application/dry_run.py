"""What a change request would touch: customers here, open promises and protections by the ATP's preview."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.segment_registry.application.change_content import document_of_record, document_of_rules, document_of_tier
from services.segment_registry.application.changes import (
    Change,
    EndChange,
    ImportChange,
    MergeChange,
    MoveChange,
    PlanWithdrawal,
    RecordChange,
    RulesChange,
    TierChange,
)
from services.segment_registry.application.handle_requests import RequestUnknown
from services.segment_registry.application.import_customers import SLICE_ROWS
from services.segment_registry.application.ports import (
    AtpUnavailable,
    Previews,
    RegistryReader,
    Transactions,
)
from services.segment_registry.domain import merging, moves
from services.segment_registry.domain.change_rules import ChangeRules, month_of
from services.segment_registry.domain.differences import Difference, differences
from services.segment_registry.domain.imports import Bulk, import_rows
from services.segment_registry.domain.merging import MergeRefused
from services.segment_registry.domain.moves import Move, Moved, MoveRequest
from services.segment_registry.domain.planned_tiers import predecessor
from services.segment_registry.domain.second_person import Need, needs_of_merge, needs_of_move
from services.segment_registry.domain.tiers import Tier, default_tier
from services.segment_registry.domain.timeline import Grounds, Kind

PREVIEWED_MAX: Final = 500  # customers that the ATP previews together
_BULK: Final = {True: (Need.BULK,), False: ()}

Wanted = list[tuple[str, MoveRequest]]


@dataclass(frozen=True, slots=True)
class Touched:
    """A customer that would move."""

    customer_id: str
    from_tier: str
    to_tier: str
    effective_from: datetime | None
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """How many customers a change touches, those that move (the first of them), and what the ATP says of it.

    Of a document `differences` are from what it would replace.
    """

    customers: int
    moves: tuple[Touched, ...]
    preview: dict[str, Any] | None = None
    preview_missing: str | None = None
    differences: tuple[Difference, ...] = ()


async def dry_run(
    transactions: Transactions, request_id: str, read: Callable[[str], Change], previews: Previews | None
) -> Effects | RequestUnknown:
    """Nothing is written, here or there."""

    async def look(reader: RegistryReader) -> Effects | RequestUnknown:
        request = await reader.change_request(request_id)
        return RequestUnknown() if request is None else await _effects(reader, read(request.content))

    effects = await transactions.read(look)
    if isinstance(effects, RequestUnknown) or not effects.moves:
        return effects
    if previews is None:
        return Effects(effects.customers, effects.moves, None, "no address of the ATP is configured")
    try:
        preview = await previews.of_tiers([(each.customer_id, each.to_tier) for each in effects.moves])
    except AtpUnavailable as error:
        return Effects(effects.customers, effects.moves, None, str(error))
    return Effects(effects.customers, effects.moves, preview)


async def _effects(reader: RegistryReader, change: Change) -> Effects:
    match change:
        case MoveChange(wanted):
            return await _of_moves(reader, list(wanted))
        case ImportChange():
            return await _of_import(reader, change)
        case EndChange():
            return await _of_end(reader, change)
        case MergeChange():
            return await _of_merge(reader, change)
        case TierChange() | PlanWithdrawal() | RecordChange() | RulesChange():
            return await _of_document(reader, change)


async def _of_document(
    reader: RegistryReader, change: TierChange | PlanWithdrawal | RecordChange | RulesChange
) -> Effects:
    if isinstance(change, TierChange):
        return await _of_tier(reader, change)
    if isinstance(change, PlanWithdrawal):
        return await _of_withdrawal(reader, change)
    if isinstance(change, RecordChange):
        return await _of_record(reader, change)
    before = document_of_rules(await reader.change_rules())
    return Effects(0, (), differences=differences(before, document_of_rules(change.rules)))


async def _of_record(reader: RegistryReader, change: RecordChange) -> Effects:
    customer = (await reader.customers([change.customer_id])).get(change.customer_id)
    if customer is None:
        return Effects(0, ())
    said = differences(document_of_record(customer.record), document_of_record(change.record))
    return Effects(1, (), differences=said)


async def _of_withdrawal(reader: RegistryReader, change: PlanWithdrawal) -> Effects:
    """From what is planned to what is in effect then without it."""
    plans = await reader.tier_plans(change.tier)
    withdrawn = next((each for each in plans if each.effective_from == change.effective_from), None)
    if withdrawn is None:
        return Effects(0, ())
    customers = await reader.customers_in_tier(change.tier, await reader.now())
    instead = predecessor(plans, (await reader.tiers()).get(change.tier), change.effective_from)
    after = {} if instead is None else document_of_tier(instead)
    return Effects(customers, (), differences=differences(document_of_tier(withdrawn.definition), after))


async def _of_tier(reader: RegistryReader, change: TierChange) -> Effects:
    definition = change.definition
    customers = await reader.customers_in_tier(definition.tier, await reader.now())
    plans = await reader.tier_plans(definition.tier)
    before = predecessor(plans, (await reader.tiers()).get(definition.tier), change.effective_from)
    said = {} if before is None else document_of_tier(before)
    return Effects(customers, (), differences=differences(said, document_of_tier(definition)))


async def _of_import(reader: RegistryReader, change: ImportChange) -> Effects:
    """The bulk as it would be decided now. Those that it makes known are counted; they move from nowhere."""
    now = await reader.now()
    tiers, rules = await reader.tiers(), await reader.change_rules()
    owners = await reader.owners([each for row in change.rows for each in row.identifiers])
    known = await reader.customers(list(dict.fromkeys(owners.values())))
    ids = (f"new {number}" for number in range(len(change.rows)))
    bulk = Bulk(dict(owners), dict(known), tiers, ids, "", now)
    touched: dict[str, None] = {}
    moved: dict[str, Move] = {}
    for start in range(0, len(change.rows), SLICE_ROWS):
        decision = import_rows(change.rows[start : start + SLICE_ROWS], bulk)
        touched |= dict.fromkeys(each.customer_id for each in decision.after)
        for move in decision.moves:
            former = moved.get(move.customer_id)
            moved[move.customer_id] = move if former is None else replace(move, from_tier=former.from_tier)
        await asyncio.sleep(0)  # let others of this process have their turn
    large = rules.bulk_rows_max is not None and len(change.rows) > rules.bulk_rows_max
    moves = [
        _touched(move, tiers, needs_of_move(rules, known[each], bulk.customers[each], tiers, now) + _BULK[large])
        for each, move in moved.items()
        if each in known
    ]
    return Effects(len(touched), tuple(moves[:PREVIEWED_MAX]))


async def _of_moves(reader: RegistryReader, wanted: Wanted) -> Effects:
    now = await reader.now()
    tiers, rules = await reader.tiers(), await reader.change_rules()
    customers = await reader.customers(list(dict.fromkeys(each for each, _ in wanted)), ended_too=True)
    used = await reader.overrides_used(month_of(now))
    touched: dict[str, Touched] = {}
    for customer_id, request in wanted:
        customer = customers.get(customer_id)
        outcome = None if customer is None else moves.move(customer, tiers, request, now)
        if customer is not None and isinstance(outcome, Moved):
            needs = needs_of_move(rules, customer, outcome.customer, tiers, now)
            needs += _past_budget(rules, request, used)
            touched[customer_id] = _touched(outcome.move, tiers, needs)
    return Effects(len(touched), tuple(touched.values())[:PREVIEWED_MAX])


def _past_budget(rules: ChangeRules, request: MoveRequest, used: dict[str, int]) -> tuple[Need, ...]:
    """Why an override of this month needs a second person by its budget; it is counted."""
    if request.kind is not Kind.OVERRIDE:
        return ()
    count = used[request.tier] = used.get(request.tier, 0) + 1
    budget = rules.override_budgets.get(request.tier)
    return () if budget is None or count <= budget else (Need.OVERRIDE_BUDGET,)


async def _of_end(reader: RegistryReader, change: EndChange) -> Effects:
    now = await reader.now()
    tiers, rules = await reader.tiers(), await reader.change_rules()
    customer = (await reader.customers([change.customer_id], ended_too=True)).get(change.customer_id)
    if customer is None:
        return Effects(0, ())
    outcome = moves.end(customer, tiers, change.sequence, Grounds(change.reason, ""), now)
    if not isinstance(outcome, Moved):
        return Effects(0, ())
    needs = needs_of_move(rules, customer, outcome.customer, tiers, now)
    return Effects(1, (_touched(outcome.move, tiers, needs),))


async def _of_merge(reader: RegistryReader, change: MergeChange) -> Effects:
    """A merge or a split touches one customer; it moves if another tier serves it by that."""
    now = await reader.now()
    tiers, rules = await reader.tiers(), await reader.change_rules()
    other = change.into or await reader.root_of(change.customer_id)
    if other is None:
        return Effects(0, ())
    customers = await reader.customers([change.customer_id, other], ended_too=True)
    if change.customer_id not in customers or other not in customers:
        return Effects(0, ())
    duplicate, grounds = customers[change.customer_id], Grounds(change.reason, "")
    if change.into is None:
        served = customers[other], duplicate
        done = merging.split(duplicate, customers[other], tiers, grounds, now)
    else:
        below = await reader.merged_below(change.customer_id)
        height = max((depth for _, depth in below), default=0)
        served = duplicate, customers[other]
        done = merging.merge(duplicate, customers[other], height, tiers, grounds, now)
    if isinstance(done, MergeRefused):
        return Effects(0, ())
    if done.move is None:
        return Effects(1, ())
    return Effects(1, (_touched(done.move, tiers, needs_of_merge(rules, duplicate, served, tiers, now)),))


def _touched(move: Move, tiers: Mapping[str, Tier], needs: tuple[Need, ...]) -> Touched:
    from_tier = move.from_tier or default_tier(tiers).tier
    return Touched(move.customer_id, from_tier, move.to_tier, move.effective_from, needs)
