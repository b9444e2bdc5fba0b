"""`tiercel backtest`: where the history comes from, and what is told at the end."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tiercel.backtest.recorded import recorded_history
from tiercel.backtest.run import Trial
from tiercel.backtest.run import backtest as run
from tiercel.demo.generated import generate
from tiercel.demo.history import History
from tiercel.demo.reading import UnusableHistoryError, read_history
from tiercel.failures import BacktestRefused
from tiercel.reaching import reach
from tiercel.running import columns_of


def backtest(
    rules: Sequence[Path],
    orders: Path | None,
    mapping: str,
    source: Path | None,
    *,
    recorded: bool,
    supply: int,
    landed: int,
    output: Path,
) -> str:
    """Try the rule sets; the hash of the result. `source`: the folder of an embedded deployment.

    Raises:
        BacktestRefused: a rule set or a history cannot be used.
    """
    try:
        history = asyncio.run(_recorded(source)) if recorded else _from_file(orders, mapping, output)
    except UnusableHistoryError as error:
        raise BacktestRefused(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="tiercel-backtest-") as folder:
        return run(Trial(rules, history, Path(folder), output, supply, landed))


async def _recorded(source: Path | None) -> History:
    async with reach(source) as reached:
        return await recorded_history(reached.event_log)


def _from_file(orders: Path | None, mapping: str, output: Path) -> History:
    if orders is None:
        return generate()
    return read_history(orders, columns_of(mapping), output / "set_aside.csv")
