"""Allocation documents as files: whatever a document holds comes back, and a diff says what a multiset would."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.planning import AllocationKind
from services.atp.entrypoints.allocation_csv import (
    SHEETS,
    Row,
    defused,
    document_of,
    plain,
    read_sheet,
    rows_of,
    write_sheet,
)
from services.atp.entrypoints.allocation_documents import Document, HierarchyDocument, ProtectionDocument, QuotaDocument
from services.atp.entrypoints.document_changes import changes

FIRST = date(2026, 1, 1)
IDS = st.text("=+-@'\",;x1é", min_size=1, max_size=6)
CODES = st.sampled_from(["L1", "L2", "*", "a:b", "gold"])
SMALL = st.integers(0, 10**12)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def protections(draw: st.DrawFn) -> ProtectionDocument:
    """Lines whose periods are apart by their number, so that none overlaps another."""
    lines = []
    for number in range(draw(st.integers(0, 6))):
        size = draw(
            st.fixed_dictionaries({"protected_qty": SMALL})
            | st.fixed_dictionaries({"percent": st.decimals(0, 100, places=2).map(Decimal.normalize).map(str)})
            | st.fixed_dictionaries({"ratio": st.integers(1, 1_000_000)})
        )
        place = draw(
            st.just({})
            | st.fixed_dictionaries({"location": CODES})
            | st.fixed_dictionaries({"locations": st.lists(CODES, min_size=1, max_size=3)})
        )
        lines.append(
            {
                "sku": draw(IDS),
                "tier": draw(CODES),
                "start": FIRST + timedelta(10 * number),
                "end": FIRST + timedelta(10 * number + draw(st.integers(0, 9))),
                "mode": draw(st.sampled_from(["prioritised", "core"])),
                "lapse_days": draw(some(st.integers(0, 365))),
                "carry_stock": draw(st.booleans()),
                "unconsumable": draw(st.booleans()),
                "strict_privilege": draw(st.booleans()),
                "expected_qty": draw(some(SMALL)),
                **size,
                **place,
            }
        )
    return ProtectionDocument.model_validate({"lines": lines})


@st.composite
def quotas(draw: st.DrawFn) -> QuotaDocument:
    """Lines that may name anything."""
    lines = [
        {
            "start": FIRST + timedelta(10 * number),
            "end": FIRST + timedelta(10 * number + 9),
            "quantity": draw(SMALL),
            "sku": draw(some(IDS)),
            "customer": draw(some(IDS)),
            "backward_periods": draw(st.integers(0, 60)),
            "forward_periods": draw(st.integers(0, 60)),
            **{name: draw(some(CODES)) for name in ("tier", "item_group", "zone", "region", "channel")},
        }
        for number in range(draw(st.integers(0, 6)))
    ]
    return QuotaDocument.model_validate({"lines": lines})


@st.composite
def hierarchies(draw: st.DrawFn) -> HierarchyDocument:
    """Trees in which a parent comes before its children."""
    periods = draw(st.integers(1, 3))
    quantities = st.lists(SMALL, min_size=periods, max_size=periods)
    nodes: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 5))):
        parents = [None, *(node["node"] for node in nodes)]
        nodes.append(
            {
                "node": f"n{number}",
                "parent": draw(st.sampled_from(parents)),
                "attribute": draw(st.sampled_from(["region", "zone", "tier", "channel", "customer"])),
                "value": draw(IDS),
                "priority": draw(st.integers(1, 1_000_000)),
                "borrow_policy": draw(st.sampled_from(["none", "siblings"])),
                "lock_window_days": draw(st.integers(0, 365)),
                "quantities": draw(quantities),
            }
        )
    spans = [(FIRST + timedelta(10 * number), FIRST + timedelta(10 * number + 9)) for number in range(periods)]
    return HierarchyDocument.model_validate(
        {
            "sku": draw(IDS),
            "fair_share": draw(st.booleans()),
            "periods": [{"start": start, "end": end} for start, end in spans],
            "nodes": nodes,
            "pool": {"node": "rest", "quantities": draw(quantities)},
        }
    )


@given(st.one_of(protections(), quotas(), hierarchies()))
def test_what_is_written_reads_back_as_the_same_document(document: Document) -> None:
    kind: AllocationKind = document.kind
    found = read_sheet(kind, write_sheet(kind, "doc", 7, document), "doc")
    rows = rows_of(document)
    assert (found.count, found.set_aside) == (len(rows), [])
    assert found.base_version == (7 if rows else None)
    again, lines = document_of(kind, found, None)
    assert again == document
    assert found.set_aside == []
    assert lines == sorted(lines)


@given(st.text(max_size=8))
def test_no_cell_begins_as_a_formula_does_and_each_means_what_it_did(cell: str) -> None:
    assert plain(defused(cell)) == cell
    assert defused(cell)[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}


KEYS = SHEETS["hierarchy"].keys
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from("xyz")), max_size=8)


def rows(drawn: list[tuple[str, str, str]]) -> list[Row]:
    blank = dict.fromkeys(SHEETS["hierarchy"].columns, "")
    return [{**blank, "node": node, "start": start, "quantity": quantity} for node, start, quantity in drawn]


@given(ROWS, ROWS)
def test_a_diff_says_as_much_as_differs_and_no_more(before: list[tuple[str, str, str]], after: list[Any]) -> None:
    found = changes("hierarchy", rows(before), rows(after))
    by_kind = Counter(each.change for each in found)
    gone, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    paired = sum((Counter({k[:2]: 0 for k in gone}) + _keys(gone) & _keys(new)).values())
    assert by_kind["changed"] == paired
    assert (by_kind["removed"], by_kind["added"]) == (gone.total() - paired, new.total() - paired)
    for each in found:
        assert each.fields
        assert (each.index is None) == (each.change == "removed")
        if each.change == "changed":
            assert {field.field for field in each.fields}.isdisjoint(KEYS)


def _keys(counted: "Counter[tuple[str, str, str]]") -> "Counter[tuple[str, str]]":
    found: Counter[tuple[str, str]] = Counter()
    for (node, start, _), count in counted.items():
        found[node, start] += count
    return found
