"""Breaches of a tier's targets: found from the figures of a month, each with its cause, told as events.

    (none) ──below──▶ opened ──at or above──▶ recovered ──below──▶ opened
       │                 └──── the month is closed below ──▶ closed ◀───┘
       └──────────────── the month is closed below ──────────▶ closed ──a correction lifts it──▶ recovered

While a month is open, a target is judged once `TOTAL_MIN` lines (units, orders) are due: one late line on the first of
the month is no trend. A month that is closed is judged whatever its total.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from services.atp.adapters.order_records import StoredOrder, due_receipts, load_orders
from services.atp.adapters.service_months import closed_month, figures_of, following
from services.atp.application.batch import EVENT_SOURCE
from services.atp.domain.breach_cause import Cause, DueReceipt, cause_of, main_cause, tally
from services.atp.domain.model import Day
from services.atp.domain.service_figures import Ratio, ratios
from services.atp.domain.service_measures import measured_lines
from services.chassis import outbox
from services.chassis.database import Connection
from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts import catalogue
from services.contracts.service import ServiceBreached

TOTAL_MIN: Final = 20
ORDERS_AT_ONCE: Final = 500
TARGETS: Final[Mapping[str, str]] = {
    "fill_rate": "fill_rate_target_bp",
    "on_time_in_full": "on_time_target_bp",
    "order_accuracy": "order_accuracy_target_bp",
}
_TIERS: Final = "SELECT tier, version, policy FROM tier ORDER BY tier"
_STATES: Final = "SELECT tier, measure, state FROM service_breach WHERE month = $1"
_NEXT: Final = "SELECT coalesce(max(sequence), 0) + 1 FROM service_breach WHERE tier = $1"
_KEEP: Final = """
INSERT INTO service_breach (tier, month, measure, sequence, state, document) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tier, month, measure) DO UPDATE SET sequence = excluded.sequence, state = excluded.state,
    document = excluded.document
"""
_MISSED: Final = """
SELECT promise_id FROM measured_order
WHERE tier = $1 AND missed_from <= $3 AND missed_to >= $2 AND promise_id > $4 ORDER BY promise_id LIMIT $5
"""
_BREACHES: Final = """
SELECT document FROM service_breach WHERE ($1::int IS NULL OR month = $1) AND ($2::text IS NULL OR tier = $2)
ORDER BY month DESC, tier, measure LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class _Window:
    """The due days of a month that have passed."""

    first: Day
    last: Day


async def judge(connection: Connection, month: Day, at: datetime) -> list[ServiceBreached]:
    """Compare a month with the targets of all tiers; what changed is stored and put into the outbox.

    The caller holds the lock of the measuring, so that sequences of a tier rise.
    """
    closed = await closed_month(connection, month)
    figures = await figures_of(connection, month, at.toordinal()) if closed is None else closed.current()
    states = {(row["tier"], row["measure"]): row["state"] for row in await connection.fetch(_STATES, month)}
    told = []
    for row in await connection.fetch(_TIERS):
        policy: dict[str, Any] = orjson.loads(row["policy"])
        found = ratios(figures.get(row["tier"], {}))
        for measure, field in TARGETS.items():
            target = policy.get(field)
            state = states.get((row["tier"], measure))
            if target is None:
                continue
            now = _state(found[measure], target, state, closed=closed is not None)
            if now is not None and now != state:
                subject = _Subject(row["tier"], row["version"], month, measure, target, found[measure])
                told.append(await _tell(connection, subject, now, at))
    return told


async def breaches(connection: Connection, month: Day | None, tier: str | None, limit: int) -> list[dict[str, Any]]:
    """Breaches as they stand, newest month first."""
    return [orjson.loads(row["document"]) for row in await connection.fetch(_BREACHES, month, tier, limit)]


def _state(ratio: Ratio, target: int, former: str | None, *, closed: bool) -> str | None:
    """The state after a look; None where there is nothing to say."""
    actual = ratio.basis_points
    if actual is None:
        return former
    if actual >= target:
        return "recovered" if former is not None else None
    if closed:
        return "closed"
    return "opened" if former is not None or ratio.total >= TOTAL_MIN else None


@dataclass(frozen=True, slots=True)
class _Subject:
    tier: str
    policy_version: int
    month: Day
    measure: str
    target: int
    ratio: Ratio


async def _tell(connection: Connection, subject: _Subject, state: str, at: datetime) -> ServiceBreached:
    missed: dict[Cause, int] = {}
    if state != "recovered":
        window = _Window(subject.month, min(following(subject.month) - 1, at.toordinal() - 1))
        missed = await _causes(connection, subject, window)
    sequence = await connection.fetchval(_NEXT, subject.tier)
    actual = subject.ratio.basis_points
    breach = ServiceBreached.model_validate(
        {
            "tier": subject.tier,
            "sequence": sequence,
            "month": f"{date.fromordinal(subject.month):%Y-%m}",
            "measure": subject.measure,
            "state": state,
            "target_bp": subject.target,
            "actual_bp": actual,
            "achieved": subject.ratio.achieved,
            "total": subject.ratio.total,
            "cause": main_cause(missed),
            "causes": [{"cause": cause, "missed": quantity} for cause, quantity in missed.items()],
            "policy_version": subject.policy_version,
            "determined_at": at,
        }
    )
    data = breach.model_dump_json().encode()
    await connection.execute(_KEEP, subject.tier, subject.month, subject.measure, sequence, state, data.decode())
    await outbox.enqueue(connection, [_event(breach, data, at)])
    return breach


async def _causes(connection: Connection, subject: _Subject, window: _Window) -> dict[Cause, int]:
    """How much of what was missed has which cause, over all orders of the tier that missed something."""
    if subject.measure == "order_accuracy":  # what came wrong was picked, packed or carried wrongly
        return {"execution": subject.ratio.total - subject.ratio.achieved}
    found: list[tuple[Cause, int]] = []
    after = UUID(int=0)
    while True:
        rows = await connection.fetch(_MISSED, subject.tier, window.first, window.last, after, ORDERS_AT_ONCE)
        if not rows:
            return tally(found)
        after = rows[-1]["promise_id"]
        for order in await load_orders(connection, [row["promise_id"] for row in rows]):
            found += await _of_order(connection, subject.measure, order, window)


async def _of_order(
    connection: Connection, measure: str, order: StoredOrder, window: _Window
) -> list[tuple[Cause, int]]:
    found: list[tuple[Cause, int]] = []
    for line in measured_lines(order.record):
        short = line.ordered - line.shipped_in_time if measure == "fill_rate" else int(not line.on_time_in_full)
        if short and window.first <= line.due_day <= window.last:
            receipts: list[DueReceipt] = await due_receipts(connection, line.item_id, order.answered_at)
            found.append((cause_of(order.record, line.line, receipts), short))
    return found


def _event(breach: ServiceBreached, data: bytes, at: datetime) -> Event:
    identifier = str(new_id())
    return Event(
        id=identifier,
        type=catalogue.SERVICE_BREACHED.name,
        source=EVENT_SOURCE,
        topic=catalogue.SERVICE_BREACHED.topic.name,
        key=breach.tier,
        sequence=breach.sequence,
        time=at.astimezone(UTC),
        data=data,
        correlation_id=identifier,
        causation_id=identifier,
        dataschema=catalogue.SERVICE_BREACHED.dataschema,
    )
