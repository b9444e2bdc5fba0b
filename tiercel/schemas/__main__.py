"""The command: render, check or publish the schemas."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tiercel.schemas.openapi import describe_services_by_themselves
from tiercel.schemas.published import publish
from tiercel.schemas.rendering import Roots, event_schemas, problems, render, write


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 if all is well, 1 if what is checked in is not what the code renders."""
    parser = argparse.ArgumentParser(prog="python -m tiercel.schemas", description="Render schemas/ and the reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    parser.add_argument("--publish", action="store_true", help="freeze the versions that are not published yet")
    parser.add_argument("--root", type=Path, default=Path("schemas"), help="where the schemas are")
    parser.add_argument("--reference", type=Path, default=Path("docs/reference"), help="where the reference is")
    options = parser.parse_args(arguments)
    return run(Roots(options.root, options.reference), check=options.check, freeze=options.publish)


def run(roots: Roots, *, check: bool, freeze: bool) -> int:
    """Render, unless it is only to `check`; `freeze` publishes what is new. Says on standard error what is wrong."""
    rendered = render(describe_services_by_themselves())
    if not check:
        write(roots, rendered)
    if freeze:
        for name in publish(roots.schemas, event_schemas()):
            print(f"published {name}")
    found = problems(roots, rendered)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
