from itertools import product
from typing import get_args

import pytest

from services.atp.domain.model import LineDecision, OrderDecision
from services.atp.domain.promise_state import Event, State, first_state, next_state
from services.contracts.promises import PromiseState


def test_the_states_are_those_of_the_published_language() -> None:
    assert set(get_args(State)) == {state.value for state in PromiseState}


@pytest.mark.parametrize(("backordered", "state"), [(3, "promised"), (0, "refused")])
def test_a_promise_is_refused_when_nothing_is_promised_or_waits(backordered: int, state: State) -> None:
    line = LineDecision("1", "I1", 3, "backordered", 740_000, backordered=backordered)
    assert first_state(OrderDecision((line,), 0)) == state


def test_nothing_leaves_a_final_state() -> None:
    final: tuple[State, ...] = ("cancelled", "closed")
    for state, event in product(final, get_args(Event)):
        assert next_state(state, event) in {None, state}


def test_only_an_open_promise_can_be_confirmed() -> None:
    confirmed = [state for state in get_args(State) if next_state(state, "confirm")]
    assert confirmed == ["promised", "confirmed"]


def test_goods_that_have_all_shipped_cannot_be_cancelled() -> None:
    assert next_state("confirmed", "all_shipped") == "closed"
    assert next_state("closed", "cancel") is None
    assert next_state("refused", "cancel") == "cancelled"
