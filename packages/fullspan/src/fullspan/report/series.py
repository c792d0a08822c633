"""What the ledgers of a bundle say in time: per hop when each record was due and seen, and what was never seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullspan.bundle import Bundle, TestRecord
from fullspan.errors import UsageError
from fullspan.ledger import Observation, Outcome
from fullspan.ledger.columns import to_observations
from fullspan.ledger.store import files_in, read_pieces

__all__ = ["HopSeries", "Lost", "read_series"]


@dataclass(frozen=True, slots=True)
class Lost:
    """Records of one stream that a hop never saw between two that it saw; due times are CLOCK_MONOTONIC, ns."""

    stream: str
    first: int
    last: int
    began_ns: int
    ended_ns: int

    @property
    def told(self) -> str:
        """Which and how many, in words."""
        count = self.last - self.first + 1
        names = f"{self.stream}/{self.first}" + (f" to {self.last}" if count > 1 else "")
        return f"{count:,} never seen: {names}"


@dataclass(frozen=True, slots=True)
class HopSeries:
    """One hop in one test: when its records were due (0: nobody said) and seen, CLOCK_MONOTONIC, ns, by due time."""

    hop: str
    due_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    lost: Sequence[Lost]


def read_series(bundle: Bundle, test: TestRecord) -> list[HopSeries]:
    """Return the hops of a test's ledger, in stage order as far as it is known, then by when they saw anything."""
    folder = bundle.observations_of(test.nodeid)
    hops = files_in(folder) if folder.is_dir() else {}
    series = [found for hop, files in hops.items() if (found := _hop(hop, files)) is not None]
    stages = [str(row["hop"]) for totals in test.totals for row in totals.hops]
    place = {hop: number for number, hop in reversed(list(enumerate(stages)))}
    return sorted(series, key=lambda hop: (place.get(hop.hop, len(stages)), int(hop.seen_ns.min())))


def _hop(hop: str, files: Sequence[Path]) -> HopSeries | None:
    first: dict[str, tuple[int, int, str, int]] = {}
    for seen in (seen for file in files for seen in _observations(hop, file) if seen.outcome is Outcome.SEEN):
        due = seen.seen_ns - (seen.seen_wall_ns - seen.event_ns) if seen.event_ns else 0
        known = first.get(seen.key)
        if known is None or seen.seen_ns < known[1]:
            first[seen.key] = (due, seen.seen_ns, seen.stream, seen.sequence)
    if not first:
        return None
    records = sorted(first.values())
    due_ns = np.array([record[0] for record in records], np.int64)
    seen_ns = np.array([record[1] for record in records], np.int64)
    return HopSeries(hop, due_ns, seen_ns, list(_lost(records)))


def _observations(hop: str, file: Path) -> Iterator[Observation]:
    """Yield the observations of a file; one that its writer could not finish has none to show."""
    try:
        for piece in read_pieces(file):
            yield from to_observations(hop, piece)
    except UsageError:
        return


def _lost(records: Sequence[tuple[int, int, str, int]]) -> Iterator[Lost]:
    """Find the holes in each stream's sequence, whose step is the usual one of that stream."""
    streams: dict[str, list[tuple[int, int]]] = {}
    for due, seen, stream, sequence in records:
        streams.setdefault(stream, []).append((sequence, due or seen))
    for stream, seen_of in streams.items():
        seen_of.sort()
        numbers = np.array([sequence for sequence, _ in seen_of], np.int64)
        steps = np.diff(numbers)
        usual = int(np.median(steps)) if steps.size else 1
        for place in np.flatnonzero(steps > usual):
            first, last = int(numbers[place]) + usual, int(numbers[place + 1]) - usual
            yield Lost(stream, first, last, seen_of[place][1], seen_of[place + 1][1])
