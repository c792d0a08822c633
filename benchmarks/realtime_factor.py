"""How many times faster than real time one pinned core turns a whole fibre into spectra, beside others' ways.

Claim: for 2222 channels at 2000 samples/s, 50 % overlap and the mean removed at least 60 at NFFT 1024, and at no NFFT
less than half of the FFT alone, in processor time. What is timed is what the analyzer does with the lines that a block
of 100 ms completes: plan, read the ring, compute, keep. All but the FFT begin with the same int16 samples, in memory
and [channel, time]. Large windows are measured on fewer channels, and the factor is given for all 2222. Two kinds of
samples: noise, for which float32 is exact enough, and the sample recording as the interrogator plays it, whose steep
spectrum needs float64. The FFT alone transforms as many windows, from and to the processor's cache, in either type.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from _figures import options, print_claim, read, show
from numpy.typing import NDArray
from scipy.signal import spectrogram
from scipy.signal.windows import hann
from threadpoolctl import threadpool_limits

from focus_server.analyzer.feed import Counts, FibreSamples
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.kernel import kernel_name
from focus_server.analyzer.spectrum import TILE_SAMPLES
from focus_server.analyzer.tiles import Tiles, Wanted
from focus_server.fiber import Block, group_count, group_range
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording

CHANNELS, FS, BLOCK = 2222, 2000, 200
NFFTS = (128, 1024, 8192, 65536)
GOAL_NFFT, GOAL, SHARE_OF_FFT = 1024, 60.0, 0.5
LINES, BLOCKS = 6, 8  # at least: what comes of fewer would still be kept from one time to the next
PART_SAMPLES = 2**20
KEPT_BYTES = 64 * 2**20
SAMPLE = Path(os.environ.get("FULLSPAN_VAR") or "var", "data", "sample.npy")

Samples = NDArray[np.int16]
Way = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """How much is transformed at once: `channels` of `samples` each."""

    nfft: int
    channels: int
    samples: int

    @classmethod
    def of(cls, nfft: int, work: int) -> "Size":
        """Give a size of about so many samples of all channels together."""
        needed = max(work // CHANNELS, (LINES + 1) * nfft // 2, BLOCKS * BLOCK)
        samples = -(-needed // BLOCK) * BLOCK
        return cls(nfft, max(1, min(CHANNELS, work // samples)), samples)

    @property
    def hop(self) -> int:
        """Samples from line to line: half a window."""
        return self.nfft // 2

    @property
    def lines(self) -> int:
        """Whole lines that there are."""
        return (self.samples - self.nfft) // self.hop + 1

    def factor(self, run: Way) -> float:
        """Return seconds of the whole fibre for each second of processor time."""
        began = time.process_time()
        run()
        return self.lines * self.hop / FS * self.channels / CHANNELS / (time.process_time() - began)


def noise(size: Size) -> Samples:
    """Return counts of white noise [channel, time]."""
    rng = np.random.default_rng(1)
    return (rng.standard_normal((size.channels, size.samples), np.float32) * 1000).astype(np.int16)


@cache
def recording() -> Recording:
    """Load the sample recording, once."""
    return Recording.load(SAMPLE)


def earthquake(size: Size) -> Samples:
    """Return the sample recording as the interrogator plays it, [channel, time]."""
    formula = ReplayFormula(recording(), ReplayOptions(channels=size.channels))
    return np.ascontiguousarray(formula.samples(0, size.samples).T)


def analyzer_lines(samples: Samples, size: Size) -> Way:
    """Fill the analyzer's ring; the call makes all lines of it, as they come with the blocks."""
    fibre = Fibre(0, FS, 1, size.channels, "int16", "0.001")
    ring = FibreSamples(fibre, size.samples, 2.0)
    counts = Counts()
    for number, begin in enumerate(range(0, size.samples, BLOCK)):
        for group in range(group_count(size.channels)):
            low, high = group_range(group, size.channels)
            data = np.ascontiguousarray(samples[low - 1 : high, begin : begin + BLOCK].T)
            block = Block("local", group, 1, number, begin, FS, 1, 0, low, high, "int16", "0.001", data)
            ring.take(block, number / 10, counts)
    grid = LineGrid(size.nfft, size.hop)
    made = size.lines * size.channels * grid.values * 4
    tiles = Tiles(ring, min(KEPT_BYTES, made // 2))

    def run() -> None:
        line = 0
        for end in range(BLOCK, size.samples + 1, BLOCK):
            complete = range(line, grid.newest_line(end) + 1)
            pieces = tiles.plan(Wanted(grid, line, 1, size.channels) for line in complete)
            assert sum(piece.count for piece in pieces) == len(complete), "a line was kept from the last time"
            tiles.compute(pieces)
            line += len(complete)
        assert line == size.lines

    return run


def parts(samples: Samples) -> list[Samples]:
    """Split the channels so that each part fits into memory with all that is made of it."""
    return np.array_split(samples, min(len(samples), -(-samples.size // PART_SAMPLES)))


def scipy_lines(samples: Samples, size: Size) -> Way:
    """Use scipy.signal.spectrogram with the mean removed, in float32."""
    window = hann(size.nfft, sym=False).astype(np.float32)

    def run() -> None:
        for part in parts(samples):
            data = part.astype(np.float32)
            spectrogram(data, FS, window, size.nfft, size.hop, detrend="constant", scaling="density", mode="psd")

    return run


def dascore_lines(samples: Samples, size: Size) -> Way:
    """Use DASCore's stft of a patch; the mean is kept, its detrend being dearer still."""
    import dascore

    step = np.timedelta64(10**9 // FS, "ns")
    times = np.datetime64("2020-01-01T00:00:00", "ns") + np.arange(size.samples) * step
    patches = []
    for part in parts(samples):
        coords = {"distance": np.arange(len(part)), "time": times}
        patches.append(dascore.Patch(data=part, coords=coords, dims=("distance", "time")))

    def run() -> None:
        for patch in patches:
            real = patch.update(data=patch.data.astype(np.float32))
            np.abs(real.stft(time=size.nfft, overlap=size.nfft - size.hop, samples=True).data)

    return run


def obspy_lines(samples: Samples, size: Size) -> Way | None:
    """Use what ObsPy's spectrogram computes before it draws, channel by channel; None without ObsPy."""
    try:
        from obspy.imaging.spectrogram import mlab
    except ImportError:
        return None

    def run() -> None:
        for channel in samples:
            power, _, _ = mlab.specgram(channel.astype(np.float32), size.nfft, FS, noverlap=size.nfft - size.hop)
            np.sqrt(power)

    return run


def fft_alone(size: Size, dtype: type[np.floating[Any]]) -> Way:
    """Transform as many windows, from the processor's cache and without anything around it."""
    rows = max(1, TILE_SAMPLES // size.nfft)
    tile = np.random.default_rng(1).standard_normal((rows, size.nfft)).astype(dtype)
    whole, rest = divmod(size.lines * size.channels, rows)

    def run() -> None:
        for _ in range(whole):
            scipy.fft.rfft(tile, axis=1)
        scipy.fft.rfft(tile[:rest], axis=1)

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


def compare(samples: Samples, size: Size, n: int) -> tuple[float, float]:
    """Print the factors of all ways, measured in turn; return the analyzer's, and that of the FFT in float32."""
    ways: dict[str, Way | None] = {
        "analyzer": analyzer_lines(samples, size),
        "FFT alone, float32": fft_alone(size, np.float32),
        "FFT alone, float64": fft_alone(size, np.float64),
        "scipy.signal.spectrogram": scipy_lines(samples, size),
        "DASCore stft (mean kept)": dascore_lines(samples, size),
        "ObsPy's specgram (mean kept)": obspy_lines(samples, size),
    }
    there = {name: run for name, run in ways.items() if run is not None}
    for run in there.values():
        run()  # once without a clock: first touches, plans
    factors: dict[str, list[float]] = {name: [] for name in there}
    for _ in range(n):
        for name, run in there.items():
            factors[name].append(size.factor(run))
    medians = {name: show(f"  {name}", found, "x real time") for name, found in factors.items()}
    ours = medians["analyzer"]
    ratios = ", ".join(f"{name} {ours / median:.2f}" for name, median in medians.items() if name != "analyzer")
    print(f"  ratio of the analyzer to: {ratios}")
    for name in ways.keys() - there.keys():
        print(f"  {name}: not installed")
    return ours, medians["FFT alone, float32"]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 5, "samples of each figure")
    parser.add_argument("--nfft", type=int, nargs="+", default=NFFTS, help="window lengths")
    given = read(parser)
    warnings.simplefilter("ignore")
    work = 2**18 if given.quick else 16_000 * CHANNELS
    kinds: dict[str, Callable[[Size], Samples]] = {"noise": noise, "the sample recording": earthquake}
    if not SAMPLE.is_file():
        print(f"the sample recording {SAMPLE} is not there; `make setup` fetches it")
        del kinds["the sample recording"]
    with one_core() as core, threadpool_limits(1):
        print(f"numpy {np.__version__}, scipy {scipy.__version__}, kernel: {kernel_name()}, pinned to core {core}")
        print(f"fibre: {CHANNELS} channels x {FS} samples/s, int16, 50 % overlap, n {given.n}")
        for name, make in kinds.items():
            for nfft in given.nfft:
                size = Size.of(nfft, work)
                print(f"\n{name}, NFFT {nfft}: {size.lines} lines of {size.channels} channels")
                ours, fft = compare(make(size), size, given.n)
                if name == "noise":
                    goal = f"{GOAL:g} x real time, " if nfft == GOAL_NFFT else ""
                    kept = ours >= SHARE_OF_FFT * fft and (nfft != GOAL_NFFT or ours >= GOAL)
                    print_claim(f"at least {goal}{SHARE_OF_FFT:g} of the FFT alone", kept, quick=given.quick)


if __name__ == "__main__":
    main()
