"""`tiercel customers`: who is in which tier goes out as a file, whole or what changed since."""

import csv
from pathlib import Path

from pyarrow import parquet

from tests.support.serve import Served, tiercel


def _assign(served: Served, name: str, tier: str) -> str:
    body = {"identifiers": [{"system": "erp", "id": name}]}
    customer: str = served.ask("segment_registry", "POST", "/v1/customers", body).json()["customer_id"]
    path = f"/v1/customers/{customer}/assignments"
    assert served.ask("segment_registry", "POST", path, {"tier": tier, "reason": "=1+1"}).status_code == 201
    return customer


def test_a_delta_file_holds_what_changed_since_the_last_one(served: Served, tmp_path: Path) -> None:
    to = ("--url", served.urls["segment_registry"], "--key", served.key)
    first = _assign(served, "exported 1", "standard")
    out, cursor = tmp_path / "tiers.csv", tmp_path / "cursor"
    whole = tiercel("customers", "export", str(out), "--cursor", str(cursor), *to)
    assert whole.returncode == 0, whole.stderr
    with out.open(newline="") as file:
        [row] = [row for row in csv.DictReader(file) if row["customer_id"] == first]
    assert (row["identifiers"], row["tier"], row["served_tier"]) == ("erp=exported 1", "standard", "standard")
    assert row["basis"] == "assigned"
    assert row["reason"].startswith("'=")  # no cell is a formula
    second = _assign(served, "exported 2", "standard")
    delta = tmp_path / "delta.parquet"
    changed = tiercel("customers", "export", str(delta), "--cursor", str(cursor), *to)
    assert changed.returncode == 0, changed.stderr
    assert parquet.read_table(delta)["customer_id"].to_pylist() == [second]
    nothing = tiercel("customers", "export", str(delta), "--cursor", str(cursor), *to)
    assert "0 customers, 0 rows" in nothing.stdout, nothing.stderr
    assert parquet.read_table(delta).num_rows == 0
    merge = {"into": first, "reason": "a duplicate"}
    assert served.ask("segment_registry", "POST", f"/v1/customers/{second}:merge", merge).status_code == 200
    body = {"tier": "standard", "kind": "override", "reason": "x", "effective_to": "2031-01-01T00:00:00Z"}
    for _ in range(2):  # once as it is merged, and again as the one changes by which it is served
        assert tiercel("customers", "export", str(delta), "--cursor", str(cursor), *to).returncode == 0
        [row] = [row for row in parquet.read_table(delta).to_pylist() if row["customer_id"] == second]
        assert (row["served_tier"], row["tier"], row["merged_into"]) == ("standard", None, first)
        assert served.ask("segment_registry", "POST", f"/v1/customers/{first}/assignments", body).status_code < 300
    refused = tiercel("customers", "export", str(tmp_path / "tiers.xlsx"), *to)
    assert (refused.returncode, "one of .csv, .parquet" in refused.stderr) == (1, True)
