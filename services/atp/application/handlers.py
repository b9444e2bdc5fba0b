"""Which handler decides which command, and which command comes of what is due."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.atp.application import turn_dates
from services.atp.application.amend_order import Amending, AmendOrder
from services.atp.application.batch import Handler
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import CancelOrder, ConfirmOrder, PlaceOrder, ServeBackorders
from services.atp.application.confirm_order import Confirming
from services.atp.application.continue_run import ContinueRun, Continuing
from services.atp.application.expedite_order import ExpediteOrder, Expediting
from services.atp.application.fulfil_orders import Delivering, DeliverOrder, ShipOrder, Shipping
from services.atp.application.holds import ExpireHold, Expiring, expire_command
from services.atp.application.move_away import MOVE_AWAY, MoveAway, MovingAway, move_command
from services.atp.application.order_reports import ReportOrder
from services.atp.application.pick_short import Picking, PickShort
from services.atp.application.pin_promise import Pinning, PinPromise
from services.atp.application.place_order import HOLD, Placing
from services.atp.application.planner_actions import OVERRIDES
from services.atp.application.quick_availability import LookQuickly, QuickLook
from services.atp.application.read_availability import Availability, ReadAvailability
from services.atp.application.reassign_part import Reassigning, ReassignPart
from services.atp.application.release_part import ReleasePart, Releasing
from services.atp.application.release_validation import ReleaseValidation, ReleasingValidation
from services.atp.application.replan_uncovered import HORIZON, ReplanningUncovered, ReplanUncovered, replan_command
from services.atp.application.report_orders import Reporting
from services.atp.application.return_goods import ReturnGoods, Returning
from services.atp.application.review_deficits import ReviewDeficits, Reviewing
from services.atp.application.revive_hold import ReviveHold, Reviving
from services.atp.application.serve_backorders import Serving
from services.atp.application.stop_position import STOP, Lifting, LiftStop, Stopping, StopPosition, end_stop
from services.atp.application.take_over_order import TakeOverOrder, TakingOver
from services.atp.application.take_supply import (
    Buffering,
    Counting,
    CountStock,
    MoveStock,
    Moving,
    ScheduleReceipt,
    Scheduling,
    SetBuffer,
)
from services.atp.application.transfer_part import TransferPart, TransferringPart
from services.atp.application.transfer_stock import Transferring, TransferStock
from services.atp.application.turn_location import LOCATION, TurningLocation, TurnLocation, turn_location
from services.atp.application.withdraw_part import (
    EndingOverrides,
    EndOverrides,
    Withdrawing,
    WithdrawPart,
    end_overrides,
)
from services.atp.application.work_due import Maker

HANDLERS: Final[Sequence[tuple[type, type[Handler[Any]]]]] = (
    (PlaceOrder, Placing),
    (ConfirmOrder, Confirming),
    (CancelOrder, Cancelling),
    (ServeBackorders, Serving),
    (ReviewDeficits, Reviewing),
    (ReplanUncovered, ReplanningUncovered),
    (MoveStock, Moving),
    (CountStock, Counting),
    (ScheduleReceipt, Scheduling),
    (TransferStock, Transferring),
    (SetBuffer, Buffering),
    (ShipOrder, Shipping),
    (DeliverOrder, Delivering),
    (ReportOrder, Reporting),
    (PickShort, Picking),
    (ReturnGoods, Returning),
    (ReadAvailability, Availability),
    (LookQuickly, QuickLook),
    (ExpireHold, Expiring),
    (ReleaseValidation, ReleasingValidation),
    (AmendOrder, Amending),
    (ReleasePart, Releasing),
    (TransferPart, TransferringPart),
    (ReviveHold, Reviving),
    (PinPromise, Pinning),
    (ExpediteOrder, Expediting),
    (WithdrawPart, Withdrawing),
    (ReassignPart, Reassigning),
    (EndOverrides, EndingOverrides),
    (TakeOverOrder, TakingOver),
    (StopPosition, Stopping),
    (LiftStop, Lifting),
    (turn_dates.TurnItem, turn_dates.Turning),
    (turn_dates.TurnCustomer, turn_dates.Turning),
    (TurnLocation, TurningLocation),
    (MoveAway, MovingAway),
    (ContinueRun, Continuing),
)
DUE: Final[Mapping[str, Maker]] = {
    HOLD: expire_command,
    OVERRIDES: end_overrides,
    STOP: end_stop,
    HORIZON: replan_command,
    LOCATION: turn_location,
    MOVE_AWAY: move_command,
    turn_dates.TURN: turn_dates.turn_item,
    turn_dates.ASSIGNMENT: turn_dates.turn_customer,
}
