"""What must hold at the end of a replay, checked by code other than the engine's.

- nothing oversold: the audit of the decision records, with arithmetic of its own;
- every order answered exactly once: counted from `promises.v1`;
- every event applied exactly once: what was sent against what the ledger names, and the warehouse's physical stock
  against on hand, position by position;
- aggregates equal the ledger.
"""

from dataclasses import dataclass, field

from services.atp.adapters.effects import Effects, count_effects
from services.atp.adapters.ledger import CHECK_SECONDS_MAX, LedgerReport, verify
from services.atp.adapters.oversell_audit import OversellReport, audit
from services.chassis.database import Database
from tiercel.demo.channels import Answers
from tiercel.demo.driver import Sent
from tiercel.demo.history import History
from tiercel.demo.warehouse import Warehouse

FAULTS_SHOWN_MAX = 10


@dataclass(slots=True)
class Invariants:
    """What was found; empty `faults` means that everything holds."""

    answered_once: int
    unanswered: int
    oversold_positions: int
    duplicate_effects: int
    lost_events: int
    audited_decisions: int
    faults: list[str] = field(default_factory=list)


async def check(database_url: str, history: History, sent: Sent, answers: Answers, warehouse: Warehouse) -> Invariants:
    """Check everything; `database_url` is the ATP's."""
    database = await Database.open(
        database_url, schema="atp", name="demo: audit", max_size=2, statement_seconds=CHECK_SECONDS_MAX
    )
    try:
        oversold = await audit(database)
        ledger = await verify(database)
        effects = await count_effects(database)
    finally:
        await database.close()
    return _judge(_Sent(history, sent, answers, warehouse), oversold, ledger, effects)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What went in and what came back."""

    history: History
    sent: Sent
    answers: Answers
    warehouse: Warehouse


def _judge(given: _Sent, oversold: OversellReport, ledger: LedgerReport, effects: Effects) -> Invariants:
    history, sent, answers, warehouse = given.history, given.sent, given.answers, given.warehouse
    once = sum(len(answers.first_answers.get(order.order_id, ())) == 1 for order in history.orders)
    unanswered = sum(order.order_id not in answers.first_answers for order in history.orders)
    sent_and_applied = (
        ("orders", len(history.orders), effects.orders),
        ("movements", warehouse.movements_sent + warehouse.shipments_sent + warehouse.returns_sent, effects.movements),
        ("scheduled receipts", sent.receipts, effects.receipts),
        ("counts", sent.snapshots, effects.snapshots),
        ("deliveries", warehouse.deliveries_sent, effects.deliveries),
        ("returns", warehouse.returns_sent, effects.returns),
    )
    faults = [
        f"{what}: {asked} sent, {applied} applied" for what, asked, applied in sent_and_applied if asked != applied
    ]
    stock = [
        f"{sku}@{location}: {quantity} in the warehouse, {effects.on_hand.get((sku, location), 0)} on hand"
        for (sku, location), quantity in sorted(warehouse.stock.items())
        if quantity != effects.on_hand.get((sku, location), 0)
    ]
    faults += stock
    faults += [f"oversold {'@'.join(place)}: {finding}" for place, finding in oversold.oversold.items()]
    faults += [f"decision records of {'@'.join(place)}: {finding}" for place, finding in oversold.broken_chains.items()]
    faults += [f"ledger: {drift}" for drift in ledger.drifts]
    if once != len(history.orders):
        faults.append(f"{len(history.orders) - once} orders were not answered exactly once")
    lost_promises = [
        order_id
        for order_id, promise_id in sorted(sent.acknowledged.items())
        if promise_id not in effects.promise_ids or promise_id != _answered_as(answers, order_id)
    ]
    faults += [f"order {order_id}: the acknowledged promise is gone" for order_id in lost_promises]
    if effects.repeated:
        faults.append(f"{effects.repeated} effects happened more than once")
    lost = sum(max(0, asked - applied) for _, asked, applied in sent_and_applied)
    return Invariants(
        answered_once=once,
        unanswered=unanswered,
        oversold_positions=len(oversold.oversold),
        duplicate_effects=effects.repeated,
        lost_events=lost,
        audited_decisions=oversold.decisions,
        faults=faults,
    )


def _answered_as(answers: Answers, order_id: str) -> str | None:
    """The id of the promise that the event log told first."""
    first = answers.first.get(order_id)
    return None if first is None else first.promise_id
