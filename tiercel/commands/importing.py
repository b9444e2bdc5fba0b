"""`tiercel import`: master data, supply and open orders from CSV files through the ATP's HTTP API, bad rows set aside.

A row is checked against the published language and against what it names (an item, a location, a calendar), so that a
bad one does not keep the good ones from being applied: it goes to a file with its line number and the reason, and with
it all rows of an order of which one is bad. Two rows of one name that say different things are both looked at: the
second one is set aside. Importing a file again changes nothing more than once, because every entry is known by its name
or its version: an import that was broken off is begun again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from pydantic import ValidationError

from services.contracts.payload import Payload
from tiercel.commands.csv_files import FileRefused, Row, open_report, read_rows
from tiercel.commands.import_sheets import OPEN_ORDERS, SHEETS, Sheet, values_of
from tiercel.commands.open_orders import by_order, order_of
from tiercel.commands.routing_rules import KINDS as RULE_KINDS
from tiercel.commands.routing_rules import by_document, document_of

ROWS_AT_ONCE: Final = 1_000
SECONDS_MAX: Final = 120.0
ATTEMPTS_MAX: Final = 6  # of a request that is answered with "later"
WAIT_SECONDS_MAX: Final = 30.0
LATER: Final = frozenset({429, 503})
FAULTS_TOLD_MAX: Final = 5


class ImportRefused(Exception):  # noqa: N818 - says what happened
    """The ATP refused a request as a whole, or a file as a whole cannot be read; the text says why."""


@dataclass(slots=True)
class Imported:
    """What became of a file; `good` rows were sent, or would be."""

    rows: int = 0
    good: int = 0
    set_aside: int = 0


class Entry(NamedTuple):
    """What is sent, and the rows that it was read from."""

    payload: Payload
    rows: Sequence[Row]


@dataclass(slots=True)
class _Known:
    """The names that the ATP knows, read when they are first needed."""

    client: httpx.Client
    _names: dict[str, frozenset[str]] = field(default_factory=dict)

    def lacks(self, sheet: Sheet, cells: Mapping[str, str]) -> str | None:
        """What a row names that is not known, in words."""
        for name in sheet.names:
            wanted, kind = cells.get(name), name.removeprefix("pick_up_")
            if wanted is not None and wanted not in self._of(kind):
                return f"{name}: {wanted} is not known"
        return None

    def _of(self, kind: str) -> frozenset[str]:
        if kind not in self._names:
            found = self._items() if kind == "sku" else [each[kind] for each in self._get(f"/v1/{kind}s")["items"]]
            self._names[kind] = frozenset(found)
        return self._names[kind]

    def _items(self) -> Iterator[str]:
        after: str | None = ""
        while after is not None:
            page = self._get("/v1/items", after=after, limit=ROWS_AT_ONCE)
            yield from (item["sku"] for item in page["items"])
            after = page["next"]

    def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        document: dict[str, Any] = request(self.client, "GET", path, params=query).json()
        return document


@dataclass(slots=True)
class _Import:
    """One file on its way: what was checked and waits to be sent, and where bad rows go."""

    sheet: Sheet
    client: httpx.Client
    put_aside: Callable[[Sequence[object]], object]
    dry_run: bool
    counts: Imported = field(default_factory=Imported)
    entries: list[Entry] = field(default_factory=list)
    said: dict[tuple[str | None, ...], tuple[int, bytes]] = field(default_factory=dict)

    def take(self, rows: Sequence[Row], entry: Payload | str) -> None:
        """Take what was read from rows: an entry, or why there is none."""
        self.counts.rows += len(rows)
        found = self._repeated(rows[0], entry) if isinstance(entry, Payload) else entry
        if found is not None:
            self.set_aside(rows, found)
        elif isinstance(entry, Payload):
            self.counts.good += len(rows)
            self.entries.append(Entry(entry, rows))
            if sum(len(each.rows) for each in self.entries) >= ROWS_AT_ONCE:
                self.send()

    def set_aside(self, rows: Sequence[Row], reason: str) -> None:
        """Write rows to the report."""
        self.counts.set_aside += len(rows)
        for row in rows:
            self.put_aside((row.line, reason, " | ".join(row.content)))

    def send(self) -> None:
        """Send what waits, and set aside what is refused one by one."""
        entries, self.entries = self.entries, []
        if self.dry_run or not entries:
            return
        bodies = [entry.payload.model_dump(mode="json", exclude_none=True) for entry in entries]
        if "{" in self.sheet.path:  # one by one: the name is in the path
            for body in bodies:
                name = "document" if "{document}" in self.sheet.path else "location"
                path = self.sheet.path.format(**{name: body.pop(name)})
                if name == "document":
                    del body["version"], body["author"]  # the next one, by whoever has the key
                request(self.client, self.sheet.method, path, json=body)
            return
        answer = request(self.client, self.sheet.method, self.sheet.path, json={"items": bodies}).json()
        for entry, result in zip(entries, answer.get("results", ()), strict=False):
            if result.get("effect") == "refused":
                self.counts.good -= len(entry.rows)
                self.set_aside(entry.rows, f"{result['code']}: {result['detail']}")

    def _repeated(self, row: Row, entry: Payload) -> str | None:
        """Why an entry contradicts an earlier one of the file, if so."""
        name = tuple(row.cells.get(column) for column in self.sheet.key)
        content = hashlib.sha256(json.dumps(entry.model_dump(mode="json"), sort_keys=True).encode()).digest()
        line, known = self.said.setdefault(name, (row.line, content))
        return None if known == content else f"says something else than line {line}, which has the same name"


def import_file(
    kind: str,
    file: Path,
    *,
    url: str,
    key: str,
    set_aside: Path,
    dry_run: bool,
    encoding: str | None = None,
) -> Imported:
    """Import a file of one of `SHEETS`; a dry run checks everything and sends nothing. Raises ImportRefused."""
    if set_aside.exists() and set_aside.samefile(file):
        raise ImportRefused(f"{file} would be overwritten: name another file with --set-aside")
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    sheet, headers = SHEETS[kind], {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client:
        try:
            rows = read_rows(file, columns=sheet.columns, needed=sheet.needed, encoding=encoding)
            return _import(kind, rows, client, set_aside, dry_run=dry_run)
        except FileRefused as error:
            raise ImportRefused(str(error)) from error


def _import(kind: str, rows: Iterator[Row], client: httpx.Client, set_aside: Path, *, dry_run: bool) -> Imported:
    sheet, known = SHEETS[kind], _Known(client)
    groups = _groups(kind, rows)
    with set_aside.open("w", newline="", encoding="utf-8") as report:
        put_aside = open_report(report)
        put_aside(("line", "reason", "content"))
        going = _Import(sheet, client, put_aside, dry_run)
        for group in groups:
            going.take(group, _entry(kind, known, group))
        going.send()
    return going.counts


def _groups(kind: str, rows: Iterator[Row]) -> Iterable[Sequence[Row]]:
    """The rows of each entry."""
    if kind == OPEN_ORDERS:
        return by_order(rows)
    return by_document(rows) if kind in RULE_KINDS else ([row] for row in rows)


def _values(kind: str, rows: Sequence[Row]) -> dict[str, Any] | str:
    if kind == OPEN_ORDERS:
        return order_of(rows)
    return document_of(rows) if kind in RULE_KINDS else values_of(rows[0].cells)


def _entry(kind: str, known: _Known, rows: Sequence[Row]) -> Payload | str:
    """The entry of rows, or why there is none."""
    sheet = SHEETS[kind]
    for row in rows:
        if row.surplus:
            return f"{row.surplus} more cells than columns"
    values = _values(kind, rows)
    if isinstance(values, str):
        return values
    try:
        entry = sheet.model.model_validate(values)
    except ValidationError as error:
        return _told(error)
    return next((lack for row in rows if (lack := known.lacks(sheet, row.cells)) is not None), entry)


def _told(error: ValidationError) -> str:
    """What is wrong with a row, in words."""
    faults = error.errors(include_url=False, include_context=False)
    told = [
        f"{'.'.join(str(part) for part in each['loc']) or 'row'}: {each['msg'].removeprefix('Value error, ')}"
        for each in faults
    ]
    more = len(told) - FAULTS_TOLD_MAX
    return "; ".join(told[:FAULTS_TOLD_MAX]) + (f"; and {more} more" if more > 0 else "")


def request(client: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Ask the ATP, again after a while where it says so. Raises ImportRefused."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        response = client.request(method, path, **arguments)
        if response.status_code not in LATER or attempt == ATTEMPTS_MAX:
            break
        after = response.headers.get("retry-after", "1")
        time.sleep(min(WAIT_SECONDS_MAX, float(after) if after.isdecimal() else 1.0))
    if response.is_error:
        raise ImportRefused(f"{response.status_code} {response.text[:500]}")
    return response
