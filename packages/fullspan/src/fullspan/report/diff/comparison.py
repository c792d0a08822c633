"""The comparison of two bundles: verdicts, latencies per test and hop, recoveries and figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np

from fullspan.bundle import Bundle, RunRecord, TestRecord
from fullspan.report.diff.shift import LEVEL, Shift, Way, shift_of
from fullspan.report.formats import duration, number
from fullspan.report.series import read_series
from fullspan.verdict import EXIT_CODE, Verdict

__all__ = ["Comparison", "Fate", "Moved", "compare"]

CONDITIONS: Final = ("suite", "stack", "profile", "environment", "mark", "seed", "fullspan")
NOTABLE: Final = 0.1  # change of a single value that is told
CAUTION: Final = (
    "The intervals tell how these two runs differ, not whether the next two would: run to run other things vary, too."
)


class Fate(StrEnum):
    """What became of a test from A to B."""

    SAME = "the same"
    BROKEN = "broken"
    FIXED = "fixed"
    UNSURE = "no longer sure"
    SURE = "sure again"
    GONE = "gone"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Moved:
    """One test and what became of it; `told` says why, where there is more to say."""

    test: str
    fate: Fate
    before: str
    after: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Single:
    """One value that each run has once; nothing but the two values is known."""

    name: str
    before: float
    after: float
    unit: str

    @property
    def change(self) -> float:
        """Return the change in terms of A's value."""
        return self.after / self.before - 1 if self.before else (0.0 if self.after == self.before else float("inf"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, A and B, side by side; `differing` are the conditions that were not the same."""

    runs: tuple[RunRecord, RunRecord]
    differing: Sequence[str]
    tests: Sequence[Moved]
    latencies: Mapping[tuple[str, str], Shift]
    recoveries: Sequence[Single]
    figures: Sequence[Single]

    @property
    def verdict(self) -> Verdict:
        """Return fail when B is worse than A, inconclusive when it shows less than A did."""
        fates = {moved.fate for moved in self.tests}
        if Fate.BROKEN in fates or any(shift.way is Way.SLOWER for shift in self.latencies.values()):
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if fates & {Fate.UNSURE, Fate.GONE} or not self.tests else Verdict.PASS

    @property
    def exit_code(self) -> int:
        """Return the exit code that stands for the verdict."""
        return EXIT_CODE[self.verdict]

    def lines(self) -> Iterator[str]:
        """Yield the comparison as text."""
        for label, run in zip("AB", self.runs, strict=True):
            yield f"{label}  {run.id}  {run.verdict.value if run.verdict else 'not ended'}: {run.summary}"
        yield from (f"Not the same: {one}." for one in self.differing)
        yield from self._test_lines()
        yield from self._latency_lines()
        yield from _single_lines("Recovery", self.recoveries)
        yield from _single_lines("Figures", self.figures)

    def _test_lines(self) -> Iterator[str]:
        counts = {fate: sum(moved.fate is fate for moved in self.tests) for fate in Fate}
        yield "Tests: " + ", ".join(f"{count} {fate.value}" for fate, count in counts.items() if count) + "."
        for moved in self.tests:
            if moved.fate is not Fate.SAME or moved.told:
                change = moved.before if moved.before == moved.after else f"{moved.before} -> {moved.after}"
                yield f"  {moved.fate.value}: {_short(moved.test)}: {change}{f': {moved.told}' if moved.told else ''}"

    def _latency_lines(self) -> Iterator[str]:
        if not self.latencies:
            yield "Latency: no test has records with a due time in both."
            return
        ways = {way: sum(shift.way is way for shift in self.latencies.values()) for way in Way}
        told = ", ".join(f"{count} {way.value}" for way, count in ways.items() if count)
        yield f"Latency, median per test and hop, all intervals together at {LEVEL:.0%}: {told}."
        changed = [(key, shift) for key, shift in self.latencies.items() if shift.way in (Way.SLOWER, Way.FASTER)]
        for (test, hop), shift in sorted(changed, key=lambda entry: -abs(entry[1].change)):
            yield (
                f"  {shift.way.value}: {_short(test)}, {hop}: {duration(shift.before)} -> {duration(shift.after)}, "
                f"{shift.change:+.0%} (interval {shift.low:+.0%} to {shift.high:+.0%}, "
                f"n {shift.n_before:,} and {shift.n_after:,})"
            )
        if changed:
            yield f"  {CAUTION}"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values; what is no number is null."""
        return {
            "verdict": self.verdict.value,
            "runs": [run.id for run in self.runs],
            "differing": list(self.differing),
            "tests": [asdict(moved) for moved in self.tests],
            "latencies": [
                {"test": test, "hop": hop, "way": shift.way.value, "unit": "ms", "change": shift.change}
                | {name: value if np.isfinite(value) else None for name, value in asdict(shift).items()}
                for (test, hop), shift in self.latencies.items()
            ],
            "recoveries": [asdict(single) for single in self.recoveries],
            "figures": [asdict(single) for single in self.figures],
        }


def compare(before: Path, after: Path) -> Comparison:
    """Compare two bundles; raises UsageError when one of them cannot be read."""
    bundles = Bundle.open(before), Bundle.open(after)
    runs = bundles[0].run(), bundles[1].run()
    tests = tuple({test.nodeid: test for test in bundle.results().tests} for bundle in bundles)
    return Comparison(
        runs=runs,
        differing=list(_differing(*runs)),
        tests=[_moved(name, tests[0].get(name), tests[1].get(name)) for name in tests[0] | tests[1]],
        latencies=_latencies(bundles, tests),
        recoveries=_singles(map(_recoveries, tests)),
        figures=_singles(map(_figures, tests)),
    )


def _differing(before: RunRecord, after: RunRecord) -> Iterator[str]:
    for name in CONDITIONS:
        values = getattr(before, name), getattr(after, name)
        if values[0] != values[1]:
            yield f"{name} {values[0] or 'none'} and {values[1] or 'none'}"
    for name in before.machine | after.machine:
        values = before.machine.get(name), after.machine.get(name)
        if values[0] != values[1]:
            yield f"the machine's {name}, {values[0]} and {values[1]}"


def _moved(name: str, before: TestRecord | None, after: TestRecord | None) -> Moved:
    if before is None or after is None:
        one = after if before is None else before
        assert one is not None  # noqa: S101 - it is in one of the two
        fate = Fate.NEW if before is None else Fate.GONE
        return Moved(
            name, fate, "" if before is None else one.verdict.value, "" if after is None else one.verdict.value
        )
    told = ""
    if after.verdict is Verdict.PASS and before.verdict is not Verdict.PASS:
        fate = Fate.FIXED if before.verdict is Verdict.FAIL else Fate.SURE
    elif before.verdict is after.verdict:
        fate, told = Fate.SAME, _other_hop(before, after)
    else:
        fate, told = (Fate.BROKEN if after.verdict is Verdict.FAIL else Fate.UNSURE), after.reason
    return Moved(name, fate, before.verdict.value, after.verdict.value, told)


def _other_hop(before: TestRecord, after: TestRecord) -> str:
    """Tell when records of a test go wrong somewhere else now."""
    hops = [{f.first_bad_hop for f in test.findings if f.first_bad_hop} for test in (before, after)]
    if hops[0] == hops[1]:
        return ""
    named = [", ".join(sorted(one)) or "none" for one in hops]
    return f"first bad hop {named[0]} -> {named[1]}"


def _latencies(
    bundles: tuple[Bundle, Bundle], tests: tuple[Mapping[str, TestRecord], ...]
) -> dict[tuple[str, str], Shift]:
    """Compare how long after it was due each record was seen, ms, in the order in which they were due."""
    both = [name for name in tests[0] if name in tests[1]]
    measured = [dict(_measured(bundle, [of[name] for name in both])) for bundle, of in zip(bundles, tests, strict=True)]
    shared = [key for key in measured[0] if key in measured[1]]
    return {key: shift_of(measured[0][key], measured[1][key], len(shared)) for key in shared}


def _measured(bundle: Bundle, tests: Iterable[TestRecord]) -> Iterator[tuple[tuple[str, str], Any]]:
    for test in tests:
        for series in read_series(bundle, test):
            known = series.due_ns > 0
            if known.any():
                yield (test.nodeid, series.hop), (series.seen_ns[known] - series.due_ns[known]) / 1e6


def _recoveries(tests: Mapping[str, TestRecord]) -> Iterator[tuple[str, float, str]]:
    for test in tests.values():
        for recovery in test.recoveries:
            for layer in recovery.layers:
                for phase, seconds in layer.seconds.items():
                    if seconds is not None:
                        what = f"{recovery.kind} of {recovery.target}, {layer.name}, {phase}"
                        yield f"{_short(test.nodeid)}: {what}", seconds, "s"


def _figures(tests: Mapping[str, TestRecord]) -> Iterator[tuple[str, float, str]]:
    for test in tests.values():
        for figure in test.figures:
            if not figure.table and isinstance(figure.value, int | float):
                yield f"{_short(test.nodeid)}: {figure.name}", float(figure.value), figure.unit


def _singles(found: Iterable[Iterable[tuple[str, float, str]]]) -> list[Single]:
    before, after = ({name: (value, unit) for name, value, unit in of_run} for of_run in found)
    shared = [name for name in before if name in after and before[name][1] == after[name][1]]
    return [Single(name, before[name][0], after[name][0], before[name][1]) for name in shared]


def _single_lines(title: str, singles: Sequence[Single]) -> Iterator[str]:
    if not singles:
        return
    notable = sorted((one for one in singles if abs(one.change) >= NOTABLE), key=lambda one: -abs(one.change))
    yield f"{title}, one value each: {len(notable)} of {len(singles)} differ by {NOTABLE:.0%} or more."
    for one in notable:
        change = f"{one.change:+.0%}" if np.isfinite(one.change) else "from nothing"
        yield f"  {one.name}: {number(one.before)} -> {number(one.after)} {one.unit}, {change}".replace(" ,", ",")


def _short(nodeid: str) -> str:
    return nodeid.rpartition("::")[2]
