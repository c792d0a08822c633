"""What the analyzer has done since it started, jobs that ended included."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from focus_server.analyzer.feed import Feed
from focus_server.analyzer.grid import NS_PER_S
from focus_server.analyzer.job import Job, State
from focus_server.analyzer.threads import TimedThreads
from focus_server.contract import AnalyzerFigures, JobsInState, ModeFigures
from focus_server.contract.figures import Mode

_MODES: Final[tuple[Mode, ...]] = ("live", "historic")


class Cause(StrEnum):
    """Why a job ended."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    LOST = "lost"
    OTHER_FIBRE = "other fibre"


@dataclass(slots=True)
class _Lines:
    """What ended jobs of a mode had done."""

    made: int = 0
    missing: int = 0
    dropped: int = 0


class Tally:
    """Counts jobs that are made and end; what living ones have done they know themselves."""

    def __init__(self) -> None:
        self._made: Counter[Mode] = Counter()
        self._ended: Counter[str] = Counter(dict.fromkeys(Cause, 0))
        self._lines = {mode: _Lines() for mode in _MODES}
        self._threads: dict[Mode, TimedThreads] = {}

    def threads(self, mode: Mode, threads: TimedThreads) -> None:
        """Say which threads make the lines of a mode."""
        self._threads[mode] = threads

    def made(self, job: Job) -> None:
        """Count a job that was made."""
        self._made[job.mode] += 1

    def ended(self, job: Job, cause: Cause) -> None:
        """Count a job that is over, and keep what it has done."""
        self._ended[cause] += 1
        lines = self._lines[job.mode]
        lines.made += job.lines_made
        lines.missing += job.missing_lines
        lines.dropped += job.dropped_lines

    def figures(self, states: Iterable[tuple[Job, State]], feed: Feed, wall_ns: int) -> AnalyzerFigures:
        """Give all figures, with those of the jobs that live and of the feed."""
        found = list(states)
        in_state = Counter((job.mode, state) for job, state in found)
        feed_age_s, ring_age_s = _ages(feed, wall_ns)
        counts = feed.counts
        return AnalyzerFigures(
            jobs=[JobsInState(mode=mode, state=state, jobs=jobs) for (mode, state), jobs in sorted(in_state.items())],
            modes=[self._mode(mode, [job for job, _ in found if job.mode == mode]) for mode in _MODES],
            jobs_ended=dict(self._ended),
            blocks={
                "taken": counts.taken,
                "duplicate": counts.duplicate,
                "too late": counts.too_late,
                "foreign": counts.foreign,
            },
            given_up_samples=counts.given_up_samples,
            feed_age_s=feed_age_s,
            ring_age_s=ring_age_s,
        )

    def _mode(self, mode: Mode, jobs: list[Job]) -> ModeFigures:
        past, threads = self._lines[mode], self._threads.get(mode)
        return ModeFigures(
            mode=mode,
            streams=sum(len(job.shapes) for job in jobs),
            viewers=sum(job.viewers for job in jobs),
            jobs_made=self._made[mode],
            lines_made=past.made + sum(job.lines_made for job in jobs),
            missing_lines=past.missing + sum(job.missing_lines for job in jobs),
            dropped_lines=past.dropped + sum(job.dropped_lines for job in jobs),
            compute_s=0.0 if threads is None else threads.busy_s,
        )


def _ages(feed: Feed, wall_ns: int) -> tuple[float | None, float | None]:
    """Give the ages of the newest and of the oldest sample of the ring, s; None while it is empty."""
    samples = feed.samples
    if samples is None or samples.end == 0:
        return None, None
    clock = samples.fibre.clock
    oldest = samples.oldest(1, samples.fibre.channels)
    newest_s, oldest_s = ((wall_ns - clock.time_ns(sample)) / NS_PER_S for sample in (samples.end, oldest))
    return newest_s, oldest_s
