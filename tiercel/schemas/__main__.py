"""The command: render, check or publish the schemas."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tiercel.schemas.published import publish
from tiercel.schemas.rendering import event_schemas, problems, render, write


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 if all is well, 1 if the checked-in schemas are not."""
    parser = argparse.ArgumentParser(prog="python -m tiercel.schemas", description="Render schemas/.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    parser.add_argument("--publish", action="store_true", help="freeze the versions that are not published yet")
    parser.add_argument("--root", type=Path, default=Path("schemas"), help="where the files are")
    options = parser.parse_args(arguments)
    files = render()
    if not options.check:
        write(options.root, files)
    if options.publish:
        for name in publish(options.root, event_schemas()):
            print(f"published {name}")
    found = problems(options.root, files)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
