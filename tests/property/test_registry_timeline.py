"""The tier history against a model that keeps one tier per layer for each single moment."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain.timeline import (
    Assignment,
    Changed,
    Grounds,
    Kind,
    Refused,
    Unchanged,
    Wanted,
    assign,
    end_assignment,
    in_force,
)
from tests.support.painted_timeline import PROBES, START, Model, commands, moment


@given(commands)
def test_every_moment_has_the_tier_of_the_model(steps: list[tuple[object, ...]]) -> None:
    model = Model()
    history: tuple[Assignment, ...] = ()
    sequence = 0
    for step in steps:
        match step:
            case ("assign", Kind() as kind, str(tier), int(first), last):
                assert last is None or isinstance(last, int)
                expected = model.assign(kind, tier, first, last, sequence + 1)
                until = None if last is None else moment(last)
                wanted = Wanted(tier, kind, moment(first), until, Grounds("because", "ann"))
                outcome = assign(history, wanted, sequence=sequence + 1, now=START)
                match outcome:
                    case Changed(assignments):
                        assert expected is True
                        history, sequence = assignments, sequence + 1
                    case Unchanged():
                        assert expected is False
                    case Refused(reason):
                        assert reason == expected
            case ("end", int(which), int(now)):
                ended = end_assignment(history, which, now=moment(now))
                if isinstance(ended, Changed):
                    model.end(which, now)
                    history = ended.assignments
        assert_same(history, model)
        assert_no_overlap(history)


def assert_same(history: tuple[Assignment, ...], model: Model) -> None:
    for hour, probe in enumerate(PROBES):
        found = in_force(history, probe)
        assert (found and (found.tier, found.sequence)) == model.tier_at(hour)


def assert_no_overlap(history: tuple[Assignment, ...]) -> None:
    for kind in Kind:
        layer = sorted((a for a in history if a.kind is kind), key=lambda a: a.effective_from)
        for one, following in itertools.pairwise(layer):
            assert one.effective_to is not None
            assert one.effective_to <= following.effective_from


@given(commands, st.randoms(use_true_random=False))
def test_the_order_of_the_loaded_rows_does_not_matter(steps: list[tuple[object, ...]], random: object) -> None:
    history: tuple[Assignment, ...] = ()
    for sequence, step in enumerate(steps, 1):
        if step[0] != "assign":
            continue
        _, kind, tier, first, last = step
        assert isinstance(kind, Kind)
        assert isinstance(tier, str)
        assert isinstance(first, int)
        until = moment(last) if isinstance(last, int) else None
        wanted = Wanted(tier, kind, moment(first), until, Grounds("because", "ann"))
        shuffled = list(history)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        outcome = assign(history, wanted, sequence=sequence, now=START)
        assert assign(tuple(shuffled), wanted, sequence=sequence, now=START) == outcome
        if isinstance(outcome, Changed):
            history = outcome.assignments
