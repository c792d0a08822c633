"""What follows from a request and the fibre's sampling rate, in exact arithmetic, the same for server and analyzer."""

from fractions import Fraction
from math import ceil, floor
from typing import Literal

from focus_server.contract.limits import MAX_STREAMS, MOST_LINES_PER_HEIGHT, WATERFALL_LINES_PER_SECOND
from focus_server.contract.refusal import Refusal
from focus_server.contract.request import ConfigureRequest, View

LineSpacing = Literal["fs", "display"]
"""Where the hop comes from when none is asked for: from the sampling rate, or from what the viewer shows."""


def exact(number: float | Fraction) -> Fraction:
    """Take a number as the decimal that was written: 0.1 is one tenth, not the binary fraction next to it."""
    return Fraction(str(number)) if isinstance(number, float) else Fraction(number)


def band_bins(fs: Fraction, nfft: int, fmin: float, fmax: float) -> tuple[int, int]:
    """Find the first and the last bin (both kept) of the band fmin..fmax in Hz at fs samples per second.

    Bins lie at k·fs/nfft, k = 0..nfft/2; what lies above fs/2 is clipped.
    Raises `Refusal` 400, naming spacing and Nyquist frequency, when the band holds no bin.
    """
    first = ceil(exact(fmin) * nfft / fs)
    last = min(floor(exact(fmax) * nfft / fs), nfft // 2)
    if first > last:
        raise Refusal(
            400,
            f"The band {fmin:g} to {fmax:g} Hz holds no bin: bins lie {float(fs / nfft):g} Hz apart and end at the "
            f"Nyquist frequency, {float(fs / 2):g} Hz; ask for a wider or lower band or a larger NFFT.",
            "frequencyRange",
        )
    return first, last


def hop_samples(
    fs: Fraction,
    nfft: int | None,
    overlap: float | None = None,
    lines_per_second: float | None = None,
) -> int:
    """Count the samples from one line to the next, halves rounded to the even neighbour; nfft None means waterfall.

    The default gives a line for each half window and at least one a second; a waterfall has 20 a second.
    """
    if lines_per_second is not None:
        return max(1, round(fs / exact(lines_per_second)))
    if nfft is None:
        return max(1, round(fs / WATERFALL_LINES_PER_SECOND))
    if overlap is not None:
        return max(1, round(nfft * (1 - exact(overlap))))
    return max(1, min(nfft // 2, round(fs)))


def lines_dt(fs: Fraction, hop: int) -> Fraction:
    """Give the seconds from one line to the next."""
    return hop / fs


def frequencies(fs: Fraction, nfft: int, first: int, last: int) -> list[float]:
    """Give the frequencies in Hz of the bins first..last, each rounded once from its exact value."""
    numerator, denominator = fs.numerator, fs.denominator * nfft
    return [k * numerator / denominator for k in range(first, last + 1)]  # integers are divided with one rounding


def request_bins(request: ConfigureRequest, fs: Fraction) -> tuple[int, int] | None:
    """Find the bins that a request asks for (all of them by default); None for a waterfall."""
    nfft = request.effective_nfft
    if nfft is None:
        return None
    asked = request.frequency_range
    return (0, nfft // 2) if asked is None else band_bins(fs, nfft, asked.min, asked.max)


def request_hop(request: ConfigureRequest, fs: Fraction, line_spacing: LineSpacing = "fs") -> int:
    """Find the samples from line to line that a request asks for.

    With the spacing `display` a spectrum that asks for no rate has its lines duration/height seconds apart, as the
    older server had; a waterfall has no duration and is not concerned. A historic request that asks for no rate, and of
    which more than 4·height lines would come, gets about `height`.
    """
    hop = hop_samples(fs, request.effective_nfft, request.overlap, request.lines_per_second)
    if request.overlap is not None or request.lines_per_second is not None:
        return hop
    duration_s = request.effective_duration_s
    if line_spacing == "display" and duration_s is not None:
        hop = max(1, round(exact(duration_s) * fs / request.display_info.height))
    if request.start_time is None or request.end_time is None:
        return hop
    samples = (exact(request.end_time) - exact(request.start_time)) * fs
    lines = (samples - max(request.effective_nfft or 1, hop)) // hop + 1
    height = request.display_info.height
    return max(hop, round(samples / height)) if lines > MOST_LINES_PER_HEIGHT * height else hop


def stream_amount(view: View, channel_amount: int) -> int:
    """Count the streams of a job."""
    return min(MAX_STREAMS, channel_amount) if view is View.MULTICHANNEL else 1


def stream_groups(channel_min: int, channel_max: int, amount: int) -> list[tuple[int, int]]:
    """Split a channel range into `amount` consecutive groups; sizes differ by at most one, larger groups first."""
    size, larger = divmod(channel_max - channel_min + 1, amount)
    groups = []
    start = channel_min
    for index in range(amount):
        end = start + size + (index < larger) - 1
        groups.append((start, end))
        start = end + 1
    return groups


def stream_index(groups: list[tuple[int, int]]) -> dict[str, int]:
    """Map each channel number, as a string, to the index of the stream that carries it."""
    return {str(channel): index for index, (lo, hi) in enumerate(groups) for channel in range(lo, hi + 1)}
