"""The tier history against a model that keeps one tier per layer for each single moment."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.segment_registry.domain.timeline import (
    Assignment,
    Changed,
    Grounds,
    Kind,
    Refused,
    TimelineRefusal,
    Unchanged,
    Wanted,
    assign,
    end_assignment,
    in_force,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
MOMENTS = 24  # of an hour each; the last one stands for ever after
FOR_EVER = MOMENTS
PROBES = [START + timedelta(hours=hour) for hour in range(MOMENTS + 1)]

Layers = dict[Kind, list[tuple[str, int] | None]]  # per moment: tier and sequence

kinds = st.sampled_from(list(Kind))
tiers = st.sampled_from(["gold", "silver", "bronze"])
hours = st.integers(0, MOMENTS - 1)
ends = st.none() | st.integers(1, MOMENTS)
assigns = st.tuples(st.just("assign"), kinds, tiers, hours, ends)
removals = st.tuples(st.just("end"), st.integers(1, 12), hours)
commands = st.lists(assigns | removals, max_size=20)


class Model:
    """Paints moments; knows nothing of intervals."""

    def __init__(self) -> None:
        self.layers: Layers = {kind: [None] * (MOMENTS + 1) for kind in Kind}

    def assign(self, kind: Kind, tier: str, first: int, last: int | None, sequence: int) -> bool | TimelineRefusal:
        """Whether anything is altered, or the refusal."""
        layer = self.layers[kind]
        if kind is Kind.OVERRIDE and last is None:
            return TimelineRefusal.END_MISSING
        if last is not None and last <= first:
            return TimelineRefusal.END_BEFORE_START
        here = layer[first]
        # The next assignment begins where somebody else's moment follows; that of `here` may go on before it.
        begins = [hour for hour in range(first + 1, MOMENTS + 1) if layer[hour] not in {None, here}]
        end = (begins[0] if begins else FOR_EVER + 1) if last is None else last
        painted = range(first, end)
        if here is not None and here[0] == tier and all(layer[hour] == here for hour in painted):
            return False
        if begins and begins[0] < end:
            return TimelineRefusal.OVERLAP
        if here is not None and last is not None and end <= FOR_EVER and layer[end] == here:
            return TimelineRefusal.OVERLAP
        for hour in range(first, MOMENTS + 1):
            if layer[hour] == here:
                layer[hour] = None
        for hour in painted:
            layer[hour] = (tier, sequence)
        return True

    def end(self, sequence: int, now: int) -> None:
        for layer in self.layers.values():
            for hour in range(now, MOMENTS + 1):
                moment = layer[hour]
                if moment is not None and moment[1] == sequence:
                    layer[hour] = None

    def tier_at(self, hour: int) -> tuple[str, int] | None:
        return self.layers[Kind.OVERRIDE][hour] or self.layers[Kind.ASSIGNED][hour]


def moment(hour: int) -> datetime:
    return START + timedelta(hours=hour)


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
