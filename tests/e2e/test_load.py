"""`tiercel load`: a file of items and of supply is applied once; bad rows are set aside with their reason."""

import csv
from pathlib import Path

from tests.support.serve import Served, tiercel

MOVEMENTS = """source,reference,sku,location,kind,quantity,occurred_at,sequence
wms,GR-L1,LOAD-1,DC-L,receipt,30,2026-01-05T08:00:00Z,1
wms,GR-L2,LOAD-1,DC-L,receipt,1.5,2026-01-05T08:00:00Z,2
wms,GR-L3,LOAD-1,DC-L,issue,-4,2026-01-05T09:00:00Z,2
wms,GR-L4,LOAD-1,DC-L,receipt,5,yesterday,3
"""


def test_a_file_is_loaded_once_and_its_bad_rows_are_set_aside(served: Served, tmp_path: Path) -> None:
    assert served.ask("atp", "PUT", "/v1/locations/DC-L", {"time_zone": "UTC"}).status_code < 300
    items, movements = tmp_path / "items.csv", tmp_path / "movements.csv"
    items.write_text("sku,active\nLOAD-1,yes\n")
    movements.write_text(MOVEMENTS)
    to = ("--url", served.urls["atp"], "--key", served.key, "--set-aside", str(tmp_path / "aside.csv"))
    loaded = tiercel("load", "items", str(items), *to)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    for _ in range(2):
        done = tiercel("load", "movements", str(movements), *to)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "4 rows: 2 sent, 2 set aside" in done.stdout
        with (tmp_path / "aside.csv").open(newline="") as report:
            rows = list(csv.DictReader(report))
        assert [row["row"] for row in rows] == ["2", "4"]
        assert all(word in row["reason"] for row, word in zip(rows, ("quantity", "occurred_at"), strict=True))
        answer = served.ask("atp", "GET", "/v1/availability?sku=LOAD-1&location=DC-L")
        assert answer.json()["locations"][0]["on_hand"] == 26
