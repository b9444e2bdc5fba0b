"""How many planted cases detection finds, and how many innocents it names, over seeded companies of four weeks.

`python -m bench detection [--seeds=200]`. A company has some 350 customers, of whom some thirty look guilty and are
not (`bench.detection_world`), or 600 of whom 180 do, with a holiday peak, islands, pallets and desks
(`bench.detection_peak`), in turn; the sums are those of `bench.detection_sums`, which the tests hold against the
database.
"""

import sys
from collections import Counter
from multiprocessing import Pool
from time import process_time
from typing import Final, NamedTuple

from bench.detection_peak import peak_world
from bench.detection_sums import found_in
from bench.detection_world import World, world
from bench.figures import Figure, write
from services.reclassifier.domain.detections import Detection, Kind, Limits

SEEDS: Final = 200
PROCESSES: Final = 2
FALSE_PERCENT_MAX: Final = 5
PERCENT: Final = 100


class Outcome(NamedTuple):
    """One seed: planted and found cases by kind, false alarms, whom they could have named, and the time to look."""

    planted: Counter[str]
    found: Counter[str]
    alarms: int
    false: int
    innocents: int
    false_lookalikes: int
    lookalikes: int
    seconds: float


def main() -> int:
    """Measure and write `build/bench/detection.json`; 1 if a case was missed or too many innocents were named."""
    given = [int(option.partition("=")[2]) for option in sys.argv[1:] if option.startswith("--seeds=")]
    seeds = given[0] if given else SEEDS
    with Pool(PROCESSES) as pool:
        outcomes = pool.map(looked, range(seeds), chunksize=4)
    planted, found = Counter[str](), Counter[str]()
    for one in outcomes:
        planted.update(one.planted)
        found.update(one.found)
    figures = [
        Figure(f"found: {kind.value}", "share of planted cases", "%", percent(found[kind.value], planted[kind.value]))
        for kind in Kind
    ]
    false = sum(one.false for one in outcomes)
    of = {
        "innocents": (false, sum(one.innocents for one in outcomes)),
        "innocents who look guilty": (
            sum(one.false_lookalikes for one in outcomes),
            sum(one.lookalikes for one in outcomes),
        ),
        "alarms": (false, sum(one.alarms for one in outcomes)),
    }
    figures += [Figure(f"false alarms: of {name}", "share", "%", percent(*parts)) for name, parts in of.items()]
    seconds = sum(one.seconds for one in outcomes) / seeds
    figures.append(Figure("look at one company", "processor time", "ms", seconds * 1_000))
    counts = {"planted": dict(planted), "found": dict(found), "false": {name: list(one) for name, one in of.items()}}
    write("detection", figures, sections={"counts": counts}, seeds=seeds)
    missed = planted != found
    return int(missed or any(part * PERCENT >= FALSE_PERCENT_MAX * whole for part, whole in of.values()))


def made_of(seed: int) -> World:
    """The company of a seed: of one shape, or of the other."""
    return peak_world(seed) if seed % 2 else world(seed)


def looked(seed: int) -> Outcome:
    """One company."""
    made = made_of(seed)
    began = process_time()
    found = named_in(found_in(made, Limits()))
    seconds = process_time() - began
    false = found - made.planted
    names = {name for _, name in false}
    return Outcome(
        Counter(kind for kind, _ in made.planted),
        Counter(kind for kind, _ in made.planted & found),
        len(found),
        len(false),
        len(made.innocents),
        len(names & made.lookalikes),
        len(made.lookalikes),
        seconds,
    )


def named_in(found: list[Detection]) -> set[tuple[str, str]]:
    """Who is named of what: users of what they did as planners, else customers."""
    return {(one.kind.value, (one.user if one.owner is None else one.owner.removeprefix("c:")) or "") for one in found}


def wrongly_named(made: World, found: list[Detection]) -> set[tuple[str, str]]:
    """The false alarms."""
    return named_in(found) - made.planted


def percent(part: int, whole: int) -> float:
    """A share."""
    return part * PERCENT / whole if whole else 0.0


if __name__ == "__main__":
    sys.exit(main())
