"""Customers as files: an import that is killed in the middle and goes on, and two exports that are compared with it.

On the native stack, one process of the segment registry, which also publishes. A drawn file (`--rows`, 100,000 by
default) is imported by `tiercel customers import`; after half of its rows the command is killed (SIGKILL) and called
again. Then everything is exported as CSV and as Parquet. What is in the database, in the file of rows set aside and in
both exports has to be what the file says: nothing lost, nothing twice, each bad row once with its reason. What differs
is counted, and ends the bench with status 1.

Baseline: COPY of the same rows into empty tables of the same shape, keys and constraints included, without anything
else: no identity to find, no decision, no audit, no event. The ratio is of rows a second.
"""

import argparse
import asyncio
import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg

from bench.customers_file import Expected, Pairs, write_csv
from bench.figures import Figure, write
from bench.memory import peak_mib
from bench.processor import per_piece, used
from tiercel.demo.channels import Endpoints, ServiceClients
from tiercel.stack.__main__ import main as stack
from tiercel.stack.deployment import Deployment, Wanted, deployed

ROWS: Final = 100_000
SCHEMA: Final = "segment_registry"
COPIED: Final = ("customer", "identifier", "assignment")
POLL_SECONDS: Final = 0.05
SECONDS_MAX: Final = 3_600.0
SECONDS_SHOWN: Final = 10.0
SECONDS_WATCHED: Final = 20.0  # of the lane that publishes behind the import; all of a million takes minutes
BARE: Final = "COPY into empty tables of the same shape"
_FOREIGN: Final = """
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = $1::regclass AND contype = 'f'
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command took."""

    status: int
    seconds: float
    processor_seconds: float
    peak_mib: float


async def main() -> int:
    """Measure, compare and write `build/bench/customers.json`; 1 if anything differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    if await asyncio.to_thread(stack, ["up"]) != 0:
        raise SystemExit("the native stack did not come up")
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with deployed(folder, [Wanted("segment_registry")]) as deployment:
            await _tiers(deployment)
            bench = _Bench(folder, deployment, write_csv(folder / "customers.csv", rows))
            figures = await bench.imported()
            figures += [*await bench.exported("csv"), *await bench.exported("parquet")]
            figures += await bench.published()
    differences = dict(bench.differences)
    write("customers", figures, sections={"differences": differences}, rows=rows)
    print(f"  differences: {differences or 'none'}")
    return 1 if differences else 0


async def _tiers(deployment: Deployment) -> None:
    url = deployment.urls["segment_registry"]
    endpoints = Endpoints(atp=url, segment_registry=url, reclassifier=url, api_key=deployment.api_key)
    async with ServiceClients(endpoints) as clients:
        for rank, tier in enumerate(("gold", "silver", "bronze"), start=1):
            body = {"name": tier.title(), "priority_rank": rank, "is_default": tier == "bronze"}
            await clients.call("segment_registry", "PUT", f"/v1/tiers/{tier}", body)


class _Bench:
    """The cases on one deployment, and what differed from what was expected, by kind."""

    def __init__(self, folder: Path, deployment: Deployment, expected: Expected) -> None:
        self._folder = folder
        self._deployment = deployment
        self._expected = expected
        self._pieces = expected.rows
        self.differences: Counter[str] = Counter()

    async def imported(self) -> list[Figure]:
        """The import, broken off by force and gone on with; then the same rows by COPY."""
        before = await used(self._deployment)
        first = await self._command("import", "customers.csv", killed_at=self._pieces // 2)
        second = await self._command("import", "customers.csv")
        spent = per_piece(before, await used(self._deployment), self._pieces)
        seconds = first.seconds + second.seconds
        print(f"  import: {first.seconds:.0f} s until it was killed, {second.seconds:.0f} s to the end", flush=True)
        client = (first.processor_seconds + second.processor_seconds) * 1e6 / self._pieces
        self._check("status of the import", second.status != (1 if self._expected.bad else 0))
        self._compare_set_aside()
        await self._compare_database()
        bare = await self._copied()
        rate, bare_rate = self._pieces / seconds, len(self._expected.customers) / bare
        process = self._deployment.processes[0].process
        return [
            Figure(BARE, "throughput", "customers/s", bare_rate),
            Figure(
                "import, killed at half and gone on",
                "throughput",
                "rows/s",
                rate,
                baseline=BARE,
                ratio=rate / bare_rate,
                processor_us={**spent, "tiercel customers import": round(client, 1)},
            ),
            Figure("import: the command", "most memory", "MiB", max(first.peak_mib, second.peak_mib)),
            Figure("import: the service", "most memory", "MiB", peak_mib(process.pid)),
        ]

    async def exported(self, kind: str) -> list[Figure]:
        """Everything as one file, compared with what was imported."""
        before = await used(self._deployment)
        ended = await self._command("export", f"export.{kind}")
        spent = per_piece(before, await used(self._deployment), self._pieces)
        self._check(f"status of the export as {kind}", ended.status != 0)
        self._compare_export(kind)
        client = round(ended.processor_seconds * 1e6 / self._pieces, 1)
        rate = len(self._expected.customers) / ended.seconds
        processor_us = {**spent, "tiercel customers export": client}
        return [
            Figure(f"export as {kind}", "throughput", "customers/s", rate, processor_us=processor_us),
            Figure(f"export as {kind}: the command", "most memory", "MiB", ended.peak_mib),
        ]

    async def published(self) -> list[Figure]:
        """How fast the throttled lane goes on behind the import, looked at for a while, and how much is to come."""
        connection = await self._connected()
        try:
            left = await self._left(connection)
            before, started = await used(self._deployment), time.perf_counter()
            now, seconds = left, 0.0
            while now and seconds < SECONDS_WATCHED:
                await asyncio.sleep(SECONDS_WATCHED / 4)  # a look counts all that waits, which takes the server a while
                now, seconds = await self._left(connection), time.perf_counter() - started
        finally:
            await connection.close()
        spent = per_piece(before, await used(self._deployment), max(1, left - now))
        rate = (left - now) / seconds if seconds else 0.0
        return [
            Figure("not yet published after import and exports", "events", "events", left),
            Figure("published behind it", "throughput", "events/s", rate, processor_us=spent),
        ]

    async def _left(self, connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        question = "SELECT count(*) FROM outbox WHERE lane = 1 AND published_at IS NULL"
        count: int = await connection.fetchval(question)
        return count

    async def _command(self, name: str, file: str, killed_at: int | None = None) -> Ended:
        """Run `tiercel customers ...`; with `killed_at` only until the note of how far it is says so many rows."""
        address = ["--url", self._deployment.urls["segment_registry"], "--key", self._deployment.api_key]
        command = [sys.executable, "-m", "tiercel", "customers", name, str(self._folder / file), *address]
        if name == "import":
            command += ["--set-aside", str(self._folder / "set_aside.csv")]
        started = shown = time.perf_counter()
        process = _started(command, self._folder / "command.log")
        most_mib = 0.0
        while True:
            most_mib = max(most_mib, peak_mib(process))  # the system's count of an ended child includes its parent's
            pid, status, spent = await asyncio.to_thread(os.wait4, process, os.WNOHANG)
            seconds = time.perf_counter() - started
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return Ended(code, seconds, spent.ru_utime + spent.ru_stime, most_mib)
            done = self._noted()
            if killed_at is not None and done >= killed_at:
                os.kill(process, 9)
                killed_at = None
            if name == "import" and time.perf_counter() - shown > SECONDS_SHOWN:
                shown = time.perf_counter()
                print(f"  {done:,} of {self._pieces:,} rows, {seconds:.0f} s", flush=True)
            if seconds > SECONDS_MAX:
                os.kill(process, 9)
            await asyncio.sleep(POLL_SECONDS)

    def _noted(self) -> int:
        note = self._folder / "set_aside.csv.progress"
        return int(json.loads(note.read_text())["rows"]) if note.exists() else 0

    async def _copied(self) -> float:
        """Seconds for the rows of the registry's tables, into copies of these without rows."""
        connection = await self._connected()
        seconds = 0.0
        try:
            for table in COPIED:
                file = self._folder / f"{table}.copy"
                columns = await self._columns(connection, table)
                await connection.copy_from_table(table, columns=columns, output=file, timeout=SECONDS_MAX)
                await connection.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
                for foreign in await connection.fetch(_FOREIGN, table):
                    definition = foreign["definition"].replace("REFERENCES customer", "REFERENCES bare_customer")
                    await connection.execute(f"ALTER TABLE bare_{table} ADD {definition}")
                started = time.perf_counter()
                await connection.copy_to_table(f"bare_{table}", source=file, columns=columns, timeout=SECONDS_MAX)
                seconds += time.perf_counter() - started
            for table in reversed(COPIED):
                await connection.execute(f"DROP TABLE bare_{table}")
        finally:
            await connection.close()
        return seconds

    async def _columns(self, connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> list[str]:
        """Those that a writer gives."""
        rows = await connection.fetch(
            "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
            " AND NOT attisdropped AND attidentity = '' ORDER BY attnum",
            table,
        )
        return [row["name"] for row in rows]

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self._deployment.database_url, server_settings={"search_path": SCHEMA})

    # What has to be there.

    def _check(self, what: str, count: int) -> None:
        if count:
            self.differences[what] += count

    def _compare_set_aside(self) -> None:
        with (self._folder / "set_aside.csv").open(newline="", encoding="utf-8") as text:
            found = [(int(row["line"]), row["reason"]) for row in csv.DictReader(text)]
        lines = Counter(line for line, _ in found)
        self._check("bad rows not set aside", len(self._expected.bad.keys() - lines.keys()))
        self._check("good rows set aside", len(lines.keys() - self._expected.bad.keys()))
        self._check("rows set aside twice", sum(count > 1 for count in lines.values()))
        wrong = [line for line, reason in found if self._expected.bad.get(line, "") not in reason]
        self._check("set aside with another reason", len(wrong))

    async def _compare_database(self) -> None:
        connection = await self._connected()
        try:
            rows = await connection.fetch(
                "SELECT (SELECT count(*) FROM customer) AS customers, (SELECT count(*) FROM identifier) AS identifiers,"
                " (SELECT count(*) FROM assignment) AS assignments,"
                " (SELECT count(*) FROM outbox WHERE type LIKE '%segment.current%') AS current,"
                " (SELECT count(*) FROM customer WHERE sequence > 2) AS altered,"
                " (SELECT sum((detail->>'created')::int) FROM audit WHERE action = 'customers.imported') AS audited",
                timeout=SECONDS_MAX,
            )
        finally:
            await connection.close()
        wanted = len(self._expected.customers)
        identifiers = sum(len(pairs) for pairs in self._expected.customers)
        for name, count in rows[0].items():
            of = {"identifiers": identifiers, "altered": 0}.get(name, wanted)
            self._check(f"{name} in the database", abs((count or 0) - of))

    def _compare_export(self, kind: str) -> None:
        seen: set[Pairs] = set()
        read = _csv_rows if kind == "csv" else _parquet_rows
        for identifiers, tier in read(self._folder / f"export.{kind}"):
            pairs: Pairs = tuple(sorted((pair.partition("=")[0], pair.partition("=")[2]) for pair in identifiers))
            self._check(f"exported twice as {kind}", pairs in seen)
            self._check(f"another tier as {kind}", self._expected.customers.get(pairs) != tier)
            seen.add(pairs)
        self._check(f"not exported as {kind}", len(self._expected.customers.keys() - seen))


def _started(command: list[str], log: Path) -> int:
    with log.open("ab") as file:
        redirected = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=redirected)


def _csv_rows(path: Path) -> Iterator[tuple[Sequence[str], str]]:
    with path.open(newline="", encoding="utf-8") as text:
        for row in csv.DictReader(text):
            yield row["identifiers"].split(";"), row["tier"]


def _parquet_rows(path: Path) -> Iterator[tuple[Sequence[str], str]]:
    from pyarrow import parquet

    opened: Any = parquet.ParquetFile(path)
    for batch in opened.iter_batches(columns=["identifiers", "tier"]):
        for identifiers, tier in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield identifiers.split(";"), tier


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
