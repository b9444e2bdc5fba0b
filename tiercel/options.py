"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option("--data", help="The folder of an embedded deployment; without it, the one of the TIERCEL_ settings."),
]
