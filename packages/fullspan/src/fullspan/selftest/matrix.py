"""The matrix: every defect with what was expected of it and what was found, for a terminal, a program and the docs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fullspan.selftest.defect import Result
from fullspan.verdict import EXIT_CODE, Verdict

__all__ = ["Matrix"]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a self-test came to; `left_out` says which part was not done, and why."""

    results: Sequence[Result]
    left_out: Sequence[str] = ()

    @property
    def planted(self) -> list[Result]:
        """Return the results of what was planted."""
        return [result for result in self.results if result.defect.expected.verdict is not Verdict.PASS]

    @property
    def clean(self) -> list[Result]:
        """Return the results where nothing was planted."""
        return [result for result in self.results if result.defect.expected.verdict is Verdict.PASS]

    @property
    def verdict(self) -> Verdict:
        """Return pass when everything was found for what it is, and nothing where nothing was planted."""
        if not all(result.right for result in self.results):
            return Verdict.FAIL
        return Verdict.PASS if self.planted and self.clean else Verdict.INCONCLUSIVE

    @property
    def exit_code(self) -> int:
        """Return the exit code that stands for the verdict."""
        return EXIT_CODE[self.verdict]

    def summary(self) -> list[str]:
        """Return the whole in a few sentences."""
        planted, clean = self.planted, self.clean
        found, alarms = sum(result.right for result in planted), sum(not result.right for result in clean)
        told = f"{found} of {len(planted)} planted defects were found with the right kind and first bad hop."
        said = [told] if planted else []
        if clean:
            bound = f"; below {100 * bound_of(alarms, len(clean)):.2g} % of runs at 95 % confidence"
            said.append(f"{alarms} false alarms in {len(clean)} runs without a defect{bound}.")
        return [*said, *self.left_out]

    def lines(self) -> Iterator[str]:
        """Yield the matrix for a terminal, what is wrong at the end once more and in full."""
        rows = [(r.defect.system, r.defect.name, r.defect.where, str(r.found)) for r in self.planted]
        widths = [
            max(map(len, column)) for column in zip(("system", "defect", "planted at", "found"), *rows, strict=True)
        ]
        for result, row in zip(self.planted, rows, strict=True):
            mark = "found " if result.right else "MISSED"
            yield f"{mark}  " + "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for result in self.results:
            if not result.right:
                yield f"WRONG   {result.defect.name}: {result.defect.story}"
                yield f"        expected {result.defect.expected}, found {result.found}: {result.detail}"
        yield from self.summary()

    def to_json(self) -> dict[str, Any]:
        """Return the matrix as plain JSON values."""
        return {
            "verdict": self.verdict.value,
            "summary": self.summary(),
            "results": [
                {
                    "system": result.defect.system,
                    "defect": result.defect.name,
                    "where": result.defect.where,
                    "story": result.defect.story,
                    "expected": str(result.defect.expected),
                    "found": str(result.found),
                    "right": result.right,
                    "detail": result.detail,
                }
                for result in self.results
            ],
        }

    def markdown(self) -> str:
        """Return the table of the docs: what is planted, and how it is found."""
        head = "| system | planted at | what goes wrong | found as | by |\n|---|---|---|---|---|\n"
        rows = []
        for result in self.planted:
            defect, expected = result.defect, result.defect.expected
            by = ", ".join(expected.invariants) or "no verdict where nobody can tell"
            rows.append(f"| {defect.system} | {defect.where} | {defect.story} | {expected} | {by} |\n")
        return head + "".join(rows)

    def systems(self) -> dict[str, int]:
        """Return how many defects were planted into each system."""
        return dict(Counter(result.defect.system for result in self.planted))


def bound_of(alarms: int, runs: int) -> float:
    """Return the upper end of the exact (Clopper-Pearson) one-sided 95 % interval of a share, by bisection."""
    from math import comb

    low, high = alarms / runs, 1.0
    for _ in range(50):
        share = (low + high) / 2
        at_most = sum(comb(runs, k) * share**k * (1 - share) ** (runs - k) for k in range(alarms + 1))
        low, high = (share, high) if at_most > 0.05 else (low, share)
    return high
