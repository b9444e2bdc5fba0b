"""The most memory that processes held, from the kernel's own accounting."""

import resource
from collections.abc import Iterable
from pathlib import Path

KIB_PER_MIB = 1_024


def own_peak_mib() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def peaks_mib(process_ids: Iterable[int]) -> float:
    """The sum over other processes that still run; 0 where the system does not tell."""
    total = 0.0
    for process_id in process_ids:
        status = Path(f"/proc/{process_id}/status")
        if not status.exists():
            continue
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        total += int(peak.split()[1]) / KIB_PER_MIB if peak else 0.0
    return total
