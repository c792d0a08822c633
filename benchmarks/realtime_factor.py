"""How many times faster than real time one pinned core turns a whole fibre into spectra, beside SciPy and DASCore.

Claim: at least 50 for 2222 channels at 2000 samples/s, NFFT 1024, 50 % overlap, mean removed, in processor time. What
is timed is what the analyzer does for a line: plan, read the ring, compute, keep. All peers get the same samples, in
memory already and in the order they like best ([channel, time], float32). Two kinds of samples: noise, for which
float32 is exact enough, and the sample recording as the interrogator plays it, whose steep spectrum needs float64.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from _figures import print_machine, show
from numpy.typing import NDArray
from scipy.signal import spectrogram
from scipy.signal.windows import hann
from threadpoolctl import threadpool_limits

from focus_server.analyzer.feed import Counts, FibreSamples
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.kernel import kernel_name
from focus_server.analyzer.tiles import Tiles, Wanted
from focus_server.fiber import Block, group_count, group_range
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording

CHANNELS, FS, NFFT, HOP = 2222, 2000, 1024, 512
SECONDS = 8
GOAL = 50.0
SAMPLE = Path(os.environ.get("FULLSPAN_VAR", "var"), "data", "sample.npy")

Samples = NDArray[np.int16]


def noise() -> Samples:
    """Return counts of white noise [channel, time]."""
    rng = np.random.default_rng(1)
    return (rng.standard_normal((CHANNELS, SECONDS * FS), np.float32) * 1000).astype(np.int16)


def earthquake() -> Samples | None:
    """Return the sample recording as the interrogator plays it, [channel, time], or None when it is not there."""
    if not SAMPLE.is_file():
        return None
    formula = ReplayFormula(Recording.load(SAMPLE), ReplayOptions(channels=CHANNELS))
    return np.ascontiguousarray(formula.samples(0, SECONDS * FS).T)


def fullspan_lines(samples: Samples) -> Callable[[], None]:
    """Fill the analyzer's ring; the call makes all lines of it once."""
    fibre = Fibre(0, FS, 1, CHANNELS, "int16", "0.001")
    ring = FibreSamples(fibre, 2 * SECONDS * FS, 2.0)
    counts = Counts()
    for number in range(SECONDS * 10):
        begin = number * FS // 10
        for group in range(group_count(CHANNELS)):
            low, high = group_range(group, CHANNELS)
            data = np.ascontiguousarray(samples[low - 1 : high, begin : begin + FS // 10].T)
            block = Block("local", group, 1, number, begin, FS, 1, 0, low, high, "int16", "0.001", data)
            ring.take(block, number / 10, counts)
    grid, tiles = LineGrid(NFFT, HOP), Tiles(ring)

    def run() -> None:
        for line in range(grid.newest_line(ring.end) + 1):
            pieces = tiles.plan([Wanted(grid, line, 1, CHANNELS)])
            assert pieces, "the line was kept from the last time"
            tiles.compute(pieces)

    return run


def scipy_lines(samples: Samples) -> Callable[[], None]:
    """Use scipy.signal.spectrogram with the mean removed, in float32, in parts that fit into memory."""
    data = samples.astype(np.float32)
    window = hann(NFFT, sym=False).astype(np.float32)

    def run() -> None:
        for part in np.array_split(data, 32):
            spectrogram(part, FS, window, NFFT, NFFT - HOP, detrend="constant", scaling="density", mode="psd")

    return run


def dascore_lines(samples: Samples) -> Callable[[], None]:
    """Use DASCore's stft of a patch in parts that fit into memory; the mean is kept, its detrend being dearer still."""
    import dascore

    data = samples.astype(np.float32)
    step = np.timedelta64(10**9 // FS, "ns")
    times = np.datetime64("2020-01-01T00:00:00", "ns") + np.arange(data.shape[1]) * step
    patches = []
    for part in np.array_split(data, 32):
        coords = {"distance": np.arange(len(part)), "time": times}
        patches.append(dascore.Patch(data=part, coords=coords, dims=("distance", "time")))

    def run() -> None:
        for patch in patches:
            np.abs(patch.stft(time=NFFT, overlap=NFFT - HOP, samples=True).data)

    return run


@contextmanager
def one_core() -> Iterator[int]:
    """Keep this process on one core."""
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def factor(run: Callable[[], None]) -> float:
    """Return seconds of fibre for each second of processor time."""
    lines = (SECONDS * FS - NFFT) // HOP + 1
    began = time.process_time()
    run()
    return lines * HOP / FS / (time.process_time() - began)


def compare(name: str, samples: Samples, n: int) -> float:
    """Print the factors for one kind of samples, measured in turn, and return the analyzer's median."""
    print(f"\nsamples: {name}")
    peers: dict[str, Callable[[], None]] = {
        "fullspan's analyzer": fullspan_lines(samples),
        "scipy.signal.spectrogram": scipy_lines(samples),
        "DASCore stft (mean kept)": dascore_lines(samples),
    }
    factors: dict[str, list[float]] = {peer: [] for peer in peers}
    for run in peers.values():
        run()  # once without a clock: first touches, plans
    for _ in range(n):
        for peer, run in peers.items():
            factors[peer].append(factor(run))
    medians = {peer: show(peer, found, "x real time") for peer, found in factors.items()}
    ours, *others = medians
    for other in others:
        print(f"ratio to {other}: {medians[ours] / medians[other]:.1f}")
    return medians[ours]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=7, help="samples of each figure")
    n = parser.parse_args().n
    warnings.simplefilter("ignore")
    kinds: dict[str, Callable[[], Any]] = {"noise": noise, "the sample recording": earthquake}
    with one_core() as core, threadpool_limits(1):
        print_machine()
        print(f"numpy {np.__version__}, scipy {scipy.__version__}, kernel: {kernel_name()}, pinned to core {core}")
        print(f"fibre: {CHANNELS} channels x {FS} samples/s, NFFT {NFFT}, hop {HOP}, {SECONDS} s, n {n}")
        for name, make in kinds.items():
            samples = make()
            if samples is None:
                print(f"\nsamples: {name}: {SAMPLE} is not there; `make setup` fetches it")
                continue
            median = compare(name, samples, n)
            if name == "noise":
                print(f"goal: {GOAL:g} x real time; {'reached' if median >= GOAL else 'not reached on this machine'}")


if __name__ == "__main__":
    main()
