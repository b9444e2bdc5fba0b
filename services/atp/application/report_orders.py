"""What was told of an order besides its goods: discrepancies and activities, each once, by (source, reference).

A report changes no promise. It is measured with the order (`services.atp.domain.service_measures`).
"""

from collections.abc import Sequence
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Applied, Outcome
from services.atp.application.order_reports import ReportEntry, ReportName, ReportOrder
from services.atp.application.ports import Session

KEPT: Final = "order_reports"


class Reporting(Handler[ReportOrder]):
    """Decides `ReportOrder`."""

    def needs(self, command: ReportOrder, needs: Needs) -> None:
        """The order."""
        needs.orders[command.name.key] = None

    async def load(self, session: Session, batch: Batch, commands: Sequence[ReportOrder]) -> None:
        """Which reports were recorded before."""
        known = await session.reports.known([each.name for each in commands])
        batch.kept[f"{KEPT} known"] = dict.fromkeys(known)

    def decide(self, batch: Batch, command: ReportOrder) -> Outcome:
        """A report that was seen before changes nothing; one for an order or line that nobody knows is recorded."""
        known: dict[ReportName, None] = batch.kept[f"{KEPT} known"]
        if command.name in known:
            return Applied("repeated")
        known[command.name] = None
        order = batch.orders.get(command.name.key)
        promise = None if order is None else order.promise
        outcome = "applied"
        if promise is None:
            outcome = "unknown_order"
        elif command.line is not None and all(line.line != command.line for line in promise.content.lines):
            outcome = "unknown_line"
        if outcome != "applied":
            batch.count(f"report_{outcome}")
        entries: list[ReportEntry] = batch.kept.setdefault(KEPT, [])
        entries.append(ReportEntry(command, None if promise is None else promise.promise_id, outcome))
        return Applied("applied" if outcome == "applied" else "recorded")

    async def store(self, session: Session, batch: Batch) -> None:
        """The reports."""
        entries: list[ReportEntry] = batch.kept.pop(KEPT, [])
        if entries:
            await session.reports.store(entries)
