"""What a person says of a file that does not say it itself."""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """None is not told. `fs` in samples/s, `start_ns` of the first sample in ns since 1970, `dx` in m."""

    site: str | None = None
    fs: Fraction | None = None
    start_ns: int | None = None
    dx: float | None = None
    units: str | None = None
