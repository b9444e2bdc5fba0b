"""The drawn file of customers that `python -m bench customers` imports: what it holds is what is expected of it."""

import csv
from collections import Counter
from pathlib import Path

from bench.customers_file import BAD_ONE_IN, REPEATED_ONE_IN, Expected, drawn, write_csv
from tiercel.commands.customer_imports import import_customers

ROWS = 8_000
TOLD_AT_ONCE = {"identifiers", "shop=C-9", "string_too_long", "string_pattern_mismatch"}
TOLD_BY_REGISTRY = {"unknown_tier", "system_reserved", "several_customers"}


def test_the_same_rows_are_drawn_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    assert write_csv(first, ROWS) == write_csv(second, ROWS)
    assert first.read_bytes() == second.read_bytes()


def test_every_row_is_a_new_customer_a_repeated_one_or_a_bad_one() -> None:
    expected = Expected(ROWS)
    rows = list(drawn(ROWS, expected))
    assert len(rows) == ROWS == len(expected.customers) + expected.repeated + len(expected.bad)
    assert (len(expected.bad), expected.repeated) == (ROWS // BAD_ONE_IN, ROWS // REPEATED_ONE_IN)
    names = Counter(pair for pairs in expected.customers for pair in pairs)
    assert set(names.values()) == {1}
    assert set(expected.bad.values()) == {*TOLD_BY_REGISTRY, *TOLD_AT_ONCE}


def test_a_dry_run_sets_aside_the_bad_rows_that_need_no_registry(tmp_path: Path) -> None:
    file, report = tmp_path / "customers.csv", tmp_path / "report.csv"
    expected = write_csv(file, ROWS)
    import_customers(file, url="http://127.0.0.1:9", key="", set_aside=report, dry_run=True, progress=lambda _: None)
    with report.open(newline="") as text:
        found = {int(row["line"]): row["reason"] for row in csv.DictReader(text)}
    wanted = {line: code for line, code in expected.bad.items() if code in TOLD_AT_ONCE}
    assert found.keys() == wanted.keys()
    assert all(code in found[line] for line, code in wanted.items())
