"""What was recorded, as a stranger finds it: documents in MongoDB, the files they name, samples against the formula."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pymongo
from numpy.typing import NDArray
from pymongo.errors import PyMongoError

from fullspan.invariants import Finding
from fullspan.verdict import Verdict
from suites.focus.oracle import Fibre

ANSWER_MS = 2000
POLL_S = 0.1
RAW = "Acquisition/Raw[0]/RawData"
GAPS = "Acquisition/focus_gaps"
SLICE_SAMPLES = 1000
"""Compared at once: what the formula makes of them fits into a processor's cache."""

Gap = tuple[int, int, int, int]
"""First sample, the one after the last, first channel, last channel."""
Compared = tuple[str, int, int, int, int]
"""A file with its time of modification (ns) and size (bytes), and samples of it: the first, the one after the last."""


@dataclass(slots=True)
class Account:
    """Samples of all channels of a range of time, by what became of them."""

    wanted: int
    exact: int = 0
    altered: int = 0
    doubled: int = 0
    marked: int = 0  # not there, and the file says so
    files: int = 0
    witness: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Samples that nothing holds and nothing mentions."""
        return self.wanted - self.exact - self.altered - self.marked + self.doubled

    def note(self, what: str) -> None:
        """Keep a few examples of what is wrong."""
        if len(self.witness) < 5:
            self.witness.append(what)

    def finding(self, name: str) -> Finding:
        """Say whether every sample is there exactly once."""
        wrong = self.missing + self.altered + self.doubled + self.marked
        verdict = Verdict.FAIL if wrong else Verdict.PASS
        if self.wanted == 0:
            verdict = Verdict.INCONCLUSIVE
        summary = (
            f"{self.wanted:,} samples were sent; in {self.files} files {self.exact:,} are as sent, {self.missing:,} "
            f"missing, {self.doubled:,} doubled, {self.altered:,} altered, {self.marked:,} marked as a gap"
        )
        if self.witness:
            summary += f" ({'; '.join(self.witness)})"
        return Finding(name, verdict, summary, self.wanted, first_bad_hop="recording" if wrong else None)


class Recordings:
    """The catalogue and the files of a stack, read without the server's code.

    `exact` holds what was compared and found exact already, and is added to.
    """

    def __init__(self, mongo_url: str, fibre: Fibre, channels: int, exact: set[Compared]) -> None:
        self.fibre = fibre
        self.channels = channels
        self._exact = exact
        self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            mongo_url, timeoutMS=ANSWER_MS, directConnection=True
        )

    def close(self) -> None:
        self._client.close()

    def sample_at(self, wall_ns: int) -> int:
        """Return the fibre's first sample at or after a time."""
        return -(-(wall_ns - self.fibre.t0_ns) * self.fibre.fs.numerator // (self.fibre.fs.denominator * 10**9))

    def time_s(self, sample: int) -> float:
        """Return when a sample was taken, in epoch seconds."""
        return (self.fibre.t0_ns + float(sample / self.fibre.fs) * 1e9) / 1e9

    def documents(self) -> list[dict[str, Any]]:
        """Return what the catalogue says of every finished recording of this fibre, in order of time."""
        database = self._client.get_default_database()
        found: list[dict[str, Any]] = []
        for base in list(database["base_paths"].find({"is_archive": False})):
            query = {"end_time": {"$ne": None}, "deleted": {"$ne": True}, "t0_ns": self.fibre.t0_ns}
            folder = Path(base["base_path"])
            found += [each | {"file": str(folder / each["path"])} for each in database[base["guid"]].find(query)]
        return sorted(found, key=lambda document: int(document["first_sample"]))

    def covered_until(self, first: int) -> int:
        """Return up to which sample the catalogue has everything from `first` on."""
        end = first
        for document in self.documents():
            if document["first_sample"] <= end:
                end = max(end, int(document["first_sample"] + document["samples"]))
        return end

    def wait_until_covered(self, first: int, end: int, within_s: float) -> float | None:
        """Wait until the catalogue has everything of a range; return the seconds it took, None when it took longer."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            try:
                if self.covered_until(first) >= end:
                    return time.monotonic() - began
            except PyMongoError:
                pass  # being away is what is waited for to end
            time.sleep(POLL_S)
        return None

    def account(self, first: int, end: int) -> Account:
        """Compare every sample from `first` up to `end` of every channel with the formula."""
        account = Account(wanted=(end - first) * self.channels)
        reached = first
        for document in self.documents():
            low = max(int(document["first_sample"]), first)
            high = min(int(document["first_sample"] + document["samples"]), end)
            if low >= high:
                continue
            account.files += 1
            if low > reached:
                account.note(f"samples {reached} to {low} are in no file")
            if low < reached:
                account.doubled += (min(reached, high) - low) * self.channels
                account.note(f"samples {low} to {min(reached, high)} are in two files")
            reached = max(reached, high)
            self._compare(document, low, high, account)
        if reached < end:
            account.note(f"samples {reached} to {end} are in no file")
        return account

    def _compare(self, document: dict[str, Any], low: int, high: int, account: Account) -> None:
        """Compare samples [low, high) of one file; one that was exact and is untouched since is not read again."""
        path, size = Path(document["file"]), (high - low) * self.channels
        state = path.stat()
        seen = (str(path), state.st_mtime_ns, state.st_size, low, high)
        if seen in self._exact:
            account.exact += size
            return
        begin, exact = int(document["first_sample"]), account.exact
        with h5py.File(path, "r") as file:
            stored = file[RAW][low - begin : high - begin]
            gaps = list(_inside(file[GAPS][:], low, high)) if GAPS in file else []
        if stored.shape != (high - low, self.channels) or stored.dtype != self.fibre.dtype:
            account.altered += size
            account.note(f"{path.name} holds {stored.shape} {stored.dtype}")
            return
        for gap_low, gap_high, channel_low, channel_high in gaps:
            account.note(f"samples {gap_low} to {gap_high} of channels {channel_low} to {channel_high} are a gap")
        for start in range(low, high, SLICE_SAMPLES):
            self._compare_slice(stored[start - low : start - low + SLICE_SAMPLES], start, gaps, account)
        if account.exact - exact == size:
            self._exact.add(seen)

    def _compare_slice(self, stored: NDArray[Any], start: int, gaps: list[Gap], account: Account) -> None:
        wanted = self.fibre.window(start, len(stored), 1, self.channels)
        same = (stored == wanted) | (np.isnan(wanted) & np.isnan(stored) if wanted.dtype.kind == "f" else False)
        there = np.ones(wanted.shape, bool)
        for low, high, channel_low, channel_high in gaps:
            there[max(low - start, 0) : max(high - start, 0), channel_low - 1 : channel_high] = False
        account.marked += int((~there).sum())
        account.exact += int((same & there).sum())
        altered = int((~same & there).sum())
        account.altered += altered
        if altered:
            row, column = np.argwhere(~same & there)[0]
            account.note(f"sample {start + row} of channel {column + 1} is {stored[row, column]}")


def _inside(gaps: Any, low: int, high: int) -> Iterator[Gap]:
    """Return the part of each gap that lies in samples [low, high)."""
    for gap_low, gap_high, channel_low, channel_high in gaps.tolist():
        if gap_low < high and low < gap_high:
            yield max(gap_low, low), min(gap_high, high), channel_low, channel_high
