"""`tiercel ledger`: the ledger of commitments against the aggregates that decisions read."""

from pathlib import Path

from services.atp.adapters import ledger, oversell_audit
from services.atp.bootstrap import SCHEMA
from services.chassis.database import Database
from tiercel.reaching import reach


async def verify(data: Path | None, *, decisions: bool) -> bool:
    """Print what differs, and with `decisions` what was oversold; whether all is well. Takes no lock."""
    async with reach(data) as reached:
        database = await _open(reached.database_url)
        try:
            report = await ledger.verify(database)
            print(f"{report.positions} positions, {report.commitments} commitments, {report.drifted} differences")
            print(*report.drifts, sep="\n", end="\n" if report.drifts else "")
            return (not decisions or await _print_oversold(database)) and report.drifted == 0
        finally:
            await database.close()


async def rebuild(data: Path | None) -> int:
    """Set every aggregate to what the ledger says; decisions wait meanwhile. How many were changed."""
    async with reach(data) as reached:
        database = await _open(reached.database_url)
        try:
            return await ledger.rebuild(database)
        finally:
            await database.close()


async def _open(url: str) -> Database:
    return await Database.open(url, schema=SCHEMA, name="tiercel ledger", statement_seconds=ledger.CHECK_SECONDS_MAX)


async def _print_oversold(database: Database) -> bool:
    report = await oversell_audit.audit(database)
    found = [*report.oversold.items(), *report.broken_chains.items()]
    print(f"{report.decisions} decisions repeated, {len(report.oversold)} positions oversold")
    print(f"{report.taken_over} orders taken over, {len(report.cut_over_deficits)} positions beyond supply by cut-over")
    for (item, location), finding in found:
        print(f"{item}@{location}: {finding}")
    return not found
