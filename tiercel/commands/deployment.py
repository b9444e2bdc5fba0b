"""`tiercel migrate`, `topics` and `doctor`: the steps of a deployment, and the look at one."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from services.chassis.settings import ChassisSettings, Form, load
from tiercel import doctor, topics
from tiercel.cli import DATA
from tiercel.doctor import Check, Finding, Verdict, with_database
from tiercel.parts import migrate_all, migration_states
from tiercel.reaching import Reached, reach

COLOURS: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red"}


async def migrate(data: Path | None) -> None:
    """Bring the schema of every service to its newest version."""
    async with reach(data) as reached:
        await migrate_all(reached.database_url)


async def create_topics(data: Path | None) -> int:
    """Create the topics that are missing; how many there are now."""
    specs = topics.specs()
    async with reach(data) as reached:
        await reached.event_log.ensure_topics(specs)
    return len(specs)


async def diagnose(data: Path | None) -> bool:
    """Ask everything, print the findings, and say whether the deployment can run."""
    async with reach(data) as reached:
        checks = _checks(reached, data or DATA)
        if data is None:
            checks |= _checks_of_distributed(load(ChassisSettings))
        findings = await doctor.examine(checks)
    Console().print(_table(findings))
    return all(finding.verdict is not Verdict.FAILED for finding in findings.values())


def _checks(reached: Reached, data: Path) -> dict[str, Check]:
    url = reached.database_url
    return {
        "python": doctor.python,
        "disk": doctor.disk(data),
        "database": with_database(url, doctor.server),
        "commit": with_database(url, doctor.commits),
        "clocks": with_database(url, doctor.clocks),
        "replay": with_database(url, doctor.replay),
        "migrations": with_database(url, doctor.migrated(migration_states)),
        "event log": doctor.log(reached.event_log, [spec.name for spec in topics.specs()]),
    }


def _checks_of_distributed(settings: ChassisSettings) -> dict[str, Check]:
    if settings.form is not Form.DISTRIBUTED:
        return {}
    checks = {"credentials": doctor.credentials(settings.api_keys_file, settings.auth_jwks)}
    if settings.redis_url is not None:
        checks["redis"] = doctor.cache(settings.redis_url)
    return checks


def _table(findings: dict[str, Finding]) -> Table:
    table = Table("check", "", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
    for check, finding in findings.items():
        table.add_row(
            check, f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]", escape(finding.said), escape(finding.mend)
        )
    return table
