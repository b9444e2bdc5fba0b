"""`tiercel import` and `tiercel reconcile-stock`: files are applied once, bad rows set aside, differences counted."""

import csv
from pathlib import Path

from tests.support.serve import Served, tiercel
from tiercel.commands.import_sheets import SHEETS

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
    assert (done.returncode, _aside(aside)) == (1, [("3", "units.0.quantity: Input should be a valid integer")]), (
        done.stderr
    )
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
    report = tmp_path / "reconciliation.csv"
    against = (str(extract), "--url", served.urls["atp"], "--key", served.key, "--report", str(report))
    exact = tiercel("reconcile-stock", *against)
    assert (exact.returncode, "2 differ, 2 by more than 0" in exact.stdout) == (1, True), exact.stdout + exact.stderr
    with report.open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["sku"] == "LOAD-1"]
    assert [(row["location"], row["extract_on_hand"], row["on_hand"], row["difference_on_hand"]) for row in found] == [
        ("DC-L", "24", "26", "2"),
        ("DC-M", "1", "0", "-1"),
    ]
    assert tiercel("reconcile-stock", *against, "--tolerance", "2").returncode == 0


def test_an_allocation_document_goes_out_is_edited_looked_at_and_comes_back(served: Served, tmp_path: Path) -> None:
    for sku in ("ROUND-1", "ROUND-2"):
        assert served.ask("atp", "PUT", f"/v1/items/{sku}", {"sku": sku, "version": 1}).status_code == 200
    period = {"start": "2026-12-01", "end": "2026-12-31", "quantity": 10}
    document = {"lines": [{**period, "sku": "ROUND-1"}, {**period, "sku": "ROUND-2"}]}
    assert served.ask("atp", "PUT", "/v1/quotas/ROUND", document).status_code == 200
    file, aside = tmp_path / "quotas.csv", tmp_path / "aside.csv"
    to = ("--url", served.urls["atp"], "--key", served.key)
    done = tiercel("allocations", "export", "quotas", "ROUND", str(file), *to)
    assert "version 1 of ROUND" in done.stdout, done.stdout + done.stderr
    file.write_text(file.read_text().replace(",10,,ROUND-1,", ",25,,ROUND-1,"))
    dry = tiercel("allocations", "import", "quotas", str(file), "--dry-run", "--set-aside", str(aside), *to)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    for told in ("changed sku=ROUND-1", "quantity: 10 -> 25", "open promises would be touched", "nothing was written"):
        assert told in dry.stdout
    done = tiercel("allocations", "import", "quotas", str(file), "--set-aside", str(aside), *to)
    assert "1 differ, 1 do not; version 2 was written" in done.stdout, done.stdout + done.stderr
    again = tiercel("allocations", "import", "quotas", str(file), "--set-aside", str(aside), *to)
    assert (again.returncode, "precondition_failed" in again.stderr) == (1, True)
    with file.open("a") as text:
        text.write("ROUND,,2026-12-01,soon,1,,ROUND-1\n")
    bad = tiercel(
        "allocations", "import", "quotas", str(file), "--base-version", "2", "--set-aside", str(aside), *to, "--dry-run"
    )
    assert (bad.returncode, [line for line, _ in _aside(aside)]) == (1, ["4"]), bad.stdout + bad.stderr


RULES = """document,effective_from,rule,tier,zone,item_group,locations,in_turn
R-UK,,near,,GB,,DC-R=1;ST-R=2,yes
R-BAD,,wrong,,,,DC-R=first,no
R-UK,,all,,,,DC-R,
R-TWICE,2027-01-01T00:00:00Z,one,,,,DC-R,no
R-TWICE,,two,,,,DC-R,no
"""
MODES = """document,rule,criticality,attempts
R-MODES,vital,vital,"distribution_center/express | third_party,drop_ship/ | /"
"""


def test_rules_are_imported_a_document_at_a_time_and_the_same_file_again_writes_no_version(
    served: Served, tmp_path: Path
) -> None:
    for location, kind in (("DC-R", "distribution_center"), ("ST-R", "store")):
        assert served.ask("atp", "PUT", f"/v1/locations/{location}", {"kind": kind}).status_code < 300
    rules, modes, aside = tmp_path / "rules.csv", tmp_path / "modes.csv", tmp_path / "aside.csv"
    rules.write_text(RULES)
    modes.write_text(MODES)
    to = ("--url", served.urls["atp"], "--key", served.key, "--set-aside", str(aside))
    for _ in range(2):
        done = tiercel("import", "sourcing-rules", str(rules), *to)
        assert "5 rows: 2 sent, 3 set aside" in done.stdout, done.stdout + done.stderr
        assert [line for line, _ in _aside(aside)] == ["3", "5", "6"]
    document = served.ask("atp", "GET", "/v1/sourcing-rules/R-UK").json()
    assert (document["version"], [rule["rule"] for rule in document["rules"]]) == (1, ["near", "all"])
    assert document["rules"][0]["locations"] == [{"location": "DC-R", "rank": 1}, {"location": "ST-R", "rank": 2}]
    assert document["rules"][0]["in_turn"]
    assert "1 rows: 1 sent" in tiercel("import", "fulfilment-modes", str(modes), *to).stdout
    [mode] = served.ask("atp", "GET", "/v1/fulfilment-modes/R-MODES").json()["rules"]
    assert mode["attempts"] == [
        {"kinds": ["distribution_center"], "carrier_classes": ["express"]},
        {"kinds": ["third_party", "drop_ship"], "carrier_classes": []},
        {"kinds": [], "carrier_classes": []},
    ]


def test_every_template_names_the_columns_of_its_kind() -> None:
    for kind, sheet in SHEETS.items():
        told = tiercel("import", "--template", kind)
        header, example = told.stdout.strip().splitlines()
        assert header.split(",") == list(sheet.example)
        assert len(example.split(",")) == len(header.split(","))
