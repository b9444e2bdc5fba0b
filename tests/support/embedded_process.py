"""Starts an embedded PostgreSQL and then does nothing: `python -m tests.support.embedded_process FOLDER`."""

import signal
import sys
from pathlib import Path

from services.chassis.embedded_postgres import EmbeddedPostgres

if __name__ == "__main__":
    server = EmbeddedPostgres()
    sys.stdout.write(server.start(Path(sys.argv[1])) + "\n")
    sys.stdout.flush()
    signal.pause()
