"""`python -m services.atp`: see `services.chassis.command_line`."""

import sys

from services.atp.bootstrap import NAME, SCHEMA, build
from services.atp.settings import AtpSettings
from services.chassis.command_line import Program, main

if __name__ == "__main__":
    sys.exit(main(Program(NAME, SCHEMA, AtpSettings, build)))
