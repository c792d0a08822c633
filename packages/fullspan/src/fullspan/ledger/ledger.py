"""The ledger: every observation of a run, by hop, in the order in which it came in."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from urllib.parse import quote

from fullspan.ledger.record import Observation

__all__ = ["Ledger"]


class Ledger:
    """Collects observations from any thread."""

    def __init__(self) -> None:
        self._hops: dict[str, list[Observation]] = {}
        self._lock = threading.Lock()

    def observe(self, observation: Observation) -> None:
        """Add one observation."""
        with self._lock:
            self._hops.setdefault(observation.hop, []).append(observation)

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
            return tuple(self._hops.get(hop, ()))

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._hops.values()))

    def dump(self, folder: Path) -> list[Path]:
        """Write `<hop>.jsonl` for every hop into a folder and return the files."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for hop in self.hops:
            file = folder / f"{quote(hop, safe='')}.jsonl"
            with file.open("w", encoding="utf-8") as out:
                for observation in self.observations(hop):
                    out.write(json.dumps(observation.to_json(), ensure_ascii=False, allow_nan=False) + "\n")
            files.append(file)
        return files

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `dump` wrote."""
        ledger = cls()
        for file in sorted(folder.glob("*.jsonl")):
            with file.open(encoding="utf-8") as lines:
                ledger.observe_all(map(Observation.from_json, lines))
        return ledger
