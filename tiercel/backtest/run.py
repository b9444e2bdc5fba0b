"""`tiercel backtest`: rule sets tried on one history, each from an empty deployment of its own in this process.

Every rule set sees the same orders, the same modelled supply and the same network; what differs is who is in which tier
when he orders, and so what he is promised. Proposals count as approved at once: a mode that only proposes, a fuse and a
limit of automatic jumps are lifted, since nobody is there to approve. The result is a function of history and rule
sets: the same input gives the same hash, whatever the files are called and in whatever order rows of an order come.
"""

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.chassis.problems import Problem
from services.chassis.strict_json import refuse_ambiguous
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.bootstrap import SHIPPED_RULE_SET
from tiercel.backtest.figures import Tried, tried
from tiercel.backtest.one_order import in_one_order
from tiercel.backtest.report import page
from tiercel.demo.channels import ReplayFailedError
from tiercel.demo.forms import Ground, run_on_embedded
from tiercel.demo.history import History
from tiercel.demo.run import Replayed, replay
from tiercel.demo.stock_model import StockPlan, plan_supply
from tiercel.demo.world import LOWEST, TIERS
from tiercel.failures import BacktestRefused

OUTPUT: Final = Path("build/backtest")
PERCENT: Final = 100
APPROVED: Final = "Every proposal counts as approved at once."
LIFTED: Final = ("mode", "automatic_jump_max", "fuse")
RULE_SET_BYTES_MAX: Final = 1_048_576  # the largest that the bounds of a rule set allow is a few hundred kB
DAYS_MAX: Final = 3_660  # ten years: every day is replayed, and one mistyped year would be a thousand of them


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try: rule sets as files (none: the shipped one), on a history with modelled supply and landed cost."""

    rule_sets: Sequence[Path]
    history: History
    data: Path
    output: Path = OUTPUT
    supply_percent: int = 90
    landed_percent: int = 60


def backtest(trial: Trial) -> str:
    """Try all rule sets and write `report.html`, `backtest.json` and `moves.csv`; the hash of the result.

    Raises:
        BacktestRefused: a file is no rule set, names tiers that the replay does not have, or a replay broke off; or
            the history is too long.
    """
    files = list(trial.rule_sets) or [SHIPPED_RULE_SET]
    documents = [_approved(file) for file in files]
    trial = replace(trial, history=in_one_order(trial.history))
    _refuse_long(trial.history)
    plan = plan_supply(trial.history, supply_share=Fraction(trial.supply_percent, PERCENT))
    tries = []
    for name, document in zip(_names(files), documents, strict=True):
        print(f"{name}:", file=sys.stderr)
        came = _replayed(trial, plan, document)
        tries.append(
            tried(
                name,
                trial.history,
                came,
                tiers=[tier for tier, _ in TIERS],
                lowest=LOWEST,
                landed_percent=trial.landed_percent,
            )
        )
    return _write(trial, documents, tries)


def _refuse_long(history: History) -> None:
    first, last = history.orders[0].ordered_at.date(), history.orders[-1].ordered_at.date()
    days = (last - first).days + 1
    if days > DAYS_MAX:
        raise BacktestRefused(f"the orders reach from {first} to {last}, {days:,} days; at most {DAYS_MAX:,} are tried")


def _approved(file: Path) -> dict[str, Any]:
    """The rule set as it is tried, read as strictly as the service reads it."""
    try:
        with file.open("rb") as opened:
            written = opened.read(RULE_SET_BYTES_MAX + 1)
        if len(written) > RULE_SET_BYTES_MAX:
            raise BacktestRefused(f"{file} is no rule set: it is larger than {RULE_SET_BYTES_MAX:,} bytes")
        refuse_ambiguous(written)
        document: dict[str, Any] = json.loads(written)
        checked = RuleSetDocument.model_validate(document)
    except Problem as problem:
        raise BacktestRefused(f"{file} is no rule set: {problem.detail}") from problem
    except ValueError as error:
        raise BacktestRefused(f"{file} is no rule set: {error}") from error
    known = {tier for tier, _ in TIERS}
    if unknown := sorted({*(rung.tier for rung in checked.rungs), checked.floor} - known):
        raise BacktestRefused(f"{file}: tiers {', '.join(unknown)} are not among {', '.join(sorted(known))}")
    for place in (document, *document["rungs"]):
        for name in LIFTED:
            place.pop(name, None)
    return document | ({"mode": "automatic"} if "mode" in RuleSetDocument.model_fields else {})


def _names(files: Sequence[Path]) -> list[str]:
    names = [file.stem for file in files]
    return [name if names.count(name) == 1 else f"{number}: {name}" for number, name in enumerate(names, start=1)]


def _replayed(trial: Trial, plan: StockPlan, document: Mapping[str, Any]) -> Replayed:
    trial.data.mkdir(parents=True, exist_ok=True)
    rule_set = trial.data / "rule_set.json"  # not beside the report, where somebody may keep a file of that name
    rule_set.write_text(json.dumps(document))
    came: list[Replayed] = []
    work = partial(_work, trial.history, plan, came.append)
    try:
        status = run_on_embedded(work, trial.data / "backtest", {"reclassifier_rule_set_file": rule_set.absolute()})
    except ReplayFailedError as error:
        raise BacktestRefused(str(error)) from error
    finally:
        rule_set.unlink()
    if status or not came:
        raise BacktestRefused(f"the replay broke off; the log in {trial.data / 'backtest'} says why")
    if came[0].found.faults:
        raise BacktestRefused(f"the replay broke what must hold: {came[0].found.faults[0]}")
    return came[0]


async def _work(history: History, plan: StockPlan, take: Callable[[Replayed], object], ground: Ground) -> None:
    take(await replay(history, plan, ground))


def _digest(document: Mapping[str, Any]) -> str:
    """The hash of all but what files are called."""
    unnamed = dict(document)
    unnamed["history"] = {name: value for name, value in document["history"].items() if name != "source"}
    unnamed["results"] = [
        {name: value for name, value in result.items() if name != "rule_set"} for result in document["results"]
    ]
    return hashlib.sha256(json.dumps(unnamed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _write(trial: Trial, documents: Sequence[Mapping[str, Any]], tries: Sequence[Tried]) -> str:
    history = trial.history
    document = {
        "history": {
            "source": history.source,
            "orders": len(history.orders),
            "lines": history.lines,
            "customers": len({order.customer_id for order in history.orders}),
            "first_day": history.orders[0].ordered_at.date().isoformat(),
            "last_day": history.orders[-1].ordered_at.date().isoformat(),
            "supply_percent": trial.supply_percent,
            "landed_percent": trial.landed_percent,
        },
        "approval": APPROVED,
        "rule_sets": list(documents),
        "results": [one.document | {"moved": [asdict(move) for move in one.moves]} for one in tries],
    }
    digest = _digest(document)
    trial.output.mkdir(parents=True, exist_ok=True)
    written = json.dumps(document | {"sha256": digest}, indent=2) + "\n"
    (trial.output / "backtest.json").write_text(written)
    (trial.output / "report.html").write_text(page(document, tries, digest=digest), encoding="utf-8")
    with (trial.output / "moves.csv").open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(("rule_set", "at", "customer", "from_tier", "to_tier", "reason"))
        rows.writerows((one.name, *asdict(move).values()) for one in tries for move in one.moves)
    return digest
