"""What a request becomes on the fibre that is there: which lines, at which rate, from which one on; or a refusal."""

from dataclasses import dataclass
from typing import Final, Protocol

from focus_server.analyzer.cost import Load, affordable_hop, cores
from focus_server.analyzer.feed import FibreSamples
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.contract import (
    Channels,
    ConfigureAnswer,
    ConfigureRequest,
    Grid,
    JobMetadata,
    LoweredRate,
    Refusal,
    check_request,
    frequencies,
    lines_dt,
    request_bins,
    request_hop,
    stream_amount,
    stream_groups,
    stream_index,
)
from focus_server.contract.derive import LineSpacing
from focus_server.recordings import RecordingEntry

_LARGEST_ROW_BYTES: Final = 48_000_000
"""Clients take messages of 50 MB."""
_LOWEST_RATE: Final = 1.0
"""Lines per second that a job whose rate is lowered for its cost still has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can be made: the request on a fibre; with recordings it is a historic one, of so many lines."""

    request: ConfigureRequest
    fibre: Fibre
    grid: LineGrid
    bins: tuple[int, int] | None
    first_line: int
    ready_in_s: float
    lowered: LoweredRate | None
    lines: int | None = None
    recordings: tuple[RecordingEntry, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def load(self) -> Load:
        """What the job computes all the time."""
        return Load(self.grid, self.request.channels.min, self.request.channels.max)


def plan_job(
    request: ConfigureRequest,
    samples: FibreSamples,
    others: list[Load],
    budget_cores: float,
    now_s: float,
    line_spacing: LineSpacing = "fs",
) -> Plan:
    """Derive a job from a request; `others` are the loads of all jobs that live. Raises `Refusal`."""
    fibre = samples.fibre
    check_request(request, Channels(min=1, max=fibre.channels))
    bins = request_bins(request, fibre.fs)
    check_row(request, bins)
    asked = LineGrid(request.effective_nfft, request_hop(request, fibre.fs, line_spacing))
    grid, lowered = _afford(request, asked, fibre, others, budget_cores)
    _check_ring(grid, samples)
    first_line = _first_line(grid, request.channels, samples, now_s)
    ready = ready_in_s(grid, first_line, request.channels, samples, now_s)
    return Plan(request, fibre, grid, bins, first_line, ready, lowered)


def ready_in_s(grid: LineGrid, first_line: int, channels: Channels, samples: FibreSamples, now_s: float) -> float:
    """Give the seconds until the first line from `first_line` on that the ring can give is complete; 0 when one is."""
    frontier = samples.frontier(channels.min, channels.max, now_s)
    if frontier is None:
        return float(grid.span / samples.fibre.fs)
    line = max(first_line, grid.oldest_line(samples.begin(channels.min, channels.max)))
    return max(0.0, float((grid.end_sample(line) - frontier) / samples.fibre.fs))


class Described(Protocol):
    """What an announcement and a recording both say about the fibre: the unit of its values, and dx in m."""

    @property
    def units(self) -> str: ...  # noqa: D102
    @property
    def dx(self) -> float: ...  # noqa: D102


def make_answer(plan: Plan, described: Described, job_id: str, host: str, port: int) -> ConfigureAnswer:
    """Write what the client gets."""
    request, fibre, grid = plan.request, plan.fibre, plan.grid
    channels = request.channels
    amount = stream_amount(request.view_type, channels.amount)
    found = [] if plan.bins is None else frequencies(fibre.fs, grid.nfft or 1, *plan.bins)
    return ConfigureAnswer(
        job_id=job_id,
        stream_url=f"http://{host}",
        stream_port=port,
        stream_amount=amount,
        channel_to_stream_index=stream_index(stream_groups(channels.min, channels.max, amount)),
        channel_amount=channels.amount,
        frequencies_list=found,
        frequencies_amount=len(found),
        lines_dt=float(lines_dt(fibre.fs, grid.hop)),
        view_type=int(request.view_type),
        metadata=JobMetadata(
            units=described.units,
            fs=float(fibre.fs),
            dx=described.dx,
            recording_ids=tuple(entry.uuid for entry in plan.recordings),
            left_out=plan.left_out,
            lines=plan.lines,
            ready_in_s=plan.ready_in_s,
            lowered=plan.lowered,
            grid=Grid(
                t0_ns=fibre.t0_ns,
                fs_num=fibre.fs_num,
                fs_den=fibre.fs_den,
                first_line=plan.first_line,
                hop=grid.hop,
                nfft=grid.nfft or 1,
            ),
            display_info=request.display_info,
            duration_s=request.effective_duration_s,
        ),
    )


def _afford(
    request: ConfigureRequest, asked: LineGrid, fibre: Fibre, others: list[Load], budget_cores: float
) -> tuple[LineGrid, LoweredRate | None]:
    """Keep the line rate that was asked for, or lower it to what the budget pays for."""
    fs = float(fibre.fs)
    load = Load(asked, request.channels.min, request.channels.max)
    used = cores(others, fs)
    if cores([*others, load], fs) <= max(budget_cores, used):  # sharing all its lines, a job costs nothing
        return asked, None
    hop = affordable_hop(load, budget_cores - used, fs)
    if hop is None or fs / hop < min(_LOWEST_RATE, fs / asked.hop):
        raise Refusal(
            503,
            f"All jobs together use {used:.2f} of the {budget_cores:g} processor cores that they may use, and this one "
            "does not fit any more; ask for fewer channels or lines, or try again when other jobs have ended.",
            "capacity",
            retry_after=10,
        )
    asked_rate, rate = fs / asked.hop, fs / hop
    reason = f"{asked_rate:.3g} lines per second of {request.channels.amount} channels would cost too much."
    lowered = LoweredRate(asked_lines_per_second=asked_rate, lines_per_second=rate, reason=reason)
    return LineGrid(asked.nfft, hop), lowered


def _first_line(grid: LineGrid, channels: Channels, samples: FibreSamples, now_s: float) -> int:
    """Choose the newest complete line, or the first one that will be."""
    frontier = samples.frontier(channels.min, channels.max, now_s)
    if frontier is None:
        return grid.oldest_line(samples.end)
    return max(grid.newest_line(frontier), grid.oldest_line(samples.begin(channels.min, channels.max)))


def check_row(request: ConfigureRequest, bins: tuple[int, int] | None, amount: int | None = None) -> None:
    """Refuse a job whose rows no client takes; `amount` is how many streams it has, if that is settled already."""
    if bins is None:
        return
    amount = amount or stream_amount(request.view_type, request.channels.amount)
    low, high = stream_groups(request.channels.min, request.channels.max, amount)[0]
    size = 4 * (high - low + 1) * (bins[1] - bins[0] + 1)
    if size > _LARGEST_ROW_BYTES:
        raise Refusal(
            400,
            f"One line would have {size / 1e6:.0f} MB and no client takes more than {_LARGEST_ROW_BYTES / 1e6:.0f}; "
            "ask for fewer channels, a smaller NFFT or a narrower frequencyRange.",
            "channels",
        )


def _check_ring(grid: LineGrid, samples: FibreSamples) -> None:
    ring = samples.ring.samples
    if grid.span > ring // 2:
        seconds = float(ring / samples.fibre.fs)
        raise Refusal(
            400,
            f"One line needs {grid.span} samples and the analyzer keeps {ring} ({seconds:.0f} s), of which a line may "
            "take half; ask for a smaller nfftSelection or more lines per second, or raise its ring_samples setting.",
            "nfftSelection",
        )
