"""The life of a promise: every pair of state and event, against a table written by hand."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest

from services.atp.domain.model import LineDecision, OrderDecision, Planned, PositionKey
from services.atp.domain.promise_state import OPEN, Event, State, first_state, next_state, state_at
from services.contracts.promises import PromiseState

NOW = datetime(2026, 3, 2, tzinfo=UTC)
EVENTS: tuple[Event, ...] = get_args(Event)
STATES: tuple[State, ...] = get_args(State)
# A row per event, a column per state: "." is impossible, "=" stays.
LIFE = """
            held      promised  confirmed expired   cancelled refused          closed awaiting_release
confirm     confirmed confirmed =         .         .         .                .      .
cancel      cancelled cancelled cancelled cancelled =         cancelled        .      cancelled
expire      expired   .         .         =         .         .                .      .
revive      .         .         .         promised  .         .                .      .
revive_held .         .         .         held      .         .                .      .
amend       =         =         =         .         .         promised         .      promised
refuse      refused   refused   refused   .         .         =                .      refused
hold_back   .         .         .         .         .         awaiting_release .      =
release     =         =         =         .         .         .                .      .
release_all cancelled cancelled cancelled .         .         .                .      .
transfer    =         =         =         .         .         .                .      .
plan        =         =         =         .         .         .                .      .
all_shipped closed    closed    closed    .         .         .                =      .
deliver     =         =         =         =         =         .                =      .
take_back   =         =         =         =         =         .                =      .
"""


def _life() -> dict[tuple[str, str], str | None]:
    head, *rows = [line.split() for line in LIFE.strip().splitlines()]
    return {
        (state, row[0]): {".": None, "=": state}.get(cell, cell)
        for row in rows
        for state, cell in zip(head, row[1:], strict=True)
    }


def test_the_table_speaks_of_every_state_and_event() -> None:
    assert set(_life()) == set(product(STATES, EVENTS))


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_every_event_in_every_state_leads_where_the_table_says(state: State, event: Event) -> None:
    assert next_state(state, event) == _life()[state, event]


def test_every_state_can_be_reached() -> None:
    reached: set[State] = {"held", "promised", "refused", "awaiting_release"}
    for _ in STATES:
        reached |= {after for state in reached for event in EVENTS if (after := next_state(state, event))}
    assert reached == set(STATES)


def test_the_states_are_those_of_the_published_language() -> None:
    assert set(STATES) == {state.value for state in PromiseState}


def _decision(*, planned: bool, backordered: int) -> OrderDecision:
    part = Planned(PositionKey("I1", "L1"), "road", 3, 740_000, 740_000, 740_001, 0)
    line = LineDecision("1", "I1", 3, "", 740_000, (part,) if planned else (), backordered)
    return OrderDecision((line,), 0)


def test_an_order_that_validation_holds_waits_for_its_release() -> None:
    line = LineDecision("1", "I1", 3, "held_for_release", 740_000)
    assert first_state(OrderDecision((line,), 0)) == "awaiting_release"
    assert first_state(OrderDecision((line,), 0), held=True) == "awaiting_release"


@pytest.mark.parametrize(
    ("planned", "backordered", "held", "state"),
    [
        (True, 0, False, "promised"),
        (False, 3, False, "promised"),
        (False, 0, False, "refused"),
        (True, 0, True, "held"),
        (False, 3, True, "refused"),
        (False, 0, True, "refused"),
    ],
)
def test_a_promise_is_refused_when_nothing_is_promised_or_waits(
    planned: bool, backordered: int, held: bool, state: State
) -> None:
    assert first_state(_decision(planned=planned, backordered=backordered), held=held) == state


def test_nothing_leaves_a_final_state() -> None:
    final: tuple[State, ...] = ("cancelled", "closed")
    for state, event in product(final, EVENTS):
        assert next_state(state, event) in {None, state}


def test_a_hold_is_expired_from_the_moment_at_which_its_time_is_over() -> None:
    assert state_at("held", NOW, NOW - timedelta(microseconds=1)) == "held"
    assert state_at("held", NOW, NOW) == "expired"
    assert state_at("held", None, NOW) == "held"
    for state in (*OPEN[1:], "cancelled", "closed"):
        assert state_at(state, NOW, NOW + timedelta(days=1)) == state
