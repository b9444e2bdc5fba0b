"""A load over HTTP by `wrk` (Debian's package), to loopback only and bounded in time.

`wrk` runs a request script (`orders.lua` gives every order an id of its own, `reads.lua` asks for availability). It
reports requests a second, the latency distribution and every answer that was not 2xx.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SECONDS_MAX: Final = 120
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw: completed requests a second, latencies in milliseconds, errors of any kind."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def require_wrk() -> None:
    """Install wrk from Debian when it is missing, saying so; leave with a sentence when that cannot be done."""
    if shutil.which("wrk"):
        return
    apt = shutil.which("apt-get")
    if apt is None:
        sys.exit("The bench needs the load generator wrk; install it with your system's package manager.")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    print("installing Debian package: wrk")
    subprocess.run([*sudo, apt, "update", "-qq"], check=True)
    subprocess.run([*sudo, apt, "install", "-y", "-qq", "wrk"], check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked for: `orders` a request with `lines` each, for `items` different items from `first_item` on.

    `script` is the wrk script that makes the requests; `/v1/promises:batch` takes several orders a request.
    """

    path: str = "/v1/promises"
    script: str = "orders.lua"
    items: int = 1
    first_item: int = 1
    orders: int = 1
    lines: int = 1
    tag: str = "b"
    zone: str = "GB"


def run(url: str, wanted: Requests, *, seconds: int, connections: int, key: str) -> Load:
    """Send requests to `url` for `seconds` over `connections`."""
    if urlsplit(url).hostname not in LOOPBACK:
        message = f"{url} is not on loopback"
        raise ValueError(message)
    seconds = min(seconds, SECONDS_MAX)
    script = str(Path(__file__).with_name(wanted.script))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        environment = os.environ | {
            "BENCH_KEY": key,
            "BENCH_ITEMS": str(wanted.items),
            "BENCH_TAG": wanted.tag,
            "BENCH_ZONE": wanted.zone,
            "BENCH_FIRST": str(wanted.first_item),
            "BENCH_ORDERS": str(wanted.orders),
            "BENCH_LINES": str(wanted.lines),
            "BENCH_PATH": wanted.path,
            "BENCH_OUT": str(out),
        }
        subprocess.run(
            ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", script, url],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=seconds + 30,
        )
        found = json.loads(out.read_text())
    return Load(
        per_second=found["requests"] / (found["duration_us"] / 1e6),
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        requests=found["requests"],
        errors=found["errors"],
    )
