"""Prometheus for the native stack: the rules of `deploy/prometheus/`, and targets that whoever starts a service adds.

A file `.stack/prometheus/targets/<name>.json` (Prometheus' file-based discovery) with a label `role` adds targets;
`.stack/prometheus/metrics_key` holds the credential (scope `metrics.read`) that they ask for.
"""

import urllib.request
from typing import Final

import yaml

from tiercel.stack import packages, process
from tiercel.stack.layout import HOST, PROJECT, Layout, settle_port

NAME: Final = "prometheus"
NEEDS: Final = (packages.PROMETHEUS,)
READY_SECONDS: Final = 30


def start(layout: Layout) -> None:
    """Write its settings, start it and wait until it is ready."""
    folder = layout.folder(NAME)
    (folder / "targets").mkdir(exist_ok=True)
    (folder / "metrics_key").touch(mode=0o600)
    settings = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "15s"},
        "rule_files": [str(PROJECT / "deploy" / "prometheus" / "rules" / "*.yml")],
        "scrape_configs": [
            {
                "job_name": "tiercel",
                "authorization": {"credentials_file": str(folder / "metrics_key")},
                "file_sd_configs": [{"files": [str(folder / "targets" / "*.json")], "refresh_interval": "5s"}],
            }
        ],
    }
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(settings, sort_keys=False))
    port = settle_port(layout, NAME)
    process.start(
        [
            packages.find("prometheus") or "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=warn",
        ],
        pid_file=layout.pid_file(NAME),
        log=layout.log(NAME),
    )
    process.wait_until_ready(
        NAME, lambda: answers(layout), pid_file=layout.pid_file(NAME), log=layout.log(NAME), seconds=READY_SECONDS
    )


def answers(layout: Layout) -> bool:
    """Whether it says that it is ready."""
    address = f"http://{HOST}:{layout.ports[NAME]}/-/ready"
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


def stop(layout: Layout) -> bool:
    """Stop it; False if it was not running."""
    return process.stop(layout.pid_file(NAME))


def environment(layout: Layout) -> dict[str, str]:
    """The settings that point to it."""
    return {"TIERCEL_PROMETHEUS_URL": f"http://{HOST}:{layout.ports[NAME]}"}
