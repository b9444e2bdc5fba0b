"""How what a line has may move when it is re-decided: the strategy of its tier.

    strategy      gains  falls  for
    win           yes    no     nobody: it must end fully confirmed on its date, else it is an exception
    gain          yes    no     nobody: it keeps what it has
    improve       yes    yes    those that win or gain
    redistribute  yes    yes    those before it in this table, and its own kind by order of service
    fill          no     yes    those before it in this table; what it lost it may have again, on any day
    lose          yes    yes    all before it in this table, and its own kind by order of service
    skip          no     no     nobody: it is not touched

A run asks in the order of this table, and within one strategy by order of service. So what loses is what nobody else
wants, and what falls falls to somebody who is asked earlier.
"""

from typing import Final, Literal, get_args

Strategy = Literal["win", "gain", "improve", "redistribute", "fill", "lose", "skip"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
_SEQUENCE: Final = {strategy: place for place, strategy in enumerate(STRATEGIES)}
_GAINS: Final = ("win", "gain", "improve", "redistribute", "lose")
_FALLS: Final = ("improve", "redistribute", "fill", "lose")
_AMONG_THEMSELVES: Final = ("redistribute", "lose")


def sequence(strategy: Strategy) -> int:
    """When a strategy is asked in a run: 0 first."""
    return _SEQUENCE[strategy]


def gains(strategy: Strategy) -> bool:
    """Whether a line may have more than it has, or have it earlier."""
    return strategy in _GAINS


def falls(strategy: Strategy) -> bool:
    """Whether a line may lose what it has to somebody who is asked earlier."""
    return strategy in _FALLS


def may_take(taker: Strategy, giver: Strategy) -> bool:
    """Whether one may take from another that is behind it; of one strategy, whoever is first in order of service."""
    if not (gains(taker) and falls(giver)):
        return False
    if taker == giver:
        return taker in _AMONG_THEMSELVES
    return _SEQUENCE[taker] < _SEQUENCE[giver]
