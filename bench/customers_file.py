"""A file of customers with their tiers, drawn from a seed, and what an import has to make of it.

One row in two hundred is bad, of eight kinds in turn; one in a hundred names a customer of an earlier row again, which
changes nothing and is no bad row.
"""

import csv
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SEED: Final = 20_261
BAD_ONE_IN: Final = 200
REPEATED_ONE_IN: Final = 100
SECOND_IDENTIFIER_SHARE: Final = 0.3
BAD_FIRST: Final = 150  # a row that takes two customers together needs two before it
TIERS: Final = ("gold", "silver", "bronze")
TIER_WEIGHTS: Final = (5, 15, 80)
COLUMNS: Final = ("identifiers", "tier", "reason")
REASONS: Final = ("migrated from the former system", "contract of 2025", "")
Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Expected:
    """What has to come of the file: tiers of customers by their identifiers, and codes or words of bad lines."""

    rows: int
    customers: dict[Pairs, str] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    repeated: int = 0


def write_csv(path: Path, rows: int) -> Expected:
    """Write the file; the same rows whenever it is called."""
    expected = Expected(rows)
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(drawn(rows, expected))
    return expected


def drawn(rows: int, expected: Expected) -> Iterator[list[str]]:
    """The rows; `expected` is complete with the last one."""
    chance = random.Random(SEED)
    recent: list[Pairs] = []  # of the last few customers
    for number in range(rows):
        line = number + 2
        if number % BAD_ONE_IN == BAD_FIRST:
            cells, reason = _bad(number, recent)
            expected.bad[line] = reason
            yield cells
            continue
        if number % REPEATED_ONE_IN == REPEATED_ONE_IN - 1:
            pairs = chance.choice(recent)
            expected.repeated += 1
        else:
            pairs = _names(number, chance)
            expected.customers[pairs] = chance.choices(TIERS, TIER_WEIGHTS)[0]
            recent = [*recent[-49:], pairs]
        yield [_cell(pairs), expected.customers[pairs], chance.choice(REASONS)]


def _names(number: int, chance: random.Random) -> Pairs:
    shop = ("shop", f"C-{number:07d}")
    return (("erp", f"D{number:08d}"), shop) if chance.random() < SECOND_IDENTIFIER_SHARE else (shop,)


def _cell(pairs: Pairs) -> str:
    return ";".join(f"{system}={id_}" for system, id_ in pairs)


def _bad(number: int, recent: list[Pairs]) -> tuple[list[str], str]:
    """A bad row, and what the reason has to contain."""
    name = f"shop=B-{number}"
    two = f"{_cell(recent[-1][-1:])};{_cell(recent[-2][-1:])}"
    kinds: Mapping[int, tuple[list[str], str]] = {
        0: (["", "gold", ""], "identifiers"),
        1: (["C-9", "gold", ""], "shop=C-9"),
        2: ([f"shop={'9' * 129}", "gold", ""], "string_too_long"),
        3: ([name, "platinum", ""], "unknown_tier"),
        4: ([name, "gold!", ""], "string_pattern_mismatch"),
        5: ([f"tiercel={number}", "gold", ""], "system_reserved"),
        6: ([two, "gold", ""], "several_customers"),
        7: ([name, "gold", "x" * 501], "string_too_long"),
    }
    return kinds[number // BAD_ONE_IN % len(kinds)]
