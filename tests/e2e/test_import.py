"""`tiercel import` and `tiercel reconcile-stock`: files are applied once, bad rows set aside, differences counted."""

import csv
from pathlib import Path

from tests.support.serve import Served, tiercel
from tiercel.commands.importing import SHEETS

MOVEMENTS = """source,reference,sku,location,kind,quantity,occurred_at,sequence
wms,GR-L1,LOAD-1,DC-L,receipt,30,2026-01-05T08:00:00Z,1
wms,GR-L2,LOAD-1,DC-L,receipt,1.5,2026-01-05T08:00:00Z,2
wms,GR-L3,LOAD-1,DC-L,issue,-4,2026-01-05T09:00:00Z,2
wms,GR-L4,LOAD-1,DC-L,receipt,5,yesterday,3
wms,GR-L5,LOAD-9,DC-L,receipt,5,2026-01-05T08:00:00Z,1
wms,GR-L6,LOAD-1,DC-9,receipt,5,2026-01-05T08:00:00Z,1
"""
ITEMS = "sku,active,units,backorder_policy,backorder_limit\nLOAD-1,yes,case=12,limited,5\nLOAD-2,yes,case=dozen,,\n"


def _aside(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as report:
        return [(row["line"], row["reason"]) for row in csv.DictReader(report)]


def test_files_are_imported_once_and_their_bad_rows_are_set_aside(served: Served, tmp_path: Path) -> None:
    assert served.ask("atp", "PUT", "/v1/locations/DC-L", {"time_zone": "UTC"}).status_code < 300
    items, movements, aside = tmp_path / "items.csv", tmp_path / "movements.csv", tmp_path / "aside.csv"
    items.write_text(ITEMS)
    movements.write_text(MOVEMENTS)
    to = ("--url", served.urls["atp"], "--key", served.key, "--set-aside", str(aside))
    dry = tiercel("import", "items", str(items), "--dry-run", *to)
    assert "2 rows: 1 would be sent, 1 set aside" in dry.stdout, dry.stdout + dry.stderr
    assert served.ask("atp", "GET", "/v1/items/LOAD-1").status_code == 404
    done = tiercel("import", "items", str(items), *to)
    assert (done.returncode, _aside(aside)) == (1, [("3", "units.0.quantity: int_type")]), done.stderr
    item = served.ask("atp", "GET", "/v1/items/LOAD-1").json()
    assert item["units"] == [{"unit": "case", "quantity": 12}]
    assert item["backorders"] == {"policy": "limited", "until": None, "limit": 5}
    for _ in range(2):
        done = tiercel("import", "movements", str(movements), *to)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "6 rows: 2 sent, 4 set aside" in done.stdout
        assert [line for line, _ in _aside(aside)] == ["3", "5", "6", "7"]
        assert [reason for _, reason in _aside(aside)][2:] == [
            "sku: LOAD-9 is not known",
            "location: DC-9 is not known",
        ]
        answer = served.ask("atp", "GET", "/v1/availability?sku=LOAD-1&location=DC-L")
        assert answer.json()["locations"][0]["on_hand"] == 26
    extract = tmp_path / "extract.csv"
    extract.write_text("sku,location,on_hand\nLOAD-1,DC-L,24\nLOAD-1,DC-M,1\n")
    report = tmp_path / "differences.csv"
    against = (str(extract), "--url", served.urls["atp"], "--key", served.key, "--report", str(report))
    exact = tiercel("reconcile-stock", *against)
    assert (exact.returncode, "2 differ, 2 by more than 0" in exact.stdout) == (1, True), exact.stdout + exact.stderr
    assert report.read_text().splitlines()[1:] == ["LOAD-1,DC-L,24,26,2", "LOAD-1,DC-M,1,0,-1"]
    assert tiercel("reconcile-stock", *against, "--tolerance", "2").returncode == 0


def test_every_template_names_the_columns_of_its_kind() -> None:
    for kind, sheet in SHEETS.items():
        told = tiercel("import", "--template", kind)
        header, example = told.stdout.strip().splitlines()
        assert header.split(",") == list(sheet.example)
        assert len(example.split(",")) == len(header.split(","))
