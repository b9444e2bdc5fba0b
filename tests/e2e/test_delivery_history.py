"""A generated history of deliveries of the recorded one's shape, through the running services, and its bench."""

import csv
import json
import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench import scms
from bench.delivery_figures import Compared
from bench.delivery_history import NOTICE_DAYS, TRANSIT_DAYS, past_of, read

SINCE = date(2012, 1, 1)
COUNTRIES = [f"Land {number}" for number in range(1, 11)]
VENDORS = ["Vendor Ltd", "Maker, Inc."]


def write_history(path: Path, *, seed: int, orders: int) -> None:
    """Orders of a year and a quarter around `SINCE`; one line in eight late, one in four early."""
    chance = random.Random(seed)
    rows = []
    for number in range(1, orders + 1):
        start = SINCE - timedelta(days=365) + timedelta(days=455 * number // orders)
        vendor = chance.choice([*VENDORS, "SCMS from RDC"])
        country = chance.choices(COUNTRIES, range(10, 0, -1))[0]
        for line in range(1, chance.randint(1, 3) + 1):
            promised = start + timedelta(days=chance.randint(20, 60))
            late = chance.choices([0, chance.randint(1, 25), -chance.randint(1, 12)], [5, 1, 2])[0]
            packs = chance.randint(1, 5_000)
            row = {
                "line_id": f"{number}{line}",
                "order_id": f"O-{number}",
                "country": country,
                "fulfill_via": "From RDC" if vendor == "SCMS from RDC" else "Direct Drop",
                "vendor": vendor,
                "sku": f"S{chance.randint(1, 6):03d}",
                "qty_packs": packs,
                "line_value_usd": f"{packs * 2.5:.2f}",
                "pack_price_usd": "2.5",
                "freight_usd": chance.choice(["", "512.25"]),
                "promised_date": promised.isoformat(),
                "delivered_date": (promised + timedelta(days=late)).isoformat(),
                "start_date": chance.choice(["", start.isoformat()]),
            }
            rows.append(row)
    with path.open("w", newline="") as written:
        writer = csv.DictWriter(written, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_history_is_read_with_what_it_does_not_record(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", seed=1, orders=200)
    orders = read(tmp_path / "history.csv")
    assert [order.ordered for order in orders] == sorted(order.ordered for order in orders)
    for order in orders:
        assert all(line.left >= order.ordered + timedelta(days=NOTICE_DAYS - TRANSIT_DAYS) for line in order.lines)
        assert all(line.due_in >= order.ordered for line in order.lines)
    past = past_of(orders, SINCE)
    assert Counter(past.tiers.values()) == {"gold": 1, "silver": 3}
    assert past == past_of([order for order in orders if order.ordered < SINCE], SINCE), "later orders tell nothing"
    assert past.freight_cents == 51_225


def test_a_figure_that_differs_is_named() -> None:
    compared = Compared()
    tier = {"tier": "gold", "counts": {"lines_due": 2}, "costs": [], "activities": {}}
    compared.compare(
        "2012-01", {"tiers": [tier]}, {"gold": {"counts": {"lines_due": 3}, "costs": {}, "quantities": {}}}
    )
    assert compared.differences == ["2012-01 gold lines_due: 2 told, 3 counted from events"]
    assert compared.figures == 1


@pytest.mark.timeout(600)
def test_the_measures_of_recorded_deliveries_are_what_their_events_say(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", seed=7, orders=160)
    history = str(tmp_path / "history.csv")
    assert scms.main([history, "--since", SINCE.isoformat(), "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "scms.json").read_text())
    assert found["answered_once"] == found["orders"] > 20
    assert found["figures_compared"] > 100
    assert found["figures_that_differ"] == 0
    told = [found["by_tier"][tier]["promised_and_actual"] for tier in ("gold", "silver", "bronze")]
    assert sum(each["lines"] for each in told) == found["lines"]
    assert all(each["lines"] for each in told), "every tier has ordered"
    assert sum(each["delivered_late"] for each in told) > 0
    assert sum(each["delivered_early"] for each in told) > 0
