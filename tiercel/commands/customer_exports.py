"""`tiercel customers export`: who is in which tier, as a file; all of it, or what changed since the last one.

A row is one assignment in force or planned; a customer without any has one row with its tier and empty columns of an
assignment. So has one that was merged: it is served as `merged_into`, whose rows say what is planned. Where `basis` is
`unassigned`, the tier is whatever is the default: another default moves these customers without a row of theirs. With a
cursor file the next export begins where this one ended: the cursor is written after the file, so that one that was
broken off is made again. Nothing that was committed is missed; a customer that changed comes whole.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from tiercel.commands.csv_files import open_report
from tiercel.commands.importing import ImportRefused

PAGE_ROWS: Final = 500
SECONDS_MAX: Final = 120.0
ROWS_OF_A_GROUP: Final = 50_000  # of a Parquet file; some 10 MB in memory
COLUMNS: Final = (
    "customer_id",
    "customer_sequence",
    "identifiers",
    "served_tier",
    "tier",
    "kind",
    "effective_from",
    "effective_to",
    "assignment_sequence",
    "reason",
    "merged_into",
    "record",
    "basis",
)
NUMBERS: Final = frozenset({"customer_sequence", "assignment_sequence"})
FORMATS: Final = (".csv", ".parquet")
Row = tuple[Any, ...]


def export_customers(file: Path, *, cursor_file: Path | None, url: str, key: str) -> tuple[int, int]:
    """Write what changed since the cursor (without one: everything); customers and rows. Raises ImportRefused."""
    if file.suffix not in FORMATS:
        raise ImportRefused(f"{file}: the name says the format, which is one of {', '.join(FORMATS)}")
    cursor = cursor_file.read_text().strip() if cursor_file is not None and cursor_file.exists() else ""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".part")
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS_MAX) as client:
        feed = Feed(client, cursor)
        write = _write_csv if file.suffix == ".csv" else _write_parquet
        rows = write(unfinished, (row for customer in feed for row in _rows(customer)))
    unfinished.replace(file)
    if cursor_file is not None and feed.cursor:
        waiting = cursor_file.with_name(cursor_file.name + ".part")
        waiting.write_text(feed.cursor + "\n")
        waiting.replace(cursor_file)
    return feed.customers, rows


class Feed:
    """The customers of `GET /v1/assignments`, to the end; `cursor` is then where it ended."""

    def __init__(self, client: httpx.Client, cursor: str) -> None:
        self._client = client
        self.cursor = cursor
        self.customers = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        more = True
        while more:
            query = {"limit": str(PAGE_ROWS)} | ({"after": self.cursor} if self.cursor else {})
            answer = self._client.get("/v1/assignments", params=query)
            if answer.is_error:
                raise ImportRefused(f"{answer.status_code} {answer.text[:500]}")
            page = answer.json()
            yield from page["items"]
            self.customers += len(page["items"])
            self.cursor = page["next_cursor"] or self.cursor
            more = page["more"]


def _rows(customer: dict[str, Any]) -> Iterator[Row]:
    known = ";".join(f"{each['system']}={_escaped(each['id'])}" for each in customer["identifiers"])
    head = (customer["customer_id"], customer["sequence"], known, customer["tier"])
    merged_into, record = customer["merged_into"], _record(customer["record"])
    own = [] if merged_into else customer["assignments"]  # those of a merged one are kept for a split, and do not count
    for each in own:
        dates = (each["effective_from"], each["effective_to"])
        yield (
            *head,
            each["tier"],
            each["kind"],
            *dates,
            each["sequence"],
            each["reason"],
            None,
            record,
            customer["basis"],
        )
    if not own:
        yield (*head, *[None] * (len(COLUMNS) - len(head) - 3), merged_into, record, customer["basis"])


def _escaped(id_: str) -> str:
    """As `tiercel customers import` reads it: a semicolon ends an identifier elsewhere."""
    return id_.replace("\\", "\\\\").replace(";", "\\;")


def _record(record: dict[str, Any]) -> str | None:
    """A golden record as JSON, without what is not known; None where nothing is."""
    known = {name: value for name, value in record.items() if value not in (None, False)}
    return json.dumps(known, ensure_ascii=False) if known else None


def _write_csv(path: Path, rows: Iterator[Row]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as text:
        write = open_report(text)
        write(COLUMNS)
        for row in rows:
            write(["" if cell is None else cell for cell in row])
            count += 1
        text.flush()
        os.fsync(text.fileno())
    return count


def _write_parquet(path: Path, rows: Iterator[Row]) -> int:
    import pyarrow as pa  # loaded where it is needed: it takes longer than most commands
    from pyarrow import parquet

    schema = pa.schema([(name, pa.int64() if name in NUMBERS else pa.string()) for name in COLUMNS])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        group: list[Row] = []
        for row in rows:
            group.append(row)
            count += 1
            if len(group) == ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_arrays(_columns(group, schema), schema=schema))
                group = []
        if group or not count:
            writer.write_table(pa.Table.from_arrays(_columns(group, schema), schema=schema))
    return count


def _columns(rows: list[Row], schema: Any) -> list[Any]:
    import pyarrow as pa

    return [pa.array([row[place] for row in rows], schema.field(place).type) for place in range(len(COLUMNS))]
