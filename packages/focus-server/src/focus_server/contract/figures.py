"""What the analyzer counts, as the server asks for it when somebody asks the server for its figures."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Mode = Literal["live", "historic"]


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class JobsInState(_Figures):
    """How many jobs of a mode are in a state."""

    mode: Mode
    state: str
    jobs: int


class ModeFigures(_Figures):
    """What all jobs of a mode have and have done since the analyzer started, those that ended included.

    `streams` and `viewers` are now: streams that there are, and readers of them. A line that is made counts once for
    each stream, a missing one once for its job, a dropped one once for each reader. `compute_s` is processor time.
    """

    mode: Mode
    streams: int
    viewers: int
    jobs_made: int
    lines_made: int
    missing_lines: int
    dropped_lines: int
    compute_s: float


class AnalyzerFigures(_Figures):
    """What the analyzer has done since it started; ages in s, None while there is no sample.

    `jobs_ended` is by cause, `blocks` by what became of those that arrived.
    """

    jobs: list[JobsInState]
    modes: list[ModeFigures]
    jobs_ended: dict[str, int]
    blocks: dict[str, int]
    given_up_samples: int
    feed_age_s: float | None
    ring_age_s: float | None
