"""What all routes of the reclassifier share."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends

from services.chassis.auth import Principal, require
from services.chassis.problems import FORBIDDEN, Problem
from services.reclassifier.application.ports import Transactions
from services.reclassifier.metrics import ReclassifierMetrics

PAGE_MAX: Final = 500
POSITION_MAX: Final = 2**53

Reader = Annotated[Principal, Depends(require("reclassifier.read"))]
Writer = Annotated[Principal, Depends(require("reclassifier.write"))]
Approver = Annotated[Principal, Depends(require("reclassifier.approve"))]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests are answered. `rule_set_id` names the rule set in force."""

    transactions: Transactions
    metrics: ReclassifierMetrics
    rule_set_id: str


def see_everything(caller: Principal) -> None:
    """403 for a caller limited to account groups, where many customers are concerned: no group is known here."""
    if not caller.sees_account_group(None):
        raise Problem(FORBIDDEN, "these credentials are limited to account groups")
