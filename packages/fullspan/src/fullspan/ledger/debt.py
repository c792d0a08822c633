"""Ledger debt: how many records one hop had seen and the next one had not, as it rose and fell in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from fullspan.ledger.examine import HopExam
from fullspan.ledger.journey import Journey, Stage

__all__ = ["MOST_STEPS", "Debt", "debts_of"]

MOST_STEPS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Debt:
    """The debt between two hops that follow each other; `steps` are (CLOCK_MONOTONIC, ns; records from then on).

    What never came stays owed. Of a long row of steps the largest and the last of each of many equal times are kept.
    """

    before: str
    after: str
    steps: Sequence[tuple[int, int]]

    @property
    def largest(self) -> int:
        """Return the largest debt there was."""
        return max((count for _, count in self.steps), default=0)


def debts_of(journeys: Iterable[Journey], exams: Mapping[str, HopExam]) -> tuple[Debt, ...]:
    """Return the debt between any two hops that follow each other on some journey, in stage order."""
    changes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for journey in journeys:
        for stage, following in pairwise(journey.stages):
            owed = changes.setdefault((stage.hop, following.hop), [])
            since, until = _passed(stage, exams[stage.hop]), _passed(following, exams[following.hop])
            if since is None or (until is not None and until <= since):
                continue  # a later hop that looks sooner owes nothing
            owed.append((since, 1))
            if until is not None:
                owed.append((until, -1))
    place = {hop: number for number, hop in enumerate(exams)}
    ordered = sorted(changes, key=lambda pair: (place[pair[1]], place[pair[0]]))
    return tuple(Debt(*pair, _thinned(_steps(changes[pair]))) for pair in ordered)


def _passed(stage: Stage, exam: HopExam) -> int | None:
    """Return when a hop had seen all of a record, None when it never did."""
    seen = [exam.seen[key][0].seen_ns for key in stage.keys if key in exam.seen]
    return max(seen) if len(seen) == len(stage.keys) else None


def _steps(changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    steps = []
    owed = 0
    for moment, together in groupby(sorted(changes), key=lambda change: change[0]):
        owed += sum(change for _, change in together)
        steps.append((moment, owed))
    return steps


def _thinned(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if len(steps) <= MOST_STEPS:
        return steps
    began, ended = steps[0][0], steps[-1][0]
    length = (ended - began) * 2 // MOST_STEPS + 1
    kept = []
    for _, group in groupby(steps, key=lambda step: (step[0] - began) // length):
        together = list(group)
        kept += sorted({max(together, key=lambda step: step[1]), together[-1]})
    return kept
