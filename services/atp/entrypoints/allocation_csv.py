"""Allocation documents as CSV and back, so that planners can edit them in a spreadsheet.

A line of a document is a row; of a hierarchy, each node in each period is one. Columns are named as the fields, a list
is written with semicolons. The columns `document_id` and `base_version` say what was exported. Reading back what was
written gives the same document, whatever it holds: a cell that a spreadsheet would take for a formula begins with an
apostrophe in the file, and so does one that begins with an apostrophe itself; reading takes one off.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from services.atp.application.planning import AllocationKind
from services.atp.entrypoints.allocation_documents import (
    Document,
    HierarchyDocument,
    ProtectionDocument,
    ProtectionLine,
    QuotaDocument,
    QuotaLine,
)
from services.atp.entrypoints.capacity_documents import (
    WEEKDAYS,
    CapacityDocument,
    exceptions_of,
    exceptions_text,
    shares_of,
    shares_text,
)
from services.contracts.capacity import CapacityLine

ROWS_MAX: Final = 20_000  # of one file: a hierarchy of a thousand nodes in twenty periods; the body's limit ends before
FORMULA_BEGINS: Final = "=+-@\t\r\n'"  # the last is our own mark
DIGITS_MAX: Final = 15
HEAD: Final = ("document_id", "base_version")
POOL: Final = "pool"  # in the column `attribute`: what all have that match no node
YES_OR_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
Row = dict[str, str]


class Sheet(NamedTuple):
    """The columns of a kind, and those that tell its rows apart."""

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    numbers: tuple[str, ...]
    flags: tuple[str, ...] = ()


_PLACE: Final = ("sku", "location", "locations", "tier", "start")
_SIZE: Final = ("protected_qty", "percent", "ratio", "mode", "lapse_days")
_MARKS: Final = ("carry_stock", "unconsumable", "strict_privilege")
_MATCH: Final = ("tier", "sku", "item_group", "zone", "region", "channel", "customer")
_WINDOW: Final = ("backward_periods", "forward_periods")
_NODE: Final = ("node", "parent", "attribute", "value", "priority", "borrow_policy", "lock_window_days")
SHEETS: Final[Mapping[AllocationKind, Sheet]] = {
    "protection": Sheet(
        columns=(*_PLACE, "end", *_SIZE, *_MARKS, "expected_qty"),
        keys=_PLACE,
        numbers=("protected_qty", "ratio", "lapse_days", "expected_qty"),
        flags=_MARKS,
    ),
    "quota": Sheet(
        columns=("start", "end", "quantity", *_MATCH, *_WINDOW),
        keys=(*_MATCH, *_WINDOW, "start"),
        numbers=("quantity", *_WINDOW),
    ),
    "hierarchy": Sheet(
        columns=("sku", "fair_share", *_NODE, "start", "end", "quantity"),
        keys=("node", "start"),
        numbers=("priority", "lock_window_days", "quantity"),
        flags=("fair_share",),
    ),
    "capacity": Sheet(
        columns=("location", "service", *WEEKDAYS, "exceptions", "shares"),
        keys=("location", "service"),
        numbers=WEEKDAYS,
    ),
}


Line = ProtectionLine | QuotaLine | CapacityLine
_LINES: Final[Mapping[AllocationKind, type[Line]]] = {
    "protection": ProtectionLine,
    "quota": QuotaLine,
    "capacity": CapacityLine,
}
_DOCUMENTS: Final[Mapping[AllocationKind, type[ProtectionDocument | QuotaDocument | CapacityDocument]]] = {
    "protection": ProtectionDocument,
    "quota": QuotaDocument,
    "capacity": CapacityDocument,
}
_PACKED: Final = {"exceptions": exceptions_of, "shares": shares_of}  # several values in a cell


class SheetRefused(Exception):  # noqa: N818 - says what is wrong
    """A file that cannot be read as a whole; the text says why."""


class Aside(NamedTuple):
    """A row that cannot be taken: its line in the file, and why."""

    line: int
    reason: str


@dataclass(slots=True)
class Sheetful:
    """A file as read: rows with their lines in the file, what it says that it was made from, and what is wrong."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    count: int = 0
    base_version: int | None = None
    set_aside: list[Aside] = field(default_factory=list)


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] and cell[0] in FORMULA_BEGINS else cell


def plain(cell: str) -> str:
    """What a defused cell means."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in FORMULA_BEGINS else cell


def write_sheet(kind: AllocationKind, document_id: str, version: int, document: Document) -> str:
    """A version of a document as CSV."""
    text = io.StringIO()
    columns = SHEETS[kind].columns
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow((*HEAD, *columns))
    for row in rows_of(document):
        writer.writerow([defused(each) for each in (document_id, str(version), *(row[name] for name in columns))])
    return text.getvalue()


def rows_of(document: Document) -> list[Row]:
    """A document's rows, in its order, each value in one way only."""
    if isinstance(document, HierarchyDocument):
        return _rows_of_hierarchy(document)
    columns = SHEETS[document.kind].columns
    lines: Sequence[Line] = document.lines
    return [{name: _cell(name, getattr(line, name)) for name in columns} for line in lines]


def _rows_of_hierarchy(document: HierarchyDocument) -> list[Row]:
    head = {"sku": document.sku, "fair_share": _text(document.fair_share)}
    rows: list[Row] = []
    pool = dict.fromkeys(_NODE, "") | {"node": document.pool.node, "attribute": POOL}
    nodes = [({name: _text(getattr(node, name)) for name in _NODE}, node.quantities) for node in document.nodes]
    for fields, quantities in [*nodes, (pool, document.pool.quantities)]:
        for period, quantity in zip(document.periods, quantities, strict=True):
            span = {"start": _text(period.start), "end": _text(period.end), "quantity": str(quantity)}
            rows.append({**head, **fields, **span})
    return rows


def _cell(name: str, value: Any) -> str:
    match name:
        case "exceptions":
            return exceptions_text(value)
        case "shares":
            return shares_text(value)
        case _:
            return _text(value)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return f"{value.normalize():f}"
        case tuple():
            return ";".join(value)
        case _:
            return str(value)


def read_sheet(kind: AllocationKind, text: str, document_id: str) -> Sheetful:
    """The rows of a file. Raises SheetRefused for one that is no table of this kind."""
    sheet = SHEETS[kind]
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","  # as spreadsheets of some countries save it
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = Sheetful()
    try:
        unknown = [name for name in reader.fieldnames or () if name not in {*HEAD, *sheet.columns}]
        missing = [name for name in sheet.keys if name not in (reader.fieldnames or ())]
        if unknown or missing:
            shown = [repr(name)[:40] for name in unknown[:5]] or [repr(name) for name in missing[:5]]
            raise SheetRefused(f"{'unknown' if unknown else 'missing'} columns: {', '.join(shown)}")
        for row in reader:
            found.count += 1
            if found.count > ROWS_MAX:
                raise SheetRefused(f"more than {ROWS_MAX} rows")
            _take(found, reader.line_num, row, document_id)
    except csv.Error as error:
        raise SheetRefused(f"line {reader.line_num}: {error}") from error
    return found


def _take(found: Sheetful, line: int, row: Mapping[str | None, str | list[str] | None], document_id: str) -> None:
    if None in row:
        found.set_aside.append(Aside(line, "more cells than columns"))
        return
    cells = {str(name): plain(cell.strip()) if isinstance(cell, str) else "" for name, cell in row.items()}
    named, version = cells.pop("document_id", ""), cells.pop("base_version", "")
    if named not in {"", document_id}:
        found.set_aside.append(Aside(line, "document_id: the row is of another document"))
    elif version and not _is_number(version):
        found.set_aside.append(Aside(line, "base_version: not a number"))
    elif version and found.base_version not in {None, int(version)}:
        found.set_aside.append(Aside(line, "base_version: another one than in the rows before"))
    else:
        found.base_version = int(version) if version else found.base_version
        found.rows.append((line, cells))


def document_of(kind: AllocationKind, found: Sheetful, effective_from: Any) -> tuple[Document, list[int]]:
    """The document of a file's rows, and the line in the file of each of its canonical rows; bad ones are set aside.

    Raises SheetRefused: what is left makes no document.
    """
    try:
        if kind == "hierarchy":
            return _hierarchy_of(found, effective_from)
        lines = _lines_of(kind, found)
        document = _DOCUMENTS[kind].model_validate(
            {"effective_from": effective_from, "lines": [line for _, line in lines]}
        )
    except ValidationError as error:
        raise SheetRefused(_told(error)) from error
    return document, [number for number, _ in lines]


def _lines_of(kind: AllocationKind, found: Sheetful) -> list[tuple[int, Line]]:
    model: type[Line] = _LINES[kind]
    lines: list[tuple[int, Line]] = []
    taken: dict[tuple[object, ...], list[tuple[int, Line]]] = {}
    for number, row in found.rows:
        try:
            line = model.model_validate(_values(kind, row))
        except ValidationError as error:
            found.set_aside.append(Aside(number, _told(error)))
            continue
        beside = taken.setdefault(_apart(line, number), [])
        clash = next((n for n, other in beside if _meet(line, other)), None)
        if clash is not None:
            told = "the location and service" if isinstance(line, CapacityLine) else "its period overlaps that"
            found.set_aside.append(Aside(number, f"{told} of line {clash}"))
            continue
        beside.append((number, line))
        lines.append((number, line))
    kept = {number for number, _ in lines}
    found.rows = [row for row in found.rows if row[0] in kept]
    return lines


def _meet(line: Line, other: Line) -> bool:
    """Whether two lines of one name cannot both be."""
    if isinstance(line, CapacityLine) or isinstance(other, CapacityLine):
        return True
    return line.start <= other.end and other.start <= line.end


def _apart(line: Line, number: int) -> tuple[object, ...]:
    """Lines of one name have their periods apart; a name of its own where they need not."""
    if isinstance(line, CapacityLine):
        return (line.location, line.service)
    if isinstance(line, ProtectionLine):
        return (line.sku, line.location, line.locations, line.tier)
    return line.combination() if line.backward_periods or line.forward_periods else (number,)


def _hierarchy_of(found: Sheetful, effective_from: Any) -> tuple[Document, list[int]]:
    nodes: dict[str, dict[str, Any]] = {}
    quantities: dict[tuple[str, str], tuple[int, Any]] = {}
    heads: dict[tuple[str, str], None] = {}
    spans: dict[str, str] = {}
    kept: list[tuple[int, Row]] = []
    for number, row in found.rows:
        values = _values("hierarchy", row)
        head, node, end = _parts_of(values)
        name = (str(values.get("node", "")), str(values.get("start", "")))
        if name in quantities:
            found.set_aside.append(Aside(number, f"the node and period of line {quantities[name][0]}"))
        elif nodes.setdefault(name[0], node) != node or spans.setdefault(name[1], end) != end:
            found.set_aside.append(Aside(number, "the node or the period is told otherwise before"))
        elif not isinstance(values.get("quantity"), int):
            found.set_aside.append(Aside(number, "quantity: not a whole number"))
        else:
            heads[head] = None
            quantities[name] = (number, values["quantity"])
            kept.append((number, row))
    found.rows = kept
    if len(heads) > 1:
        raise SheetRefused("all rows have one sku and one fair_share")
    starts = sorted(spans)
    missing = [f"{node} from {start}" for node in nodes for start in starts if (node, start) not in quantities]
    if missing:
        raise SheetRefused(f"no quantity of {', '.join(missing[:5])}")
    pools = [name for name, node in nodes.items() if node.get("attribute") == POOL]
    if len(pools) != 1:
        raise SheetRefused(f"one node has the attribute {POOL}")
    order = [*(name for name in nodes if name != pools[0]), pools[0]]
    whole = {name: [quantities[name, start][1] for start in starts] for name in order}
    sku, fair = next(iter(heads), ("", "no"))
    document = HierarchyDocument.model_validate(
        {
            "effective_from": effective_from,
            "sku": sku,
            "fair_share": YES_OR_NO.get(fair.lower() or "no", fair),
            "periods": [{"start": start, "end": spans[start]} for start in starts],
            "nodes": [{**nodes[name], "quantities": whole[name]} for name in order[:-1]],
            "pool": {"node": pools[0], "quantities": whole[pools[0]]},
        }
    )
    return document, [quantities[name, start][0] for name in order for start in starts]


def _parts_of(values: dict[str, Any]) -> tuple[tuple[str, str], dict[str, Any], str]:
    """Of a row of a hierarchy: what is the document's, what the node's, and the end of the period."""
    head = (str(values.get("sku", "")), _text(values.get("fair_share", False)))
    own = {name: each for name, each in values.items() if name not in {"sku", "fair_share", "start", "end", "quantity"}}
    return head, own, str(values.get("end", ""))


def _values(kind: AllocationKind, row: Row) -> dict[str, Any]:
    """Cells as the values that the schema wants; an empty cell is left out."""
    sheet = SHEETS[kind]
    values: dict[str, Any] = {}
    for name, cell in row.items():
        if not cell:
            continue
        if name in sheet.numbers:
            values[name] = int(cell) if _is_number(cell) else cell
        elif name in sheet.flags:
            values[name] = YES_OR_NO.get(cell.lower(), cell)
        elif name in _PACKED:
            values[name] = _PACKED[name](cell)
        elif name == "locations":
            values[name] = tuple(part.strip() for part in cell.split(";") if part.strip())
        else:
            values[name] = cell
    return values


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) <= DIGITS_MAX


def _told(error: ValidationError) -> str:
    """What is wrong, in words: the column and the rule."""
    found: Iterable[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}".removeprefix(": ") for one in found]
    return "; ".join(shown[:5])
