"""Commands that give evidence: trying rules, comparing with finance, checking a subscriber."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer

from tiercel.options import Data
from tiercel.running import reporting, run_to_end

SHOWN_MAX: Final = 20  # differences; the report has all


def backtest(
    rules: Annotated[
        list[Path] | None, typer.Argument(help="Rule sets, JSON; without any, the shipped one.", exists=True)
    ] = None,
    *,
    orders: Annotated[Path | None, typer.Option(help="An order history, CSV or Parquet.", exists=True)] = None,
    mapping: Annotated[str, typer.Option("--map", help="Where the columns are, as in demo.")] = "",
    recorded: Annotated[bool, typer.Option("--recorded", help="The orders that a deployment has recorded.")] = False,
    source: Data = None,
    supply: Annotated[int, typer.Option(min=1, max=500, help="Modelled supply, percent of demand.")] = 90,
    landed_cost: Annotated[int, typer.Option(min=0, max=100, help="Modelled landed cost, percent of revenue.")] = 60,
    output: Annotated[Path, typer.Option(help="Where report.html, backtest.json and moves.csv go.")] = Path(
        "build/backtest"
    ),
) -> None:
    """Try rule sets on recorded orders: who would move, when and why, and what would be promised at what cost.

    Without --orders and --recorded, on a made-up history. The same orders and rule sets give the same hash.
    """
    from tiercel.commands.backtest import backtest as run

    digest = reporting(
        lambda: run(
            rules or [], orders, mapping, source, recorded=recorded, supply=supply, landed=landed_cost, output=output
        )
    )
    print(f"{output / 'report.html'}  sha256 {digest}")


def _tolerance(written: str) -> Decimal:
    """An amount in plain digits, exact as it is written."""
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", str(written)):
        raise typer.BadParameter("an amount in plain digits, such as 0.01")
    return Decimal(written)


def reconcile(
    *,
    control: Annotated[Path, typer.Option(help="CSV of finance; its columns: docs/finance.md.", exists=True)],
    data: Data = None,
    orders_tolerance: Annotated[int, typer.Option(min=0, help="By how many orders a month may differ.")] = 0,
    units_tolerance: Annotated[int, typer.Option(min=0, help="By how many units.")] = 0,
    amount_tolerance: Annotated[
        Decimal, typer.Option(parser=_tolerance, metavar="AMOUNT", help="By how much of revenue and of cost.")
    ] = Decimal(0),
    report: Annotated[Path, typer.Option(help="Where all figures go.")] = Path("reconciliation.csv"),
    events: Annotated[Path, typer.Option(help="Where the events behind differences go.")] = Path("differences.csv"),
) -> None:
    """Compare what was recorded per customer and month with an extract of finance (orders, units, revenue, cost).

    Status 1 if anything differs by more than it may.
    """
    from tiercel.commands.finance import AMOUNTS
    from tiercel.commands.finance import reconcile as run

    tolerances = {"orders": Decimal(orders_tolerance), "units": Decimal(units_tolerance)}
    tolerances |= dict.fromkeys(AMOUNTS, amount_tolerance)
    found = run_to_end(run(control, data, report=report, events=events, tolerances=tolerances))
    print(
        f"{found.cells} customer months, {found.figures} figures compared, {found.differing} differ, "
        f"{len(found.differences)} by more than they may ({report}; the events behind them: {events})."
    )
    for each in found.differences[:SHOWN_MAX]:
        month, customer = each.cell
        print(f"{month} {customer} {each.figure}: control {each.control}, recorded {each.tiercel}")
    if found.differences:
        raise typer.Exit(1)


def check_subscriber(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The program and its arguments.")],
    *,
    question: Annotated[
        list[str] | None, typer.Option(help="What it answers: tiers, picks, loads; repeat it. Without it, all three.")
    ] = None,
    histories: Annotated[int, typer.Option(min=1, max=10_000, help="Histories that it is told.")] = 25,
    seed: Annotated[int, typer.Option(help="The same seed tells the same histories.")] = 1,
) -> None:
    """Tell a subscriber made-up histories with repetitions, rewinds, merges and tombstones, and compare its state.

    Status 1 if an answer is wrong. docs/guides/following-events.md says how a program is told and asked.
    """
    from tiercel.commands.check_subscriber import check_subscriber as run
    from tiercel.subscribers.check import QUESTIONS

    asked = [each for each in QUESTIONS if question is None or each in question]
    if question is not None and len(asked) < len(set(question)):
        raise typer.BadParameter("--question is tiers, picks or loads")
    if not reporting(lambda: run(command, asked, histories=histories, seed=seed)):
        raise typer.Exit(1)
