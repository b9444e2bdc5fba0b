"""CSV files as people have them: read whatever wrote them, refused with a reason, and reports that run nothing."""

import codecs
import csv
import io
from pathlib import Path

import pytest

from tiercel.commands.csv_files import FileRefused, Row, open_report, read_rows

COLUMNS = frozenset({"sku", "location", "on_hand"})


def rows(path: Path, content: bytes, *, encoding: str | None = None) -> list[Row]:
    file = path / "stock.csv"
    file.write_bytes(content)
    return list(read_rows(file, columns=COLUMNS, needed=("sku", "on_hand"), encoding=encoding))


TABLE = "sku,location,on_hand\nTEE-Ä,DC-1,5\n"
FOUND = [Row(2, {"sku": "TEE-Ä", "location": "DC-1", "on_hand": "5"}, ("TEE-Ä", "DC-1", "5"), 0)]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        codecs.BOM_UTF8 + TABLE.encode(),
        TABLE.encode("utf-16"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        TABLE.replace("sku,location", " SKU , Location ").encode(),
        TABLE.replace("TEE-Ä", ' "TEE-Ä"'.strip()).encode(),
        TABLE.rstrip("\n").encode(),
    ],
    ids=["utf-8", "mark", "utf-16", "crlf", "cr", "semicolons", "tabs", "case", "quotes", "no last end of line"],
)
def test_one_table_is_read_alike_whatever_wrote_it(tmp_path: Path, content: bytes) -> None:
    assert rows(tmp_path, content) == FOUND


def test_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    assert rows(tmp_path, TABLE.encode("cp1252"), encoding="cp1252") == FOUND


def test_a_cell_over_several_lines_keeps_the_numbers_of_the_lines_after_it(tmp_path: Path) -> None:
    found = rows(tmp_path, b'sku,location,on_hand\n"TEA\n1",DC-1,5\n\n,,\nTEA-2,,7\n')
    assert [(each.line, each.cells) for each in found] == [
        (3, {"sku": "TEA\n1", "location": "DC-1", "on_hand": "5"}),
        (6, {"sku": "TEA-2", "on_hand": "7"}),
    ]


def test_cells_beyond_the_columns_are_counted(tmp_path: Path) -> None:
    assert [each.surplus for each in rows(tmp_path, b"sku,on_hand\nTEA,1,000\nTEA,1\n")] == [1, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"sku,location\nTEA,DC-1\n", "missing columns: 'on_hand'"),
        (b"TEA-1,DC-1,5\n", "unknown columns: 'tea-1', 'dc-1', '5'; missing columns: 'sku', 'on_hand'"),
        (b"sku,sku,on_hand\nTEA,TEA,5\n", "columns given twice: 'sku'"),
        (b"sku,on_hand,colour\n", "unknown columns: 'colour'"),
        (b'sku,on_hand\n"TEA,5\nTEA-2,6\n', "unexpected end of data"),
        (b'sku,on_hand\n"TEA"1,5\n', "expected after"),
        (TABLE.encode("cp1252"), "save it as UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "missing columns"),
        (b"sku,on_hand\n" + b"x" * 200_000 + b",1\n", "field larger than field limit"),
    ],
)
def test_what_is_no_such_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason.replace("'", "'")):
        rows(tmp_path, content)


def test_an_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no encoding that is known"):
        rows(tmp_path, TABLE.encode(), encoding="klingon")


@pytest.mark.parametrize("cell", ['=cmd|"/c calc"!A1', "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_written_as_text(cell: str) -> None:
    text = io.StringIO()
    open_report(text)(("sku", cell, -5))
    [written] = csv.reader(io.StringIO(text.getvalue(), newline=""))
    assert written == ["sku", f"'{cell}", "-5"]
