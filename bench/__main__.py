"""`python -m bench [NAME ...]`: run the benches, all of them without a name."""

import subprocess
import sys
from typing import Final

BENCHES: Final = ("promise", "throughput", "tier_change", "ledger")


def main() -> int:
    """Run each bench in a process of its own; 1 if one of them did not finish."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    failed = [name for name in names if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode]
    if failed:
        print(f"did not finish: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
