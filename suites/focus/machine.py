"""Whether the machine was ours while we measured: where its host takes the processors away, lateness tells nothing."""

import dataclasses
from pathlib import Path

from fullspan.invariants import Finding
from fullspan.verdict import Verdict

STOLEN_SHARE = 0.02
"""Of the processors' time; a machine that was left alone has none stolen."""
_STEAL = 7


class Machine:
    """What the host took of the processors since this was made; Linux counts it as steal time."""

    def __init__(self) -> None:
        self._began = _ticks()

    @property
    def stolen(self) -> float:
        """The share of all processors' time, 0 to 1."""
        spent = [now - began for now, began in zip(_ticks(), self._began, strict=True)]
        return spent[_STEAL] / max(1, sum(spent))

    def judge(self, finding: Finding) -> Finding:
        """Return a finding on how long something took: one that fails on a machine that was not ours tells nothing."""
        stolen = self.stolen
        if finding.verdict is not Verdict.FAIL or stolen <= STOLEN_SHARE:
            return finding
        said = f"{finding.summary}; meanwhile the host took {100 * stolen:.0f} % of the processors' time"
        return dataclasses.replace(finding, verdict=Verdict.INCONCLUSIVE, summary=said)


def _ticks() -> list[int]:
    """Return user, nice, system, idle, iowait, irq, softirq and steal time of all processors, in ticks."""
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    return [int(word) for word in line.split()[1:9]]
