"""One visit of the doctor: everything looked at, residue removed when that is asked for, and told in plain lines."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fullspan.doctor.check import Check, Level, exit_code
from fullspan.doctor.machine import ClockWatch, look_at_machine
from fullspan.doctor.needs import look_at_browser, look_at_environment, look_at_self, look_at_stack
from fullspan.doctor.residue import Residue, find_residue
from fullspan.errors import FullspanError, Outlived

__all__ = ["Examination", "examine"]

_RESIDUE: Final = "residue"
_WORDS: Final = {
    Level.PROBLEM: ("problem", "problems"),
    Level.RESIDUE: ("residue", "residues"),
    Level.WARNING: ("warning", "warnings"),
    Level.FIXED: ("residue removed", "residues removed"),
}


@dataclass(frozen=True, slots=True)
class Examination:
    """What the doctor found, in the order in which it looked."""

    checks: Sequence[Check]

    @property
    def exit_code(self) -> int:
        """3 when a stack could not come up, 1 when there is residue, else 0."""
        return exit_code(self.checks)

    @property
    def summary(self) -> str:
        """How many there are of each kind that is not well, in a sentence."""
        counts = {level: sum(check.level is level for check in self.checks) for level in _WORDS}
        told = [f"{count} {_WORDS[level][count != 1]}" for level, count in counts.items() if count]
        if counts[Level.RESIDUE]:
            told.append("--fix removes what is left")
        return f"{', '.join(told)}." if told else "All is well."

    def lines(self) -> Iterator[str]:
        """Tell everything, by topic."""
        width = max(len(check.name) for check in self.checks)
        topic = ""
        for check in self.checks:
            if check.topic != topic:
                topic = check.topic
                yield topic
            yield f"  {check.level:<8} {check.name:<{width}}  {check.detail}"
            if check.remedy:
                yield f"  {'':<8} {'':<{width}}  -> {check.remedy}"
        yield self.summary

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        checks = [asdict(check) for check in self.checks]
        return {"exit_code": self.exit_code, "summary": self.summary, "checks": checks}


def examine(
    files: Iterable[Path],
    project: Path,
    var: Path,
    *,
    profile: str | None = None,
    env: str | None = None,
    fixed_ports: bool = False,
    fix: bool = False,
    everywhere: bool = False,
) -> Examination:
    """Look at the machine, at what the stacks of `files` need, and for residue below `var`; with `fix` remove it."""
    clock = ClockWatch.begin()
    checks = [look_at_self(), look_at_browser()]
    if env:
        checks += _until_an_error(look_at_environment(env), f"environment {env}")
    for file in files:
        checks += _until_an_error(look_at_stack(file, var, profile, fixed_ports, env), f"stack {file.stem}")
    checks += _residue(var, project, fix, everywhere)
    return Examination([*checks, *look_at_machine(var, clock)])


def _until_an_error(look: Iterable[Check], topic: str) -> list[Check]:
    """Look at one file's needs; what cannot be meant in it ends the look at it, and not the examination."""
    seen: list[Check] = []
    try:
        for check in look:
            seen.append(check)  # noqa: PERF402 - what was seen before an error counts
    except FullspanError as error:
        seen.append(Check(topic, "file", Level.PROBLEM, error.message, error.remedy))
    return seen


def _residue(var: Path, project: Path, fix: bool, everywhere: bool) -> Iterator[Check]:
    found = find_residue(var, project, everywhere=everywhere)
    for item in found.residue:
        yield _removed(item) if fix else Check(_RESIDUE, item.kind, Level.RESIDUE, item.detail)
    for note in found.left_alone:
        yield Check(_RESIDUE, "left alone", Level.WARNING, note)
    if not found.residue and not found.left_alone:
        yield Check(_RESIDUE, "earlier runs", Level.OK, "nothing of them is left")
    if found.elsewhere:
        what = "run of another project has" if found.elsewhere == 1 else "runs of other projects have"
        detail = f"{found.elsewhere} {what} left processes; --everywhere takes them in"
        yield Check(_RESIDUE, "elsewhere", Level.OK, detail)


def _removed(item: Residue) -> Check:
    detail = item.detail  # what it is, it is no longer once it has been removed
    try:
        done = item.remove()
    except OSError as error:
        remedy = "Remove it by hand."
        return Check(_RESIDUE, item.kind, Level.RESIDUE, f"{detail}; not removed: {error.strerror}", remedy)
    except Outlived as error:
        return Check(_RESIDUE, item.kind, Level.RESIDUE, f"{detail}; not removed: {error.message}", error.remedy)
    if done is None:
        return Check(_RESIDUE, "left alone", Level.WARNING, f"{detail}: it is in use after all")
    return Check(_RESIDUE, item.kind, Level.FIXED, f"{detail}: {done}")
