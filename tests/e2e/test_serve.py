"""`tiercel serve` as a script sees it: the ready file, the services, the stop, the crash, and what alerts read."""

import json
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.serve import PROJECT, SERVICES, START_SECONDS_MAX, STOP_SECONDS_MAX, Served, serving, start, tiercel

ITEM = {"sku": "TEA-1"}
LANE: dict[str, Any] = {"zone": "*", "location": "DC-1", "service": "parcel", "carrier_class": "standard"}
LANE |= {"rank": 1, "transit_days": 2, "cost_shipment_minor": 450, "cost_unit_minor": 5}
RECEIPT: dict[str, Any] = {"source": "wms", "reference": "GR-1", "sku": "TEA-1", "location": "DC-1", "kind": "receipt"}
RECEIPT |= {"quantity": 100, "occurred_at": "2026-01-05T08:00:00Z"}
ORDER = {
    "order": {"source": "shop", "order_id": "A-1"},
    "customer": {"system": "shop", "id": "C-9"},
    "lines": [{"line": "1", "sku": "TEA-1", "quantity": 3}],
}


def _promise(served: Served) -> dict[str, Any]:
    for path, body in (
        ("/v1/items/TEA-1", ITEM),
        ("/v1/locations/DC-1", {"time_zone": "Europe/London"}),
        ("/v1/lanes", {"items": [LANE]}),
    ):
        assert served.ask("atp", "PUT", path, body).status_code < 300
    assert served.ask("atp", "POST", "/v1/supply/movements", {"items": [RECEIPT]}).status_code < 300
    answer = served.ask("atp", "POST", "/v1/promises", ORDER)
    assert answer.status_code in {200, 201}, answer.text
    promise: dict[str, Any] = answer.json()
    return promise


def test_all_three_are_ready_when_the_file_is_there(served: Served) -> None:
    for name in SERVICES:
        assert served.look(name, "/readyz").json()["ready"] is True
        assert served.look(name, "/docs").status_code == 200
        assert served.look(name, "/openapi.json").json()["openapi"].startswith("3.1")


def test_nobody_gets_an_answer_without_the_key(served: Served) -> None:
    assert served.look("atp", "/metrics").status_code == 401
    assert httpx.post(served.urls["atp"] + "/v1/promises", json=ORDER, timeout=60).status_code == 401


def test_an_order_is_promised_from_stock_that_was_just_received(served: Served) -> None:
    promise = _promise(served)
    assert [line["outcome"] for line in promise["lines"]] == ["promised"]
    assert promise["lines"][0]["promised"] == 3


def test_the_doctor_finds_it_well_while_it_runs(served: Served) -> None:
    done = tiercel("doctor", "--data", str(served.data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_the_registry_asks_the_atp_what_a_move_changes_and_the_reclassifier_how_far_a_tier_is(served: Served) -> None:
    _promise(served)
    tier = served.ask("segment_registry", "PUT", "/v1/tiers/first-class", {"name": "First", "priority_rank": 3})
    assert tier.is_success, tier.text
    known = {"identifiers": [{"system": "crm", "id": "C-77"}]}
    customer = served.ask("segment_registry", "POST", "/v1/customers", known).json()["customer_id"]
    moves = [{"customer_id": customer, "tier": "first-class", "reason": "agreed"}]
    content = {"kind": "assignments", "moves": moves}
    proposed = served.ask("segment_registry", "POST", "/v1/change-requests", {"reason": "asked", "content": content})
    assert proposed.status_code == 201, proposed.text
    path = f"/v1/change-requests/{proposed.json()['request_id']}/effects"
    effects = served.ask("segment_registry", "GET", path).json()
    assert (effects["customers"], effects["preview_missing"]) == (1, None)
    assert effects["preview"]["promises"] == []
    deadline = time.monotonic() + START_SECONDS_MAX  # until the reclassifier has read of the customer
    explained = f"/v1/customers/{customer}/tier-explanation"
    while missing := served.ask("segment_registry", "GET", explained).json()["distance_missing"]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.1)


def test_whatever_an_alert_or_the_dashboard_reads_is_measured(served: Served) -> None:
    _promise(served)
    today = datetime.now(UTC).date().isoformat()
    kept = {"sku": "TEA-1", "location": "DC-1", "tier": "standard", "protected_qty": 1, "start": today, "end": today}
    answer = served.ask("atp", "PUT", "/v1/protections/measured", {"lines": [kept]})
    assert answer.is_success, answer.text
    week = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), 9)
    answer = served.ask("atp", "PUT", "/v1/capacities/measured-days", {"lines": [{"location": "DC-1", **week}]})
    assert answer.is_success, answer.text
    deadline = time.monotonic() + START_SECONDS_MAX
    while (missing := _not_measured(served)) and time.monotonic() < deadline:
        time.sleep(0.2)  # some is measured by tasks that have their turn every few seconds
    assert missing == []


def _not_measured(served: Served) -> list[str]:
    missing: list[str] = []
    measured: dict[str, set[str]] = {"up": {"job", "role"}}
    for name in SERVICES:
        for line in served.ask(name, "GET", "/metrics").text.splitlines():
            if found := re.match(r"([a-z_:]+)(?:\{(.*)\})? ", line):
                measured.setdefault(found[1], set()).update(re.findall(r'(\w+)="', found[2] or ""))
    for expression in _expressions():
        for metric, matchers in re.findall(
            r"\b((?:tiercel|http|registry|reclassifier)_[a-z_]+)\b(?:\{([^}]*)\})?", expression
        ):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            if metric not in measured:
                missing.append(f"{metric} in {expression}")
            elif not labels <= measured[metric] | {"job", "instance", "role"}:
                missing.append(f"{metric}: {labels}")
    return missing


def _expressions() -> list[str]:
    rules = yaml.safe_load((PROJECT / "deploy/prometheus/rules/tiercel.yml").read_text())
    dashboard = json.loads((PROJECT / "deploy/grafana/dashboards/tiercel.json").read_text())
    read = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return read + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_its_audit_trails_are_whole_and_an_act_of_force_is_found(served: Served) -> None:
    tier = {"name": "Gold", "priority_rank": 10}
    assert served.ask("segment_registry", "PUT", "/v1/tiers/audited", tier).status_code < 300

    def verified() -> "subprocess.CompletedProcess[str]":
        return tiercel("audit", "verify", "--data", str(served.data), "--service", "segment_registry")

    deadline = time.monotonic() + START_SECONDS_MAX
    whole = re.compile(r"segment_registry: (\d+) entries verified; anchored to \1 ")
    while not (found := whole.search((done := verified()).stdout)) and time.monotonic() < deadline:
        assert done.returncode == 0, done.stdout + done.stderr
    assert found, done.stdout
    entries = int(found[1])
    assert entries >= 2  # the tier that everybody is in at first, and this one
    anchors = tiercel("audit", "anchors", "segment_registry", "--data", str(served.data)).stdout.splitlines()
    assert json.loads(anchors[-1])["position"] == entries

    file = served.data / "audit-anchors" / "segment_registry.jsonl"
    forged = json.loads(anchors[-1]) | {"position": entries + 1}
    with file.open("a") as out:
        out.write(json.dumps(forged) + "\n")
    done = verified()
    assert done.returncode == 1
    assert "1 anchors are not signed by key" in done.stdout


def test_a_second_one_on_the_same_folder_is_refused_and_harms_nothing(served: Served, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    assert start(served.data, served.ready_file, log).wait(START_SECONDS_MAX) == 1
    assert "in use by another process" in log.read_text()
    assert served.ready_file.exists()
    assert served.look("atp", "/readyz").status_code == 200


def test_it_stops_in_good_order_and_takes_the_ready_file_with_it(served_folder: Path) -> None:
    with serving(served_folder / "data", served_folder / "ready.json") as running:
        first = _promise(running)
        assert running.stop() == 0
        assert not (served_folder / "ready.json").exists()

    with serving(served_folder / "data", served_folder / "ready.json") as again:
        repeated = again.ask("atp", "POST", "/v1/promises", ORDER)
        assert repeated.status_code == 200
        assert repeated.json()["promise_id"] == first["promise_id"]


def test_a_kill_loses_no_promise_and_the_next_start_replaces_what_was_left(served_folder: Path) -> None:
    with serving(served_folder / "data", served_folder / "ready.json") as running:
        first = _promise(running)
        running.process.kill()
        running.process.wait(STOP_SECONDS_MAX)

    assert (served_folder / "ready.json").exists(), "a killed process cannot tidy up"
    (served_folder / "ready.json").rename(served_folder / "stale.json")
    with serving(served_folder / "data", served_folder / "ready.json") as again:
        found = again.ask("atp", "GET", f"/v1/promises/{first['promise_id']}")
        assert found.json()["lines"] == first["lines"]


def test_a_port_that_is_taken_is_named(served_folder: Path, served: Served) -> None:
    port = served.urls["atp"].rsplit(":", 1)[1]
    done = tiercel("serve", "--port", port, "--data", str(served_folder))
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
