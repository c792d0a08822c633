"""What a run exercised of all that there is: components, links and hops, and which of them were broken on purpose."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fullspan.bundle import FaultRecord, RunRecord, TestRecord
from fullspan.report.formats import number
from fullspan.report.series import HopSeries
from fullspan.verdict import Verdict

__all__ = ["Exercised", "Part", "exercised"]

UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True, slots=True)
class Part:
    """One component, link or hop: what it did in the run, and the faults that bit there with how often they did."""

    name: str
    did: str
    used: bool
    broken: Sequence[tuple[str, int]] = ()
    idle: Sequence[tuple[str, int]] = ()
    """Faults without evidence that they did anything."""


@dataclass(frozen=True, slots=True)
class Exercised:
    """All parts of one sort."""

    sort: str
    parts: Sequence[Part]

    @property
    def told(self) -> str:
        """How many of all were exercised, in words."""
        used, broken = (sum(map(bool, each)) for each in ((p.used for p in self.parts), (p.broken for p in self.parts)))
        what = {"components": "ran", "links": "carried traffic", "hops": "saw records"}[self.sort]
        more = f", {broken} of {len(self.parts)} were broken on purpose" if self.sort != "hops" else ""
        return f"{used} of {len(self.parts)} {self.sort} {what}{more}"


def exercised(
    run: RunRecord, tests: Sequence[TestRecord], series: Iterable[HopSeries], ran: Iterable[str]
) -> list[Exercised]:
    """Return what was exercised; `ran` names the components that logged.

    A sort of which the bundle knows nothing is left out.
    """
    faults = [fault for test in tests for fault in test.faults]
    told = set(ran)
    components = [
        Part(name, "ran" if name in told else "never ran", name in told, *_on(faults, name)) for name in run.components
    ]
    links = [
        Part(
            f"{link.id}: {link.source} → {link.to}",
            f"{_bytes(link.bytes)} in {number(link.connections)} connections" if link.bytes else "carried nothing",
            link.bytes > 0,
            *_on(faults, link.id),
        )
        for link in run.links
    ]
    found = [Exercised("components", components), Exercised("links", links), Exercised("hops", _hops(tests, series))]
    return [one for one in found if one.parts]


def _on(faults: Iterable[FaultRecord], target: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    here = [fault for fault in faults if fault.target == target]
    bit = Counter(fault.kind for fault in here if fault.verdict is Verdict.PASS)
    idle = Counter(fault.kind for fault in here if fault.verdict is not Verdict.PASS)
    return sorted(bit.items()), sorted(idle.items())


def _hops(tests: Iterable[TestRecord], series: Iterable[HopSeries]) -> list[Part]:
    """Return the hops in stage order: those that records were asked to pass, and those that saw any."""
    asked: dict[str, int] = {}
    for row in (row for test in tests for totals in test.totals for row in totals.hops):
        asked[str(row["hop"])] = asked.get(str(row["hop"]), 0) + int(row.get("expected", 0))
    seen: dict[str, int] = dict.fromkeys(asked, 0)
    for one in series:
        seen[one.hop] = seen.get(one.hop, 0) + len(one.seen_ns)
    return [
        Part(
            hop,
            f"{number(count)} records seen, {number(asked.get(hop, 0))} accounted for",
            count > 0 or asked.get(hop, 0) > 0,
        )
        for hop, count in seen.items()
    ]


def _bytes(count: int) -> str:
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
