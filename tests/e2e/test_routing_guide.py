"""The guide to routing, followed as it stands: a store, a vendor, another's warehouse, and gold that travels faster."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.guides import SECONDS_MAX, follow
from tests.support.serve import Served


@pytest.mark.timeout(SECONDS_MAX + 60)  # some fifty commands, each a process of its own
def test_the_guide_shows_each_source_with_its_calendar_cost_and_reasons(served: Served, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    follow("routing.md", served, tmp_path)

    def read(name: str) -> Any:
        return json.loads((tmp_path / "routed" / f"{name}.json").read_text())

    expected = {
        "collected": ("LEEDS-SHOP", "counter", 2, 0, "pick_up"),
        "vendor": ("KETTLE-MAKER", "vendor", 7, 350, "standard"),
        "others": ("OTHERS-HALL", "van", 9, 200, "standard"),
        "soon": ("OUR-DC", "air", 1, 900, "express"),
        "later": ("OUR-DC", "truck", 3, 300, "standard"),
    }
    for name, (location, service, days, cost, carrier_class) in expected.items():
        [line] = read(name)["lines"]
        [part] = line["schedule"]
        arrival = (today + timedelta(days=days)).isoformat()
        assert (part["location"], part["service"], part["arrival_date"]) == (location, service, arrival), name
        assert (part["cost_minor"], part["routing"]["carrier_class"]) == (cost, carrier_class), name
    assert read("others")["lines"][0]["why"][0]["kind"] == "calendar"
    assert read("vendor")["lines"][0]["outcome"] == "promised_late"
    for name in ("soon", "later"):
        [line] = read(name)["lines"]
        assert [each["rule"] for each in line["routed_by"]] == ["UK-MODES/gold"]
        routing = line["schedule"][0]["routing"]
        assert (routing["pick_priority"], routing["packaging"], routing["handling"]) == (1, "gift-box", ["signature"])
    assert any("fulfilment mode UK-MODES/gold" in each for each in read("soon-explained")["lines"][0]["for_planner"])
    zone = read("zone")
    assert (zone["zone"], zone["rule"]["postcode_prefix"], len(zone["others"])) == ("UK", "LS", 1)
