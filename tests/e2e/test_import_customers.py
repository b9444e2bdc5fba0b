"""`tiercel customers import`: large files, bad rows, and an import that is killed and goes on."""

import asyncio
import csv
import fcntl
import json
import sys
from asyncio.subprocess import DEVNULL
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyarrow import parquet

from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX
from tests.support.serve import PROJECT, Served, tiercel
from tests.support.waiting import until

TO_SEND = 3 * IMPORT_ROWS_MAX + 1


def _aside(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as report:
        return [(row["line"], row["reason"]) for row in csv.DictReader(report)]


def _to(served: Served, aside: Path) -> tuple[str, ...]:
    return ("--url", served.urls["segment_registry"], "--key", served.key, "--set-aside", str(aside))


def _tier(served: Served, system: str, id_: str) -> str:
    found = served.ask("segment_registry", "GET", f"/v1/customers:resolve?system={system}&id={id_}")
    assert found.status_code == 200, found.text
    return str(found.json()["tier"])


def _bulks(note: Path) -> int:
    return int(json.loads(note.read_text())["bulks"]) if note.exists() else 0


def _define_gold(served: Served) -> None:
    tier = {"name": "Gold", "priority_rank": 1}
    assert served.ask("segment_registry", "PUT", "/v1/tiers/gold", tier).status_code < 300


def test_good_rows_are_taken_and_bad_ones_set_aside_with_line_and_reason(served: Served, tmp_path: Path) -> None:
    _define_gold(served)
    file, aside = tmp_path / "customers.csv", tmp_path / "aside.csv"
    rows = [
        "shop=I-1;erp=J-1,gold,migrated",
        "shop=I-2,,",
        "I-3,gold,migrated",
        "shop=I-4,platinum,migrated",
        "shop=I-5,gold,",
        'shop=I-6,gold,"one, two"',
        "shop=I-7,gold,migrated,surplus",
    ]
    file.write_text("identifiers,tier,reason\n" + "\n".join(rows) + "\n")
    dry = tiercel("customers", "import", str(file), "--dry-run", *_to(served, aside))
    assert "7 rows: 0 created" in dry.stdout, dry.stdout + dry.stderr
    assert [line for line, _ in _aside(aside)] == ["4", "8"]
    done = tiercel("customers", "import", str(file), *_to(served, aside))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "7 rows: 4 created, 0 changed, 0 as they were, 3 set aside" in done.stdout
    found = dict(_aside(aside))
    assert found["4"] == "identifiers: written as shop=C-9;erp=D-1"
    assert found["8"] == "1 more cells than columns"
    assert found["5"].startswith("unknown_tier")
    assert (_tier(served, "erp", "J-1"), _tier(served, "shop", "I-6")) == ("gold", "gold")
    again = tiercel("customers", "import", str(file), *_to(served, aside))
    assert "7 rows: 0 created, 0 changed, 4 as they were, 3 set aside" in again.stdout


def test_golden_records_and_ids_with_semicolons_go_in_and_come_out(served: Served, tmp_path: Path) -> None:
    _define_gold(served)
    aside, out, again = tmp_path / "aside.csv", tmp_path / "out.csv", tmp_path / "again.csv"
    record = {"account_owner": "kim", "strategic": True, "contract": {"starts": "2026-01-01", "minimum_tier": "gold"}}
    struct = {
        "industry": "tea",
        "contract": {"starts": date(2026, 1, 1), "minimum_tier": "gold"},
        "account_owner": None,
    }
    text, table = tmp_path / "records.csv", tmp_path / "records.parquet"
    with text.open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(("identifiers", "tier", "record"))
        write(("shop=R-1\\;x=1;erp=R\\\\1", "gold", json.dumps(record)))
        for bad in ("{", '{"strategic": NaN}', '{"strategic": "perhaps"}', '{"email": "a@b"}', "[]"):
            write(("shop=R-2", "gold", bad))
    parquet.write_table(pa.table({"identifiers": ["shop=R-3"], "record": [struct]}), table)
    done = tiercel("customers", "import", str(text), *_to(served, aside))
    assert "6 rows: 1 created, 0 changed, 0 as they were, 5 set aside" in done.stdout, done.stdout + done.stderr
    assert all("record" in reason for _, reason in _aside(aside))
    assert tiercel("customers", "import", str(table), *_to(served, aside)).returncode == 0
    for id_, expected in (("R-1;x=1", record), ("R-3", {"industry": "tea"})):
        found = served.ask("segment_registry", "GET", f"/v1/customers:resolve?system=shop&id={quote(id_)}")
        assert expected.items() <= _known(found.json()["record"]).items(), found.text
    exported = tiercel("customers", "export", str(out), *_to(served, aside)[:4])
    assert exported.returncode == 0, exported.stderr
    with out.open(newline="") as file, again.open("w", newline="") as taken:
        rows = [row for row in csv.DictReader(file) if "R-1" in row["identifiers"] or "R-3" in row["identifiers"]]
        write = csv.writer(taken).writerow
        write(("identifiers", "tier", "record"))
        for row in rows:
            write((row["identifiers"], row["tier"], row["record"]))
    assert len(rows) == 2
    same = tiercel("customers", "import", str(again), *_to(served, aside))
    assert "2 rows: 0 created, 0 changed, 2 as they were, 0 set aside" in same.stdout, same.stdout + same.stderr


def _known(record: dict[str, Any]) -> dict[str, Any]:
    """A golden record without what it does not know."""
    contract = record["contract"]
    known = {name: each for name, each in (contract or {}).items() if each}
    return {name: each for name, each in record.items() if each} | ({"contract": known} if contract else {})


def test_of_two_imports_at_once_the_second_one_waits(served: Served, tmp_path: Path) -> None:
    file, aside = tmp_path / "two.csv", tmp_path / "aside.csv"
    file.write_text("identifiers\nshop=T-1\n")
    with aside.open("w") as held:
        held.write("of the other import")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = tiercel("customers", "import", str(file), *_to(served, aside))
    assert (refused.returncode, "another import is writing" in refused.stderr) == (1, True), refused.stderr
    assert aside.read_text() == "of the other import"
    assert tiercel("customers", "import", str(file), *_to(served, aside)).returncode == 0


async def test_an_import_that_is_killed_goes_on_where_it_was(served: Served, tmp_path: Path) -> None:
    _define_gold(served)
    file, aside = tmp_path / "customers.parquet", tmp_path / "aside.csv"
    names = [f"shop=K-{number}" for number in range(TO_SEND)]
    names[IMPORT_ROWS_MAX] = "nothing"
    parquet.write_table(
        pa.table({"identifiers": names, "tier": ["gold"] * TO_SEND, "reason": ["moved"] * TO_SEND}), file
    )
    command = (sys.executable, "-m", "tiercel", "customers", "import", str(file), *_to(served, aside))
    note = aside.with_name("aside.csv.progress")
    going = await asyncio.create_subprocess_exec(*command, cwd=PROJECT, stdout=DEVNULL, stderr=DEVNULL)
    await until(lambda: _bulks(note) >= 1 or going.returncode is not None)
    going.kill()
    await going.wait()
    came = json.loads(note.read_text())
    assert 0 < came["rows"] < TO_SEND
    done = tiercel("customers", "import", str(file), *_to(served, aside))
    assert f"{TO_SEND} rows: {TO_SEND - 1} created, 0 changed, 0 as they were, 1 set aside" in done.stdout, done.stderr
    assert _aside(aside) == [(str(IMPORT_ROWS_MAX + 2), "identifiers: written as shop=C-9;erp=D-1")]
    assert not note.exists()
    assert _tier(served, "shop", f"K-{TO_SEND - 1}") == "gold"


def test_what_is_no_file_of_customers_is_refused_as_a_whole(served: Served, tmp_path: Path) -> None:
    aside = tmp_path / "aside.csv"
    for name, content, told in (
        ("no.parquet", b"PAR?", "is no Parquet file"),
        ("no.csv", b"name,tier\n", "missing columns: 'identifiers'"),
        ("empty.csv", b"", "is empty"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        done = tiercel("customers", "import", str(file), *_to(served, aside))
        assert done.returncode == 1
        assert told in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


def test_the_template_is_a_file_that_can_be_imported(served: Served, tmp_path: Path) -> None:
    _define_gold(served)
    file = tmp_path / "template.csv"
    file.write_text(tiercel("customers", "import", "--template").stdout)
    done = tiercel("customers", "import", str(file), *_to(served, tmp_path / "aside.csv"))
    assert "1 rows: 1 created" in done.stdout, done.stdout + done.stderr
