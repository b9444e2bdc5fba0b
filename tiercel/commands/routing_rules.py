"""Documents of routing rules from rows: one row for each rule; the rows of a document may stand apart.

A location is written with its rank (`DC-1=1;ST-2=2`). Attempts are written one after another with a bar between them,
each with kinds, a slash and carrier classes: `distribution_center/express | third_party,drop_ship/` (an empty side is
any).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tiercel.commands.csv_files import Row

KINDS: Final = ("sourcing-rules", "fulfilment-modes", "substitutions")
_NUMBERS: Final = ("quantity", "substitute_quantity")
_YES: Final = ("true", "yes", "1")
_NO: Final = ("false", "no", "0")


def by_document(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each document, in the order in which they come first."""
    found: dict[str | None, list[Row]] = {}
    for row in rows:
        found.setdefault(row.cells.get("document"), []).append(row)
    return list(found.values())


def document_of(rows: Sequence[Row]) -> dict[str, Any] | str:
    """The rows of one document as it is written; or why they are none."""
    document, effective = rows[0].cells.get("document"), rows[0].cells.get("effective_from")
    if document is None:
        return "document: none is named"
    if any(row.cells.get("effective_from") != effective for row in rows):
        return "effective_from: the rows of a document say different things"
    rules = [_rule(row.cells) for row in rows]
    return {"document": document, "version": 1, "effective_from": effective, "rules": rules}


def _rule(cells: Mapping[str, str]) -> dict[str, Any]:
    rule: dict[str, Any] = {name: cell for name, cell in cells.items() if name not in {"document", "effective_from"}}
    for name in _NUMBERS:
        if name in rule and rule[name].isdecimal():
            rule[name] = int(rule[name])
    if "locations" in rule:
        rule["locations"] = tuple(_ranked(part) for part in _parts(rule["locations"], ";"))
    if "attempts" in rule:
        rule["attempts"] = tuple(_attempt(part) for part in rule["attempts"].split("|"))
    if rule.get("in_turn", "").lower() in {*_YES, *_NO}:
        rule["in_turn"] = rule["in_turn"].lower() in _YES
    return rule


def _ranked(part: str) -> dict[str, Any]:
    location, _, rank = part.partition("=")
    ranked: dict[str, Any] = {"location": location.strip()}
    if rank:
        ranked["rank"] = int(rank) if rank.strip().isdecimal() else rank
    return ranked


def _attempt(text: str) -> dict[str, Any]:
    kinds, _, classes = text.partition("/")
    return {"kinds": _parts(kinds, ","), "carrier_classes": _parts(classes, ",")}


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())
