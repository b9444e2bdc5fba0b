"""The guide to going live, followed as it stands; and open orders from files as people have them."""

import csv
import json
from pathlib import Path

import pytest

from tests.support.guides import SECONDS_MAX, follow
from tests.support.serve import Served, tiercel
from tiercel.commands.import_sheets import OPEN_ORDERS, SHEETS


@pytest.mark.timeout(SECONDS_MAX + 60)  # some thirty commands, each a process of its own
def test_the_guide_leads_from_open_orders_to_the_first_promise(served: Served, tmp_path: Path) -> None:
    told = follow("go-live.md", served, tmp_path)
    assert "3 rows: 2 would be sent, 1 set aside" in told
    assert "more is promised than was ordered" in told
    assert told.count("3 rows: 3 sent, 0 set aside") == 2
    assert "1 positions compared, 0 differ, 0 by more than 0." in told
    assert "short: TEA-1@DC-1 by 20 from 20" in told
    short = json.loads((tmp_path / "live" / "exceptions.json").read_text())["items"]
    assert sum(each["quantity"] for each in short) == 20
    assert {each["cause"] for each in short} == {"cut_over"}
    promise = json.loads((tmp_path / "live" / "promise.json").read_text())
    [line] = promise["lines"]
    assert (line["outcome"], line["schedule"][0]["ship_date"] >= "2099-06-01") == ("promised_late", True)
    explained = json.loads((tmp_path / "live" / "explanation.json").read_text())
    assert any("taken over from another system" in each for each in explained["for_planner"])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _order(**cells: str) -> str:
    columns = SHEETS[OPEN_ORDERS].example
    return ";".join({**columns, "version": "", "unit_price": "", "shipped": "", **cells}[name] for name in columns)


def test_an_order_is_taken_over_whole_or_set_aside_whole(served: Served, tmp_path: Path) -> None:
    for path, body in (
        ("/v1/locations/DC-G", {"time_zone": "UTC"}),
        ("/v1/items/GO-1", {"sku": "GO-1"}),
        ("/v1/items/GO-2", {"sku": "GO-2", "units": [{"unit": "case", "quantity": 12}]}),
    ):
        assert served.ask("atp", "PUT", path, body).status_code < 300
    common = {"sku": "GO-1", "location": "DC-G", "country": "", "postcode": "", "zone": "GB"}
    rows = [
        _order(**common, order_id="G-1", ordered="10", promised="4", ship_date="2099-01-05", arrival_date="2099-01-07"),
        _order(**common, order_id="G-2", line="1"),
        _order(
            **{**common, "sku": "GO-2"}, order_id="G-1", line="2", unit="case", ordered="2", promised="2", shipped="1"
        ),
        _order(**common, order_id="G-1", ordered="10", promised="6", ship_date="2099-02-05", arrival_date="2099-02-07"),
        _order(**common, order_id="G-2", line="2", ordered="five"),
        _order(**{**common, "sku": "=cmd|'/c calc'!A1"}, order_id="G-3"),
        _order(**common, order_id="G-4", ordered_at="2026-01-02T09:30:00Z"),
        _order(**common, order_id="G-4", ordered_at="2026-01-03T09:30:00Z", line="2"),
        _order(**{**common, "location": "DC-9"}, order_id="G-5"),
        _order(**common, order_id="G-6", service="pigeon", arrival_date=""),
        _order(
            **{**common, "location": "", "promised": "", "service": "", "ship_date": "", "arrival_date": ""},
            order_id="G-7",
        ),
    ]
    file, aside = tmp_path / "open.csv", tmp_path / "aside.csv"
    file.write_text(";".join(SHEETS[OPEN_ORDERS].example) + "\n" + "\n".join(rows) + "\n", encoding="utf-16")
    to = ("--url", served.urls["atp"], "--key", served.key, "--set-aside", str(aside))
    for _ in range(2):
        done = tiercel("import", OPEN_ORDERS, str(file), *to)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "11 rows: 4 sent, 7 set aside" in done.stdout
    found = {row["line"]: row for row in _rows(aside)}
    assert sorted(found, key=int) == ["3", "6", "7", "8", "9", "10", "11"]
    assert found["3"]["reason"] == found["6"]["reason"] == "lines.1.quantity: Input should be a valid integer"
    assert found["7"]["reason"] == "sku: =cmd|'/c calc'!A1 is not known"
    assert found["8"]["reason"] == "line 9 of the file: ordered_at is not what another row of the order says"
    assert found["10"]["reason"] == "location: DC-9 is not known"
    assert found["11"]["reason"].startswith("no_lane: line 1: no lane of pigeon from DC-G")
    taken = served.ask("atp", "GET", "/v1/promises?source=legacy&order_id=G-1").json()
    assert [(line["quantity"], line["promised"], line["shipped"]) for line in taken["lines"]] == [
        (10, 10, 0),
        (24, 24, 12),
    ]
    assert len(taken["lines"][0]["schedule"]) == 2
    waits = served.ask("atp", "GET", "/v1/promises?source=legacy&order_id=G-7").json()
    assert [(line["promised"], line["backordered"]) for line in waits["lines"]] == [(0, 30)]
    report = tmp_path / "reconciliation.csv"
    told = tiercel("reconcile-stock", "--url", served.urls["atp"], "--key", served.key, "--report", str(report))
    assert told.returncode == 1, told.stdout + told.stderr
    assert "in the way: GO-1@DC-G: not_counted" in told.stdout
    [row] = [each for each in _rows(report) if each["sku"] == "GO-1"]
    assert (row["committed"], row["lowest"], row["lowest_on"], row["deficit"]) == ("10", "-10", "2099-02-05", "10")


def test_a_set_aside_file_never_replaces_what_is_imported(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("sku\nTEA-1\n")
    to = ("--url", served.urls["atp"], "--key", served.key, "--set-aside", str(file))
    done = tiercel("import", "items", str(file), *to)
    assert (done.returncode, "would be overwritten" in done.stderr) == (1, True)
    assert file.read_text() == "sku\nTEA-1\n"
