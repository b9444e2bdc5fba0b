"""What a schema cannot say of movements and transfers, and the model refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.contracts.supply import SupplyMovement, Transfer
from tiercel.schemas.examples.supply import VALID

MOVEMENT = VALID["supply.movement.v2"]["receipt_for_inspection"]
TRANSFER = VALID["supply.transfer.v1"]["open"]


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 0},
        {"kind": "issue"},
        {"kind": "status_change"},
        {"kind": "status_change", "to_status": "quality"},
        {"kind": "status_change", "to_status": "available", "quantity": -1},
        {"to_status": "available"},
        {"kind": "transfer_received"},
        {"kind": "transfer_shipped", "transfer_reference": "TO-9"},
        {"kind": "transfer_received", "transfer_reference": "TO-9", "quantity": -1},
        {"transfer_reference": "TO-9"},
    ],
)
def test_a_movement_that_does_not_fit_together_is_refused(change: dict[str, Any]) -> None:
    SupplyMovement.model_validate(MOVEMENT)
    with pytest.raises(ValidationError):
        SupplyMovement.model_validate({**MOVEMENT, **change})


@pytest.mark.parametrize("change", [{"to_location": "DC-NORTH"}, {"due": "2026-03-02"}])
def test_a_transfer_that_goes_nowhere_or_back_in_time_is_refused(change: dict[str, Any]) -> None:
    Transfer.model_validate(TRANSFER)
    with pytest.raises(ValidationError):
        Transfer.model_validate({**TRANSFER, **change})
