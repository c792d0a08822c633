"""The sampling rate that a file means when it only tells a rounded one."""

from fractions import Fraction
from math import ceil, floor, ulp
from typing import Final

__all__ = ["rate_of_interval", "rate_of_period"]

_DECIMALS: Final = 9


def rate_of_period(period_ns: int) -> Fraction:
    """Return the rate, samples/s, with the fewest decimals whose period rounds to so many whole ns."""
    half = Fraction(1, 2)
    return _simplest(Fraction(10**9) / (period_ns + half), Fraction(10**9) / (period_ns - half))


def rate_of_interval(interval_us: float) -> Fraction:
    """Return the rate, samples/s, with the fewest decimals whose interval is this double of microseconds."""
    exact, half = Fraction(interval_us), Fraction(ulp(interval_us)) / 2
    return _simplest(1_000_000 / (exact + half), 1_000_000 / (exact - half))


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the number with the fewest decimals from `low` to `high`, of those the one nearest to the middle."""
    middle = (low + high) / 2
    for decimals in range(_DECIMALS + 1):
        unit = 10**decimals
        first, last = ceil(low * unit), floor(high * unit)
        if first <= last:
            return Fraction(min(max(round(middle * unit), first), last), unit)
    return middle.limit_denominator(10**_DECIMALS)
