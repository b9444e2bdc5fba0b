"""What a replay tells while it runs and at its end."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tiercel.demo.invariants import FAULTS_SHOWN_MAX, Invariants

PLAIN_EVERY_SECONDS = 10.0  # without a terminal, a line so often
REASONS_SHOWN_MAX = 5


@dataclass(slots=True)
class Teller:
    """A progress bar on a terminal, a line now and then elsewhere."""

    total: int
    backlog: Any  # called for the open backorder lines
    started: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _progress: Progress | None = None
    _task: Any = None

    def __post_init__(self) -> None:
        """A bar only where somebody can see it move."""
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._task = self._progress.add_task("orders", total=self.total)
            self._progress.start()

    def day(self, done: int, _lines: int, day: date) -> None:
        """A day is done; `done` orders so far."""
        rate = done / max(0.001, time.monotonic() - self.started)
        words = f"{day:%Y-%m-%d}  {rate:,.0f} promises/s  {self.backlog():,} lines backordered"
        if self._progress is not None:
            self._progress.update(self._task, completed=done, description=words)
        elif time.monotonic() - self._said > PLAIN_EVERY_SECONDS:
            self._said = time.monotonic()
            print(f"{done:,} of {self.total:,} orders  {words}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """No more days."""
        if self._progress is not None:
            self._progress.stop()


def show(
    summary: Mapping[str, Any], changes: Sequence[Mapping[str, Any]], found: Invariants, notes: Sequence[str]
) -> None:
    """The table by tier, the tier changes with their reasons, and the invariants."""
    console = Console(width=120)
    table = Table(title=f"{summary['source']}: {summary['orders']:,} orders, {summary['lines']:,} lines")
    names = ("tier", "orders", "lines", "units", "on time", "fill rate", "mean days late", "cost to serve")
    for name in names:
        table.add_column(name, justify="left" if name == "tier" else "right")
    for row in summary["by_tier"]:
        table.add_row(
            row["tier"],
            f"{row['orders']:,}",
            f"{row['lines']:,}",
            f"{row['units']:,}",
            f"{row['on_time_rate']:.1%}",
            f"{row['fill_rate']:.1%}",
            f"{row['mean_days_late']:.2f}",
            f"{row['cost_to_serve']:,.2f}",
        )
    console.print(table)
    console.print(
        f"{summary['promised_lines']:,} lines promised whole at first, {summary['backordered_lines']:,} backordered;"
        f" {summary['promises_per_second']:,.0f} promises/s over {summary['seconds']:.1f} s,"
        f" {summary['peak_rss_mib']:,.0f} MiB at most"
    )
    _show_changes(console, changes)
    for note in notes:
        console.print(note)
    if not found.faults:
        console.print(
            f"Invariants hold: nothing oversold ({found.audited_decisions:,} decisions audited), every order answered"
            " once, every event applied once, aggregates equal the ledger."
        )
    for fault in found.faults[:FAULTS_SHOWN_MAX]:
        console.print(f"[bold red]broken:[/] {fault}")
    if len(found.faults) > FAULTS_SHOWN_MAX:
        console.print(f"[bold red]and {len(found.faults) - FAULTS_SHOWN_MAX} more[/]")


def _show_changes(console: Console, changes: Sequence[Mapping[str, Any]]) -> None:
    moves = Counter((str(change["from_tier"]), str(change["to_tier"])) for change in changes)
    console.print(
        f"{len(changes)} tier changes by rule: "
        + (", ".join(f"{before} to {after} {number}" for (before, after), number in sorted(moves.items())) or "none")
    )
    for change in changes[:REASONS_SHOWN_MAX]:
        console.print(
            f"  {str(change['effective_from'])[:10]}  {change['from_tier']} -> {change['to_tier']}  {change['reason']}",
            highlight=False,
        )
