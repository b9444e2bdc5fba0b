"""How figures are written down: one JSON file a bench, whose head names the time, the commit and the machine."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path("build/bench")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured case; `baseline` names what `ratio` compares with (value over the baseline's value).

    `processor_us` is the processor time of each process per piece of work, in microseconds.
    """

    case: str
    metric: str
    unit: str
    value: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    baseline: str | None = None
    ratio: float | None = None
    errors: int = 0
    processor_us: Mapping[str, float] | None = None


def keep(name: str, folder: Path = DIRECTORY, **sections: Any) -> Path:
    """Write `<folder>/<name>.json`: what every file of figures begins with, then the bench's own sections."""
    document: dict[str, Any] = {
        "name": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document | sections, indent=2) + "\n")
    return path


def write(name: str, figures: list[Figure], *, sections: Mapping[str, Any] | None = None, **notes: Any) -> Path:
    """Write `build/bench/<name>.json`, with further `sections` behind the figures, and print a table of the figures."""
    path = keep(name, notes=notes, figures=[asdict(figure) for figure in figures], **(sections or {}))
    print(f"\n{name} ({path})")
    for figure in figures:
        tail = "" if figure.p50_ms is None else f"  p50 {figure.p50_ms:.1f} ms  p99 {figure.p99_ms or 0:.1f} ms"
        ratio = "" if figure.ratio is None else f"  {figure.ratio:.2f} of {figure.baseline}"
        errors = f"  ERRORS {figure.errors}" if figure.errors else ""
        print(f"  {figure.case:<52} {figure.value:>12,.1f} {figure.unit}{tail}{ratio}{errors}")
        if figure.processor_us:
            spent = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in figure.processor_us.items())
            print(f"      processor time, us: {spent}")
    return path


def commit() -> str:
    """The commit that was measured."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "system": platform.platform(),
        "python": platform.python_version(),
    }
