"""Which moves need a second person, against the tiers that would count hour by hour with and without the move."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain import moves
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer, new_customer, served_tier, with_record
from services.segment_registry.domain.moves import Moved, MoveRequest
from services.segment_registry.domain.records import Contract, CustomerRecord
from services.segment_registry.domain.second_person import Need, needs_of_move
from services.segment_registry.domain.timeline import Grounds, Kind
from tests.support.painted_timeline import PROBES, START, commands, moment
from tests.support.registry import CUSTOMER, DAY, ERP, TIERS

TIER_NAMES = {"gold": "gold", "silver": "silver", "bronze": "standard"}  # bronze of the painter is no tier here
PLACES = {"gold": 0, "silver": 1, "standard": 2}  # one after another: a closed tier takes nobody and is no rank
RULES = ChangeRules(jump_ranks_max=1, key_accounts=True, contract_downgrades=True)
GROUNDS = Grounds("because", "ann")
HOUR = timedelta(hours=1)

records = st.builds(
    CustomerRecord,
    strategic=st.booleans(),
    contract=st.none() | st.just(Contract(START.date())) | st.just(Contract((START + 9 * DAY).date())),
)


@given(commands, st.lists(st.integers(0, len(PROBES) - 1), min_size=20, max_size=20), records)
def test_a_move_needs_whom_the_hours_that_it_alters_need(
    steps: list[tuple[object, ...]], hours: list[int], record: CustomerRecord
) -> None:
    customer = with_record(new_customer(CUSTOMER, (ERP,), START - DAY), record, START - DAY)
    for step, hour in zip(steps, sorted(hours), strict=False):
        now = moment(hour)
        outcome = _decided(customer, step, hour)
        if not isinstance(outcome, Moved):
            continue
        needed = needs_of_move(RULES, customer, outcome.customer, TIERS, now)
        assert {each.value for each in needed} == _needed(customer, outcome.customer)
        assert list(needed) == sorted(needed, key=list(Need).index)
        assert needs_of_move(ChangeRules(bulk_rows_max=1), customer, outcome.customer, TIERS, now) == ()
        customer = outcome.customer


def _decided(customer: Customer, step: tuple[object, ...], hour: int) -> object:
    match step:
        case ("assign", Kind() as kind, str(tier), int(first), last):
            until = moment(last) if isinstance(last, int) else None
            return moves.move(
                customer, TIERS, MoveRequest(TIER_NAMES[tier], kind, moment(first), until, GROUNDS), moment(hour)
            )
        case ("end", int(which), _):
            return moves.end(customer, TIERS, which + 1, GROUNDS, moment(hour))
    return None


def _needed(before: Customer, after: Customer) -> set[str]:
    needed: set[str] = set()
    for probe in PROBES:
        former, wanted = (PLACES[served_tier(each, TIERS, probe).tier] for each in (before, after))
        if former == wanted:
            continue
        needed |= {"jump"} if abs(former - wanted) > 1 else set()
        needed |= {"key_account"} if before.record.strategic else set()
        contract = before.record.contract
        needed |= {"contract_downgrade"} if wanted > former and contract and contract.in_force(probe) else set()
    return needed
