"""Running a command to its end: what is expected to go wrong is told in one sentence."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def run_to_end(command: Coroutine[Any, Any, T]) -> T:
    """The same for a command that waits."""
    return reporting(lambda: asyncio.run(command))


def reporting(command: Callable[[], T]) -> T:
    """What the command returns; what is expected to go wrong ends the process with one sentence and status 1."""
    from tiercel.failures import EXPECTED

    try:
        return command()
    except EXPECTED as error:
        sys.exit(f"tiercel: {type(error).__name__}: {error}")


def columns_of(mapping: str) -> dict[str, str]:
    """The columns that `--map` names. Raises typer.BadParameter."""
    pairs = [pair.partition("=") for pair in mapping.replace(",", " ").split()]
    if any(not separator for _, separator, _ in pairs):
        raise typer.BadParameter("--map is a list of field=COLUMN")
    return {name: column for name, _, column in pairs}
