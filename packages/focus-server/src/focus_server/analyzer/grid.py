"""Grids of lines: which samples a line is made of and when it was, in exact arithmetic on the fibre's own clock."""

from dataclasses import dataclass
from fractions import Fraction

NS_PER_S = 10**9
NS_PER_MS = 10**6


@dataclass(frozen=True, slots=True)
class Clock:
    """Sample n of the fibre was taken at t0_ns + n·10⁹/fs nanoseconds since 1970 (UTC); fs in samples per second."""

    t0_ns: int
    fs: Fraction

    def time_ns(self, sample: int | Fraction) -> int:
        """Give when a sample was taken, rounded to the nearest nanosecond; half samples are welcome."""
        return self.t0_ns + round(sample * NS_PER_S / self.fs)

    def time_ms(self, sample: int | Fraction) -> int:
        """Give when a sample was taken, rounded once to the nearest millisecond."""
        return round((self.t0_ns + sample * NS_PER_S / self.fs) / NS_PER_MS)


@dataclass(frozen=True, slots=True)
class LineGrid:
    """All lines of one kind: spectra of `nfft` samples every `hop` samples, or a waterfall's (`nfft` None).

    Line p begins at sample p·hop, so jobs with equal nfft and hop have the same lines and share them.
    """

    nfft: int | None
    hop: int

    @property
    def span(self) -> int:
        """Samples that one line is made of: the window, or everything up to the next line when that is more."""
        return max(self.nfft or 1, self.hop)

    @property
    def values(self) -> int:
        """Values that one channel has in one line: bins, or one for a waterfall."""
        return 1 if self.nfft is None else self.nfft // 2 + 1

    def window_starts(self) -> tuple[int, ...]:
        """Give where the windows of a line begin, counted from the line's first sample.

        With hop > nfft no samples are skipped: as few windows as cover all of them, evenly spread.
        """
        if self.nfft is None or self.hop <= self.nfft:
            return (0,)
        windows = -(-self.hop // self.nfft)
        room = self.hop - self.nfft
        return tuple(index * room // (windows - 1) for index in range(windows))

    def first_sample(self, line: int) -> int:
        """Give the first sample of a line."""
        return line * self.hop

    def end_sample(self, line: int) -> int:
        """Give the sample after the last one of a line."""
        return line * self.hop + self.span

    def centre(self, line: int) -> Fraction:
        """Give the middle of a line, in samples."""
        return line * self.hop + Fraction(self.span, 2)

    def newest_line(self, end: int) -> int:
        """Give the last line that is complete when all samples before `end` are there; below 0 when none is."""
        return (end - self.span) // self.hop

    def oldest_line(self, begin: int) -> int:
        """Give the first line that needs no sample before `begin`."""
        return -(-begin // self.hop)
