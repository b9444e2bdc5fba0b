"""Any order and duplication of the same records gives the same features and, as of the same moment, the same tier."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.bootstrap import SHIPPED_RULE_SET
from services.reclassifier.domain.classification import find_move, judge
from services.reclassifier.domain.features import Features, features_of
from services.reclassifier.domain.orders import (
    Activity,
    Counted,
    Line,
    OrderKey,
    OrderState,
    Outcomes,
    OwnedDay,
    Punctuality,
    Reference,
    changes,
    demand_of,
    join,
    join_all,
    outcome_changes,
    owner_of_customer,
    owner_of_reference,
    sum_changes,
)
from services.reclassifier.domain.predicates import truth
from services.reclassifier.domain.standing import Standing

TODAY: Final = datetime(2026, 3, 2, tzinfo=UTC).toordinal()
RULES: Final = RuleSetDocument.model_validate_json(SHIPPED_RULE_SET.read_bytes()).to_domain("activity", 1)

LINES: Final = st.builds(
    Line,
    st.sampled_from("123"),
    st.integers(0, 50),
    st.integers(0, 60),
    st.one_of(st.none(), st.integers(0, 400_000_000)),
    st.integers(0, 20),
)


@st.composite
def _records(draw: st.DrawFn) -> OrderState:
    ordered, shipped, returned = demand_of(draw(st.lists(LINES, max_size=4)))
    return OrderState(
        key=OrderKey(draw(st.sampled_from("ab")), draw(st.sampled_from("123"))),
        sequence=draw(st.integers(1, 5)),
        customer_id=draw(st.sampled_from([None, "c1", "c2"])),
        reference=Reference("shop", draw(st.sampled_from("xy"))),
        ordered_on=TODAY - draw(st.integers(-3, 120)),
        cancelled=draw(st.booleans()),
        ordered=ordered,
        shipped=shipped,
        returned=returned,
        punctuality=draw(st.sampled_from(Punctuality)),
    )


RECORDS: Final = st.lists(_records(), max_size=12)


def _owner(state: OrderState) -> str:
    return owner_of_reference(state.reference) if state.customer_id is None else owner_of_customer(state.customer_id)


def _days_in_batches(records: list[OrderState], cuts: list[int]) -> dict[str, dict[int, Activity]]:
    """The days of activity that the database would hold after these records came in these batches."""
    return _told_in_batches(records, cuts)[0]


def _told_in_batches(
    records: list[OrderState], cuts: list[int]
) -> tuple[dict[str, dict[int, Activity]], dict[OwnedDay, Outcomes]]:
    stored: dict[OrderKey, Counted] = {}
    days: dict[OwnedDay, Activity] = {}
    outcomes: dict[OwnedDay, Outcomes] = {}
    edges = [0, *sorted(cut % (len(records) + 1) for cut in cuts), len(records)]
    for start, end in pairwise(edges):
        found: list[tuple[OwnedDay, Activity]] = []
        came: list[tuple[OwnedDay, Outcomes]] = []
        for key, state in join_all(records[start:end]).items():
            before = stored.get(key)
            joined = state if before is None else join(before.state, state)
            after = Counted(joined, _owner(joined))
            found += changes(before, after)
            came += outcome_changes(before, after)
            stored[key] = after
        for day, activity in sum_changes(found).items():
            days[day] = days.get(day, Activity()).plus(activity)
        for day, outcome in sum_changes(came).items():
            outcomes[day] = outcomes.get(day, Outcomes()).plus(outcome)
    by_owner: dict[str, dict[int, Activity]] = {}
    for day, activity in days.items():
        if any(activity):
            by_owner.setdefault(day.owner, {})[day.day] = activity
    return by_owner, {day: outcome for day, outcome in outcomes.items() if any(outcome)}


def _tiers(days: dict[str, dict[int, Activity]]) -> dict[str, list[str]]:
    tiers = {}
    for owner, own in days.items():
        features = features_of(own, TODAY, RULES.windows)
        moves = [find_move(RULES, tier, features) for tier in RULES.tiers]
        tiers[owner] = [move.to_tier if move else "stays" for move in moves]
    return tiers


@given(RECORDS, st.data())
def test_order_and_duplication_change_nothing(records: list[OrderState], data: st.DataObject) -> None:
    once = _told_in_batches(records, [])
    again = data.draw(st.lists(st.sampled_from(records), max_size=8)) if records else []
    shuffled = data.draw(st.permutations([*records, *again]))
    cuts = data.draw(st.lists(st.integers(0, 30), max_size=5))
    other = _told_in_batches(shuffled, cuts)
    assert other == once
    assert _tiers(other[0]) == _tiers(once[0])


@given(_records(), _records(), _records())
def test_states_of_an_order_join_in_any_order(one: OrderState, two: OrderState, three: OrderState) -> None:
    two, three = replace(two, key=one.key), replace(three, key=one.key)
    assert join(one, two) == join(two, one)
    assert join(join(one, two), three) == join(one, join(two, three))
    assert join(one, one) == one


@given(RECORDS)
def test_demand_is_what_the_newest_record_says_net_of_cancellations(records: list[OrderState]) -> None:
    total = Activity()
    for own in _days_in_batches(records, [1, 2, 3]).values():
        for activity in own.values():
            total = total.plus(activity)
    expected = Activity()
    for key in {record.key for record in records}:
        own_records = [record for record in records if record.key == key]
        newest = max(
            own_records, key=lambda one: (one.sequence, one.ordered_on, one.ordered, one.shipped, one.returned)
        )
        demand = newest.shipped if any(record.cancelled for record in own_records) else newest.ordered
        if demand.units:
            expected = expected.plus(Activity(1, *demand))
    assert total == expected


DAYS: Final = st.dictionaries(
    st.integers(TODAY - 120, TODAY + 5),
    st.builds(Activity, st.integers(0, 3), st.integers(0, 20), st.integers(0, 900_000_000), st.integers(0, 1)),
    max_size=8,
)


@given(DAYS)
def test_until_the_next_look_no_condition_turns(days: dict[int, Activity]) -> None:
    first = features_of(days, TODAY, RULES.windows)
    again_at = judge(RULES, Standing(None, None, overridden=False, until=None), first, _moment(TODAY)).again_at
    for day in range(TODAY, TODAY + 200 if again_at is None else again_at.toordinal()):
        assert _truths(features_of(days, day, RULES.windows)) == _truths(first)


def _truths(features: Features) -> list[int]:
    return [truth(leaf, features) for leaf in RULES.leaves]


def _moment(day: int) -> datetime:
    return datetime.fromordinal(day).replace(tzinfo=UTC)


@given(RECORDS)
def test_returns_are_of_the_newest_record_and_one_late_delivery_makes_an_order_late(records: list[OrderState]) -> None:
    total = Outcomes()
    for outcome in _told_in_batches(records, [2, 5])[1].values():
        total = total.plus(outcome)
    orders = [[one for one in records if one.key == key] for key in {one.key for one in records}]
    newest = [
        max(own, key=lambda one: (one.sequence, one.ordered_on, one.ordered, one.shipped, one.returned))
        for own in orders
    ]
    told = [own for own in orders if any(one.punctuality is not Punctuality.UNTOLD for one in own)]
    late = [own for own in told if any(one.punctuality is Punctuality.LATE for one in own)]
    assert total.returned_units == sum(one.returned.units for one in newest)
    assert total.returned_value_micros == sum(one.returned.value_micros for one in newest)
    assert (total.orders_delivered, total.orders_late) == (len(told), len(late))
