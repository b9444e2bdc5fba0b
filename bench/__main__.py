"""`python -m bench [NAME ...] [--OPTION ...]`: run the benches, all of them without a name; options go to each."""

import subprocess
import sys
from typing import Final

BENCHES: Final = (
    "promise",
    "throughput",
    "tier_change",
    "redecision",
    "ledger",
    "capacity",
    "reclassification",
    "customers",
    "routing",
    "plan_gap",
    "detection",
)


def main() -> int:
    """Run each bench in a process of its own; 1 if one of them did not finish."""
    options = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{__doc__}\nThere are {', '.join(BENCHES)}.")
        return 0
    names = [argument for argument in sys.argv[1:] if argument not in options] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    commands = {name: [sys.executable, "-m", f"bench.{name}", *options] for name in names}
    failed = [name for name in names if subprocess.run(commands[name], check=False).returncode]
    if failed:
        print(f"did not finish: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
