"""`tiercel customers import`: customers with their tiers from a CSV or Parquet file, as large as it may be.

Rows go to the registry in bulks, in the order of the file. What is no row is set aside here, what the registry refuses
is set aside with its code; the others stand. An import that was broken off goes on where it was: beside the file of
set-aside rows lies a note of how far it came, and each bulk carries a key of its own, so that one whose answer was lost
is not taken twice. A file that was changed meanwhile begins anew.

Columns are the fields of a row; `identifiers` are written `shop=C-9;erp=D-1` (a semicolon that belongs to an id
has a backslash before it, and so has a backslash), `record` is JSON, or in Parquet a struct; empty cells are left out.
"""

import csv
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import httpx
from pydantic import ValidationError

from services.chassis.problems import Problem
from services.chassis.strict_json import refuse_ambiguous
from services.contracts.catalogue import describe
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX
from services.segment_registry.entrypoints.bulk_routes import IMPORT_BODY_MAX_BYTES, IMPORT_PATH
from services.segment_registry.entrypoints.documents import ImportRowBody
from tiercel.commands.csv_files import FileRefused, Row, open_report, read_rows
from tiercel.commands.importing import SECONDS_MAX, ImportRefused, request

BODY_SHARE_BYTES: Final = IMPORT_BODY_MAX_BYTES - 4_096  # of the rows; the rest is for what is around them
HASHED_AT_ONCE: Final = 1 << 20
PARQUET_ROWS: Final = 10_000  # read at once
COLUMNS: Final = frozenset(ImportRowBody.model_fields)
NEEDED: Final = ("identifiers",)
_PIECE: Final = re.compile(r"\\[;\\]|;|[^;\\]+|\\")  # of a cell of identifiers
TEMPLATE: Final = "identifiers,tier,reason\nshop=C-9;erp=D-1,gold,migrated from the former system\n"

Progress = Callable[[int], object]


@dataclass(slots=True)
class Progressed:
    """How far an import came, and what became of its rows. `run` tells several imports of one file apart."""

    sha256: str
    run: str
    rows: int = 0
    bulks: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    set_aside: int = 0
    report_bytes: int = 0


class _Checked(NamedTuple):
    """A row as it is sent (its JSON), or why it cannot be."""

    row: Row
    body: bytes | None
    fault: str = ""


def import_customers(
    file: Path, *, url: str, key: str, set_aside: Path, dry_run: bool, progress: Progress, encoding: str | None = None
) -> Progressed:
    """Import a file; `progress` is told after each bulk how many rows it had. A dry run checks rows and sends nothing.

    Raises:
        ImportRefused: the registry refused a bulk as a whole, or the file cannot be read.
    """
    if set_aside.exists() and set_aside.samefile(file):
        raise ImportRefused(f"{file} would be overwritten: name another file with --set-aside")
    note = set_aside.with_name(f"{set_aside.name}.progress")
    sha256 = _sha256(file)
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with (
            httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client,
            _held(set_aside) as out,
        ):
            done = (None if dry_run else _broken_off(note, sha256, out)) or Progressed(sha256, secrets.token_hex(8))
            _begin_report(out, done)
            progress(done.rows)
            if not dry_run:
                _keep(note, done)
            for bulk in _bulks(_checked(row) for row in _rows(file, encoding, done.rows)):
                _send(client, bulk, done, open_report(out), dry_run=dry_run)
                done.rows += len(bulk)
                out.flush()
                done.report_bytes = out.tell()
                if not dry_run:
                    _keep(note, done)
                progress(len(bulk))
    except FileRefused as error:
        raise ImportRefused(str(error)) from error
    if not dry_run:
        note.unlink(missing_ok=True)
    return done


def rows_in(file: Path) -> int:
    """About how many rows a file has, for a bar: lines may be empty, and cells may have several.

    Raises ImportRefused for what is no Parquet file, though it is called so.
    """
    if file.suffix == ".parquet":
        from pyarrow import ArrowException, parquet

        try:
            with parquet.ParquetFile(file) as opened:
                return int(opened.metadata.num_rows)
        except ArrowException as error:
            raise ImportRefused(f"{file} is no Parquet file: {error}") from error
    with file.open("rb") as opened:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: opened.read(HASHED_AT_ONCE), b"")) - 1)


def _send(
    client: httpx.Client,
    bulk: Sequence[_Checked],
    done: Progressed,
    put_aside: Callable[[Sequence[object]], object],
    *,
    dry_run: bool,
) -> None:
    good = [each for each in bulk if each.body is not None]
    faults = {each.row.line: each.fault for each in bulk if each.body is None}
    if good and not dry_run:
        body = b'{"items":[' + b",".join(each.body or b"" for each in good) + b"]}"
        key = f"{done.run}-{done.bulks}"
        headers = {"content-type": "application/json", "idempotency-key": key}
        answer = request(client, "POST", IMPORT_PATH, content=body, headers=headers).json()
        done.created += answer["created"]
        done.changed += answer["changed"]
        done.unchanged += answer["unchanged"]
        for each in answer["rejected"]:
            detail = f"{each['code']}: {each['detail']}" if each["detail"] else each["code"]
            faults[good[each["index"]].row.line] = detail
    done.bulks += 1
    done.set_aside += len(faults)
    for checked in bulk:
        if checked.row.line in faults:
            put_aside((checked.row.line, faults[checked.row.line], " | ".join(checked.row.content)))


def _bulks(checked: Iterator[_Checked]) -> Iterator[list[_Checked]]:
    """As many rows as the registry takes at once; the same ones whenever the same file is read."""
    bulk: list[_Checked] = []
    size = 0
    for each in checked:
        length = len(each.body or b"") + 1
        if bulk and (len(bulk) == IMPORT_ROWS_MAX or size + length > BODY_SHARE_BYTES):
            yield bulk
            bulk, size = [], 0
        bulk.append(each)
        size += length
    if bulk:
        yield bulk


def _checked(row: Row) -> _Checked:
    if row.surplus:
        return _Checked(row, None, f"{row.surplus} more cells than columns")
    values: dict[str, Any] = dict(row.cells)
    try:
        values["identifiers"] = _identifiers(row.cells.get("identifiers", ""))
        if "record" in row.cells:
            values["record"] = _record(row.cells["record"])
        body = ImportRowBody.model_validate(values)
    except ValueError as error:
        return _Checked(row, None, describe(error) if isinstance(error, ValidationError) else str(error))
    return _Checked(row, body.model_dump_json(exclude_unset=True).encode())


def _identifiers(cell: str) -> list[dict[str, str]]:
    found = []
    for pair in _pairs(cell):
        system, separator, id_ = pair.strip().partition("=")
        if not separator:
            message = "identifiers: written as shop=C-9;erp=D-1"
            raise ValueError(message)
        found.append({"system": system, "id": id_})
    return found


def _pairs(cell: str) -> list[str]:
    pairs = [""]
    for piece in _PIECE.findall(cell):
        if piece == ";":
            pairs.append("")
        else:
            pairs[-1] += piece[-1] if piece[0] == "\\" else piece
    return pairs


def _record(cell: str) -> Any:
    try:
        refuse_ambiguous(cell.encode())
    except (Problem, UnicodeError) as error:
        message = 'record: written as JSON, as {"strategic": true}'
        raise ValueError(message) from error
    return json.loads(cell)


def _rows(file: Path, encoding: str | None, after: int) -> Iterator[Row]:
    """The rows of a file but for the first ones, which were sent before."""
    rows = _parquet(file) if file.suffix == ".parquet" else _csv(file, encoding)
    for number, row in enumerate(rows):
        if number >= after:
            yield row


def _csv(file: Path, encoding: str | None) -> Iterator[Row]:
    return read_rows(file, columns=COLUMNS, needed=NEEDED, encoding=encoding)


def _parquet(file: Path) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(file) as opened:
            names = [name.lower() for name in opened.schema_arrow.names]
            faults = [name for name in names if name not in COLUMNS or names.count(name) > 1]
            if faults := faults + [name for name in NEEDED if name not in names]:
                wrong = f"{file}: columns that are unknown, missing or given twice: {', '.join(dict.fromkeys(faults))}"
                raise FileRefused(f"{wrong}. Known are {', '.join(sorted(COLUMNS))}")
            line = 1
            for batch in opened.iter_batches(batch_size=PARQUET_ROWS):
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    texts = tuple(_text(cell) for cell in cells)
                    yield Row(line, _given(names, texts), texts, 0)
    except ArrowException as error:
        raise FileRefused(f"{file} is no Parquet file: {error}") from error


def _given(names: Sequence[str], cells: Sequence[str]) -> Mapping[str, str]:
    return {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}


def _text(cell: object) -> str:
    if isinstance(cell, dict):  # a struct: of what is not given nothing is said
        return json.dumps({name: each for name, each in cell.items() if each is not None}, default=str)
    return "" if cell is None else str(cell)


def _broken_off(note: Path, sha256: str, out: TextIO) -> Progressed | None:
    """How far an import of the same file came, if it was broken off and its rows set aside are still there."""
    if not note.exists():
        return None
    found = Progressed(**json.loads(note.read_text()))
    kept = os.fstat(out.fileno()).st_size >= found.report_bytes
    return found if kept and found.sha256 == sha256 else None


def _keep(note: Path, done: Progressed) -> None:
    """Whole or not at all: the process may end at any moment."""
    new = note.with_name(f"{note.name}.new")
    new.write_text(json.dumps(asdict(done)))
    new.replace(note)


@contextmanager
def _held(set_aside: Path) -> Iterator[TextIO]:
    """The file of rows set aside, for one import alone: two would count each other's bulks as their own."""
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    set_aside.touch()
    with set_aside.open("r+", newline="", encoding="utf-8") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ImportRefused(f"another import is writing {set_aside}: wait for it, or name another file") from error
        yield out


def _begin_report(out: TextIO, done: Progressed) -> None:
    """As long as it was when the last bulk was noted."""
    out.truncate(done.report_bytes)
    out.seek(0, os.SEEK_END)
    if not done.report_bytes:
        csv.writer(out).writerow(("line", "reason", "content"))


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(HASHED_AT_ONCE), b""):
            digest.update(block)
    return digest.hexdigest()
