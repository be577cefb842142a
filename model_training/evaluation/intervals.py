"""Exact 95 % intervals of counts and shares. Pure.

Events are few, so approximations by a normal distribution would promise too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

TAIL = 0.025
"""Probability beyond each end of an interval."""


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % interval; all NaN if it is undefined."""

    estimate: float
    low: float
    high: float

    def scaled(self, factor: float) -> Interval:
        """In another unit."""
        return Interval(self.estimate * factor, self.low * factor, self.high * factor)


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def rate(count: int, exposure: float) -> Interval:
    """Events per unit of exposure, by the Poisson distribution (Garwood)."""
    if exposure <= 0:
        return UNDEFINED
    top = count + 10 * math.sqrt(count + 1) + 20
    low = _root(lambda mean: 1 - _poisson(count - 1, mean) - TAIL, 0.0, float(count)) if count else 0.0
    high = _root(lambda mean: TAIL - _poisson(count, mean), float(count), top)
    return Interval(float(count), low, high).scaled(1 / exposure)


def share(count: int, total: int) -> Interval:
    """A share of a total, by the binomial distribution (Clopper and Pearson)."""
    if total <= 0:
        return UNDEFINED
    low = _root(lambda p: 1 - _binomial(count - 1, total, p) - TAIL, 0.0, count / total) if count else 0.0
    high = _root(lambda p: TAIL - _binomial(count, total, p), count / total, 1.0) if count < total else 1.0
    return Interval(count / total, low, high)


def _poisson(count: int, mean: float) -> float:
    """Probability of at most `count` events."""
    if mean <= 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _binomial(count: int, total: int, p: float) -> float:
    """Probability of at most `count` of `total`."""
    if p <= 0 or p >= 1:
        return 1.0 if p <= 0 or count >= total else 0.0
    ways = math.lgamma(total + 1)
    return math.fsum(
        math.exp(ways - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * math.log(p) + (total - k) * math.log1p(-p))
        for k in range(count + 1)
    )


def _root(rises: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0."""
    for _ in range(80):
        middle = (low + high) / 2
        if rises(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
