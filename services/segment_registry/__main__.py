"""`python -m services.segment_registry`: see `services.chassis.command_line`."""

import sys

from services.chassis.command_line import Program, main
from services.segment_registry.bootstrap import NAME, SCHEMA, build
from services.segment_registry.settings import SegmentRegistrySettings

if __name__ == "__main__":
    sys.exit(main(Program(NAME, SCHEMA, SegmentRegistrySettings, build)))
