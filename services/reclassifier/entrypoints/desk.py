"""What all routes of the reclassifier share."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends

from services.chassis.auth import Principal, require
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
