"""CSV files as people have them: read whole or refused with a reason, and written so that no cell is run by a reader.

Read are UTF-8 with or without a byte order mark, UTF-16 with one, or an encoding that is named; commas, semicolons or
tabs, whichever the header has; cells in quotes, over several lines too. Names of columns are matched without regard to
case and surrounding blanks. Lines without any cell are passed over.
"""

import codecs
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from services.atp.entrypoints.allocation_csv import defused

SEPARATORS: Final = (",", ";", "\t")
UTF_8: Final = "utf-8-sig"
UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
COLUMN_MAX_CHARS: Final = 60  # of a name that is shown: what is no header may be anything


class FileRefused(Exception):  # noqa: N818 - says what happened
    """A file cannot be read as a whole; the text says why, and what to do."""


class Row(NamedTuple):
    """A row: where it ends in the file, its cells by column (empty ones left out), and all cells as they are."""

    line: int
    cells: Mapping[str, str]
    content: tuple[str, ...]
    surplus: int  # cells beyond the columns


def read_rows(
    path: Path, *, columns: frozenset[str] | None, needed: Sequence[str], encoding: str | None = None
) -> Iterator[Row]:
    """The rows of a file; `columns` None lets it have any others.

    Raises FileRefused, also in the middle, for what is no CSV file with these columns.
    """
    named = encoding or _encoding_of(path)
    try:
        with path.open(encoding=named, newline="") as text:
            yield from _rows(text, path, columns, needed)
    except UnicodeError as error:
        advice = "save it as UTF-8, or name its encoding with --encoding (cp1252, for instance)"
        raise FileRefused(f"{path} is not {named}: {advice}") from error
    except LookupError as error:
        raise FileRefused(f"{encoding} is no encoding that is known here") from error


def open_report(file: TextIO) -> Callable[[Sequence[object]], object]:
    """What writes rows of a report, each text cell made harmless to spreadsheets."""
    write = csv.writer(file).writerow
    return lambda cells: write([defused(each) if isinstance(each, str) else each for each in cells])


def _encoding_of(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in UTF_16_MARKS else UTF_8


def _rows(text: TextIO, path: Path, columns: frozenset[str] | None, needed: Sequence[str]) -> Iterator[Row]:
    header = text.readline()
    names = _names(path, header, columns, needed)
    reader = csv.reader(text, delimiter=_separator(header), strict=True)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            kept = tuple(sys.intern(cell.strip()) for cell in cells)  # columns repeat themselves: a large file is small
            given = {name: cell for name, cell in zip(names, kept, strict=False) if cell}
            yield Row(reader.line_num + 1, given, kept, max(0, len(kept) - len(names)))
    except csv.Error as error:
        raise FileRefused(f"{path}, line {reader.line_num + 1}: {error}") from error


def _separator(header: str) -> str:
    """The one that the header has most of."""
    return max(SEPARATORS, key=header.count)


def _names(path: Path, header: str, columns: frozenset[str] | None, needed: Sequence[str]) -> list[str]:
    if not header.strip():
        raise FileRefused(f"{path} is empty: its first line names the columns")
    try:
        [found] = csv.reader([header], delimiter=_separator(header), strict=True)
    except (csv.Error, ValueError) as error:
        raise FileRefused(f"{path}: the first line is no header: {error}") from error
    names = [name.strip().lower() for name in found]
    while names and not names[-1]:  # a separator at the end of each line
        names.pop()
    unknown = [name[:COLUMN_MAX_CHARS] for name in names if columns is not None and name not in columns]
    missing = [name for name in needed if name not in names]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    faults = [
        f"{what}: {', '.join(repr(name) for name in which)}"
        for what, which in (("unknown columns", unknown), ("missing columns", missing), ("columns given twice", twice))
        if which
    ]
    if faults:
        raise FileRefused(f"{path}: {'; '.join(faults)}. Known are {', '.join(sorted(columns or needed))}")
    return names
