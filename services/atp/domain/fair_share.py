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


def rationed(wanted: Sequence[int], taken: Sequence[int], free: int) -> list[int]:
    """What everybody may take in all, when `free` is left beside what was taken already.

    All that is there, taken or free, is shared by what was wanted: nobody's share changes while everybody takes within
    his own. Who took more than his share keeps that, and the others share the rest. Nobody gets more than he wanted.
    """
    shares = list(wanted)
    sharing = list(range(len(wanted)))
    while True:
        supply = free + sum(min(taken[index], wanted[index]) for index in sharing)
        for index, share in zip(sharing, scaled([wanted[index] for index in sharing], supply), strict=True):
            shares[index] = share
        over = [index for index in sharing if shares[index] < min(taken[index], wanted[index])]
        if not over:
            return shares
        for index in over:
            shares[index] = min(taken[index], wanted[index])
        sharing = [index for index in sharing if index not in over]
