"""The most memory that a process has held, read from the system (Linux)."""

from pathlib import Path


def peak_mib(pid: int) -> float:
    """In MiB; 0 where the system does not say, or the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return max(found, default=0) / 1024
