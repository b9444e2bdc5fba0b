"""`python -m services.reclassifier`: see `services.chassis.command_line`."""

import sys

from services.chassis.command_line import Program, main
from services.reclassifier.bootstrap import NAME, SCHEMA, build
from services.reclassifier.settings import ReclassifierSettings

if __name__ == "__main__":
    sys.exit(main(Program(NAME, SCHEMA, ReclassifierSettings, build)))
