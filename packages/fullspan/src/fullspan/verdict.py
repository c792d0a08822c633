"""The three values a result can have, how several results become one, and the exit code each stands for."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["EXIT_CODE", "Verdict", "combine"]


class Verdict(StrEnum):
    """Pass was seen, fail was seen, or the run could not tell."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


EXIT_CODE: Final[Mapping[Verdict, int]] = MappingProxyType({Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2})


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of all together: one fail is a fail, else one inconclusive is inconclusive.

    Nothing at all is inconclusive too: a run in which no one looked has not passed.
    """
    seen = set(verdicts)
    if Verdict.FAIL in seen:
        return Verdict.FAIL
    if Verdict.INCONCLUSIVE in seen or not seen:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS
