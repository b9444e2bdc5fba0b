"""What is deployed beside the code fits it: compose file, alert rules, dashboard, runbooks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiercel.parts import PARTS

PROJECT = Path(__file__).resolve().parents[2]
PROMETHEUS = PROJECT / "deploy" / "prometheus"
RULES = yaml.safe_load((PROMETHEUS / "rules" / "tiercel.yml").read_text())
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
DASHBOARD = json.loads((PROJECT / "deploy" / "grafana" / "dashboards" / "tiercel.json").read_text())

ALL_RULES: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}


def test_the_compose_file_follows_its_specification() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
            str(PROJECT / "docker-compose.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_whatever_compose_mounts_from_the_project_is_there() -> None:
    mounts = [volume for service in COMPOSE["services"].values() for volume in service.get("volumes", [])]
    sources = [volume.split(":")[0] for volume in mounts if isinstance(volume, str)]
    assert [source for source in sources if source.startswith("./") and not (PROJECT / source).exists()] == []
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"])


def test_compose_publishes_on_loopback_only() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_compose_sets_nothing_that_the_services_do_not_know() -> None:
    known = {f"TIERCEL_{name.upper()}" for part in PARTS for name in part.program.settings.model_fields}
    given = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("TIERCEL_")} <= known


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_container_that_stays_up_says_when_it_is_healthy(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["profiles"]
    if service["restart"] == "unless-stopped":
        assert service["healthcheck"]["test"]


def test_prometheus_scrapes_every_role_that_compose_runs() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    scraped = {
        target for job in config["scrape_configs"] for part in job["static_configs"] for target in part["targets"]
    }
    services = {
        f"{name}:8080"
        for name, service in COMPOSE["services"].items()
        if service.get("command", [""])[0].startswith("services.")
    }
    assert scraped == services


def test_there_are_eleven_alerts_each_with_a_runbook_of_its_own() -> None:
    runbooks = [alert["annotations"]["runbook"] for alert in ALERTS]
    assert len(ALERTS) == len(set(runbooks)) == 11
    for alert, runbook in zip(ALERTS, runbooks, strict=True):
        assert alert["alert"] in (PROJECT / runbook).read_text(), runbook


def test_every_alert_is_tested_firing_and_silent() -> None:
    outcomes: dict[str, set[bool]] = {}
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case.get("alert_rule_test", []):
                outcomes.setdefault(check["alertname"], set()).add(bool(check["exp_alerts"]))
    assert outcomes == {alert["alert"]: {True, False} for alert in ALERTS}


def test_the_dashboard_uses_no_recorded_series_that_no_rule_records() -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    used = {name for expression in expressions for name in re.findall(r"[a-z_]+:[a-z_]+:[a-z0-9]+", expression)}
    assert used
    assert used <= RECORDED
