"""A real Prometheus scrapes the services with a credential and evaluates the alert rules on what they say."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.chassis.server import listen
from tests.support.serve import PROJECT, SERVICES, Served
from tests.support.session import real_parts_are_required
from tests.support.waiting import until
from tiercel.stack.packages import PROMETHEUS, find

ALERTS = 11


@pytest.fixture
def prometheus(served: Served, tmp_path: Path) -> Iterator[str]:
    """The address of one that scrapes the services of `served`."""
    program = find(PROMETHEUS.command)
    if program is None:
        if real_parts_are_required():
            pytest.fail("prometheus is not installed (make stack-up brings it)")
        pytest.skip("prometheus is not installed (make stack-up brings it)")
    (tmp_path / "key").write_text(served.key)
    jobs = [
        {
            "job_name": name,
            "authorization": {"credentials_file": str(tmp_path / "key")},
            "static_configs": [{"targets": [served.urls[name].removeprefix("http://")], "labels": {"role": "all"}}],
        }
        for name in SERVICES
    ]
    settings: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(PROJECT / "deploy" / "prometheus" / "rules" / "*.yml")],
        "scrape_configs": jobs,
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with listen("127.0.0.1", 0) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    files = (f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}")
    with subprocess.Popen([program, *files, f"--web.listen-address={address}", "--log.level=error"]) as process:
        try:
            yield f"http://{address}/api/v1"
        finally:
            process.kill()


async def _answer(url: str) -> dict[str, Any]:
    """The data of an answer; nothing while it is starting."""
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url)
    except httpx.TransportError:
        return {}
    data: dict[str, Any] = answer.json()["data"] if answer.is_success else {}
    return data


async def test_all_three_are_scraped_and_no_alert_fires_on_a_healthy_deployment(prometheus: str) -> None:
    async def all_up() -> bool:
        found = (await _answer(f"{prometheus}/query?query=up")).get("result", [])
        return {each["metric"]["job"] for each in found if each["value"][1] == "1"} == set(SERVICES)

    async def evaluated() -> bool:
        groups = (await _answer(f"{prometheus}/rules")).get("groups", [])
        alerts = [rule for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
        return len(alerts) == ALERTS and all(rule["health"] == "ok" for rule in alerts)

    await until(all_up)
    await until(evaluated)
    firing = (await _answer(f"{prometheus}/alerts"))["alerts"]
    assert [alert for alert in firing if alert["state"] == "firing"] == []
