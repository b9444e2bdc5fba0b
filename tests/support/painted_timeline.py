"""A tier history as a picture: one tier per layer for each single moment. It knows nothing of intervals."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from services.segment_registry.domain.timeline import Kind, TimelineRefusal

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
    """Paints moments."""

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
        """End an assignment at a moment."""
        for layer in self.layers.values():
            for hour in range(now, MOMENTS + 1):
                moment = layer[hour]
                if moment is not None and moment[1] == sequence:
                    layer[hour] = None

    def tier_at(self, hour: int) -> tuple[str, int] | None:
        """The tier that counts, and the number of its assignment."""
        return self.layers[Kind.OVERRIDE][hour] or self.layers[Kind.ASSIGNED][hour]


def moment(hour: int) -> datetime:
    """The time of a moment."""
    return START + timedelta(hours=hour)
