"""The ledger: every observation of a run, by hop, in the order in which it came in."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from fullspan.ledger.record import Observation

if TYPE_CHECKING:
    import pyarrow as pa

# Arrow is imported where it is used: most sessions of pytest have no ledger.

__all__ = ["KEEP", "Ledger"]

KEEP: Final = 262_144  # observations of a hop that stay in memory, about 150 MB


class Ledger:
    """Collects observations from any thread.

    With a folder (`spill_to`) a hop that has seen more than `keep` moves the older half of them there, so that memory
    stays bounded however long a test goes on.
    """

    def __init__(self, folder: Path | None = None, keep: int = KEEP) -> None:
        self._hops: dict[str, list[Observation]] = {}
        self._moved: dict[str, list[tuple[Path, int]]] = {}  # the segments of a hop, and their rows
        self._folder = folder
        self._redact: Callable[[str], str] | None = None
        self._keep = keep
        self._lock = threading.RLock()

    def spill_to(self, folder: Path, redact: Callable[[str], str] | None = None) -> None:
        """Use a folder for what is more than memory should hold; `redact` takes secrets out of what is written."""
        self._folder, self._redact = folder, redact

    def observe(self, observation: Observation) -> None:
        """Add one observation."""
        with self._lock:
            seen = self._hops.setdefault(observation.hop, [])
            seen.append(observation)
            if self._folder is not None and len(seen) > self._keep:
                self._move(observation.hop, self._folder)

    def observe_all(self, observations: Iterable[Observation]) -> None:
        """Add several observations in their order."""
        for observation in observations:
            self.observe(observation)

    @property
    def hops(self) -> tuple[str, ...]:
        """Return the hops that saw anything, in the order in which they first did."""
        with self._lock:
            return tuple(self._hops)

    def observations(self, hop: str) -> tuple[Observation, ...]:
        """Return what a hop saw so far; nothing when it saw nothing."""
        with self._lock:
            moved = list(self._moved.get(hop, ()))
            recent = tuple(self._hops.get(hop, ()))
        if not moved:
            return recent
        from fullspan.ledger.columns import to_observations
        from fullspan.ledger.store import read_pieces

        before = [seen for file, _ in moved for piece in read_pieces(file) for seen in to_observations(hop, piece)]
        return (*before, *recent)

    def pieces(self, hop: str) -> "Iterator[pa.Table]":
        """Yield what a hop saw so far as tables of `fullspan.ledger.columns.SCHEMA`, a piece at a time."""
        from fullspan.ledger.columns import to_table
        from fullspan.ledger.store import PIECE_ROWS, read_pieces

        with self._lock:
            moved = list(self._moved.get(hop, ()))
            recent = tuple(self._hops.get(hop, ()))
        for file, _ in moved:
            yield from read_pieces(file)
        for first in range(0, len(recent), PIECE_ROWS):
            yield to_table(recent[first : first + PIECE_ROWS])

    def __len__(self) -> int:
        with self._lock:
            moved = sum(rows for segments in self._moved.values() for _, rows in segments)
            return moved + sum(map(len, self._hops.values()))

    def dump(self, folder: Path, redact: Callable[[str], str] | None = None) -> list[Path]:
        """Write `HOP.parquet` for every hop into a folder and return the files; `redact` takes secrets out of texts.

        What had moved to the same folder becomes part of the one file.
        """
        from fullspan.ledger.columns import redacted
        from fullspan.ledger.store import file_of, write_hop

        files = []
        for hop in self.hops:
            file = file_of(folder, hop)
            with self._lock:  # nothing may move, or come in, between the file and the end of its segments
                pieces = self.pieces(hop)
                rows = write_hop(file, pieces if redact is None else (redacted(piece, redact) for piece in pieces))
                segments = [segment for segment, _ in self._moved.get(hop, ()) if segment.parent == folder]
                if segments:
                    self._moved[hop] = [(file, rows)]
                    self._hops[hop].clear()
                for segment in segments:
                    if segment != file:
                        segment.unlink(missing_ok=True)
            files.append(file)
        return files

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `dump` wrote; raises UsageError when a file cannot be read."""
        from fullspan.ledger.columns import to_observations
        from fullspan.ledger.store import files_in, read_pieces

        ledger = cls()
        for hop, files in files_in(folder).items():
            for file in files:
                for piece in read_pieces(file):
                    ledger.observe_all(to_observations(hop, piece))
        return ledger

    def _move(self, hop: str, folder: Path) -> None:
        from fullspan.ledger.columns import redacted, to_table
        from fullspan.ledger.store import segment_of, write_hop

        seen = self._hops[hop]
        older = seen[: (len(seen) + 1) // 2]
        table = to_table(older)
        segments = self._moved.setdefault(hop, [])
        file = segment_of(folder, hop, len(segments))
        rows = write_hop(file, [table if self._redact is None else redacted(table, self._redact)])
        segments.append((file, rows))
        del seen[: len(older)]
