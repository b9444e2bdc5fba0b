"""Dividing a whole number of units fairly: largest remainder.

Everybody gets the whole units of the exact share; what is left goes, a unit each, to those with the largest remainders
(of equal ones to the first). Source: Hamilton's method of apportionment.
"""

from collections.abc import Sequence


def fair_share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` units (0 or more) by weights (0 or more); the shares add up to it, unless there is nobody to share.

    Where all weights are 0, all count the same.
    """
    if not weights:
        return []
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    first = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in first[: total - sum(shares)]:
        shares[index] += 1
    return shares


def scaled(wanted: Sequence[int], supply: int) -> list[int]:
    """What everybody wanted, if there is enough for all; else the supply by what was wanted."""
    return list(wanted) if sum(wanted) <= supply else fair_share(max(0, supply), wanted)


def spread(total: int, taken: Sequence[int], weights: Sequence[int]) -> list[int]:
    """`total` over places of which each has given `taken` already: that, and its share of what is left by weight.

    The shares add up to the greater of `total` and what was taken.
    """
    left = max(0, total - sum(taken))
    return [given + more for given, more in zip(taken, fair_share(left, weights), strict=True)]
