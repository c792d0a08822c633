"""`fullspan shrink`: what of a failing schedule is needed for it to fail."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from fullspan.errors import UsageError
from fullspan.faults import Schedule
from fullspan.shrink.reduction import Reduction, Search
from fullspan.shrink.signature import Signature
from fullspan.shrink.trials import CommandTrials
from fullspan.verdict import EXIT_CODE, Verdict

__all__ = ["duration_s", "shrink_schedule"]

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def duration_s(text: str) -> float:
    """Return what `90`, `90s`, `15m` or `2h` is in seconds; UsageError for anything else, and for nothing."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    seconds = float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"{text!r} is no length of time.", "Write for example 90s, 15m or 2h.")
    return seconds


def find_schedule(named: Path) -> Path:
    """Return the schedule that is meant: a file, or the only one of a bundle."""
    if not named.is_dir():
        return named
    found = sorted((named / "schedules").glob("*.json"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(file) for file in found)
    raise UsageError(
        f"The bundle {named} holds {len(found) or 'no'} schedules.",
        f"Name one of: {names}." if found else "They are written by tests that use `faults.play`.",
    )


def shrink_schedule(
    named: Path, command: Sequence[str], *, budget: str, trial_limit: str, signature: str | None, out: Path | None
) -> int:
    """Do what `fullspan shrink` does; return its exit code: 0 if the result is minimal, else 2."""
    if not command:
        raise UsageError("Which command plays the schedule?", "Write it behind two dashes: fullspan shrink FILE -- ...")
    file = find_schedule(named)
    schedule = Schedule.read(file)
    if not schedule.faults:
        raise UsageError(f"The schedule {file} has no faults, so nothing of it can be left out.")
    trials = CommandTrials(schedule, command, Signature(signature), duration_s(trial_limit))
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {what}", err=True)

    reduction = Search(trials, duration_s(budget), tell).reduce([planned.number for planned in schedule.faults])
    written = schedule.only(set(reduction.kept)).write(out or file.with_suffix(".min.json"))
    click.echo(_described(schedule, reduction))
    click.echo(f"FULLSPAN_SCHEDULE={written} plays it again.")
    return EXIT_CODE[Verdict.PASS] if reduction.minimal else EXIT_CODE[Verdict.INCONCLUSIVE]


def _described(schedule: Schedule, reduction: Reduction) -> str:
    lines = [str(reduction), "It fails like this:"]
    lines += [f"    {line}" for line in reduction.signature.splitlines()]
    if not reduction.kept:
        return "\n".join([*lines, "It fails without any fault, so no fault is the cause."])
    lines.append("With these faults:")
    lines += [f"    {planned}" for planned in schedule.only(set(reduction.kept)).faults]
    return "\n".join(lines)
