"""Which samples and blocks a row is made of: a pure function of the job's `metadata.grid` and the block layout."""

from dataclasses import dataclass
from fractions import Fraction

from fullspan.clients import Job

GROUP_SIZE = 64
BLOCKS_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Grid:
    """A job's line grid on the fibre: row r is line first_line + r, samples [p·hop, p·hop + nfft); for hop <= nfft."""

    t0_ns: int
    fs: Fraction
    first_line: int
    hop: int
    nfft: int

    @classmethod
    def of(cls, job: Job) -> "Grid":
        """Take over the grid of a job's `metadata.grid`."""
        grid = job.grid
        return cls(grid.t0_ns, grid.fs, grid.first_line, grid.hop, grid.nfft)

    def samples(self, row: int) -> tuple[int, int]:
        """Return the first sample of a row's window and the one after its last."""
        start = (self.first_line + row) * self.hop
        return start, start + self.nfft

    def sample_time_ns(self, sample: int) -> int:
        """Return the wall time at which a sample is due, in ns, rounded to the nearest."""
        return self.t0_ns + round(sample * 10**9 / self.fs)

    def due_ns(self, row: int) -> int:
        """Return when the last sample of a row was due; line latency counts from here."""
        return self.sample_time_ns(self.samples(row)[1])

    def stamp_ms(self, row: int) -> int:
        """Return the row's time stamp on the wire: the centre of its window, nearest millisecond."""
        centre = (self.samples(row)[0] + Fraction(self.nfft, 2)) / self.fs
        return round((self.t0_ns + centre * 10**9) / 10**6)

    def row_at(self, wall_ns: int) -> int:
        """Return the newest row whose window is complete at a wall time."""
        samples = int((wall_ns - self.t0_ns) * self.fs / 10**9)
        return (samples - self.nfft) // self.hop - self.first_line

    def block_start(self, block: int) -> int:
        """Return the first sample of a block of 100 ms."""
        return int(block * self.fs / BLOCKS_PER_SECOND)

    def blocks(self, row: int) -> range:
        """Return the numbers of the blocks that hold a row's samples, the same for every group."""
        start, end = self.samples(row)
        return range(self.block_of(start), self.block_of(end - 1) + 1)

    def block_of(self, sample: int) -> int:
        """Return the number of the block that holds a sample."""
        block = int(sample * BLOCKS_PER_SECOND / self.fs)
        while self.block_start(block + 1) <= sample:
            block += 1
        while self.block_start(block) > sample:
            block -= 1
        return block


def group_of(channel: int) -> int:
    """Return the block group that carries a channel (the first channel is 1)."""
    return (channel - 1) // GROUP_SIZE
