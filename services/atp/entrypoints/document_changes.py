"""What tells one version of an allocation document from another, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.atp.application.planning import AllocationKind
from services.atp.entrypoints.allocation_csv import SHEETS, Row


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field before and after, as the cell of a row."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that was added, removed or changed. `index` is its place in the new version; None: it was removed."""

    change: Literal["added", "removed", "changed"]
    row: str
    index: int | None
    fields: tuple[FieldChange, ...]


def changes(kind: AllocationKind, before: Sequence[Row], after: Sequence[Row]) -> list[RowChange]:
    """The changes in the order of the new version, what was removed last. Rows are held together by their keys.

    Rows that say the same are paired first; of further ones with one key, the first with the first.
    """
    left: dict[tuple[str, ...], list[Row]] = {}
    for row in before:
        left.setdefault(_key(kind, row), []).append(row)
    unpaired: list[tuple[int, Row]] = []
    for index, row in enumerate(after):
        same = left.get(_key(kind, row), [])
        if row in same:
            same.remove(row)
        else:
            unpaired.append((index, row))
    found: list[RowChange] = []
    for index, row in unpaired:
        same = left.get(_key(kind, row), [])
        former = same.pop(0) if same else None
        found.append(RowChange("changed" if former else "added", _name(kind, row), index, _fields(kind, former, row)))
    gone = [row for rows in left.values() for row in rows]
    return found + [RowChange("removed", _name(kind, row), None, _fields(kind, row, None)) for row in gone]


def _key(kind: AllocationKind, row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in SHEETS[kind].keys)


def _name(kind: AllocationKind, row: Row) -> str:
    return " ".join(f"{name}={row[name]}" for name in SHEETS[kind].keys if row[name])


def _fields(kind: AllocationKind, before: Row | None, after: Row | None) -> tuple[FieldChange, ...]:
    pairs = ((name, (before or {}).get(name, ""), (after or {}).get(name, "")) for name in SHEETS[kind].columns)
    return tuple(FieldChange(*pair) for pair in pairs if pair[1] != pair[2])
