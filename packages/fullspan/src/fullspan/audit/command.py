"""`fullspan audit`: look through a suite, run it against the null server when asked to, and print what was found."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from fullspan.audit.examine import Audit, examine
from fullspan.audit.null_run import NullRun, run_against_null
from fullspan.errors import UsageError

__all__ = ["audit"]


def audit(path: Path, run: bool, point: Sequence[str], limit_s: float, as_json: bool, options: Sequence[str]) -> int:
    """Audit a suite; return 1 when something was found that nobody has justified, else 0."""
    if point and not run:
        raise UsageError("--point is for the run against the null server.", "Give --run as well.")
    pointed = _pointed(point)
    static = examine(path)
    ran = run_against_null(path, pointed, options, limit_s, _teller()) if run else None
    click.echo(json.dumps(_document(static, ran), indent=1) if as_json else "\n".join(_lines(static, ran)))
    return int(bool(static.unjustified or (ran is not None and ran.suspicions)))


def _pointed(point: Sequence[str]) -> Mapping[str, str]:
    pairs = [text.partition("=") for text in point]
    for name, equals, template in pairs:
        if not (name and equals and template):
            raise UsageError(f"--point {name}{equals}{template} is not NAME=VALUE.", "For example API_URL={http}.")
    return {name: template for name, _, template in pairs}


def _teller() -> Callable[[str], object]:
    began = time.monotonic()
    return lambda what: click.echo(f"{time.monotonic() - began:6.1f} s  {what}", err=True)


def _lines(static: Audit, ran: NullRun | None) -> list[str]:
    justified = [one for one in static.suspicions if one.because is not None]
    lines = [str(one) for one in static.unjustified]
    if ran is not None:
        lines += [str(one) for one in ran.suspicions]
        lines += [
            f"note: {test} passes against a server that {' or '.join(moods)}; is that meant?"
            for test, moods in ran.content_with.items()
        ]
    said = f"{static.tests} tests in {static.files} files: {len(static.unjustified)} found, {len(justified)} justified."
    return [*lines, said, *(ran.summary() if ran is not None else [])]


def _document(static: Audit, ran: NullRun | None) -> dict[str, object]:
    document: dict[str, object] = {
        "files": static.files,
        "tests": static.tests,
        "suspicions": [one.to_json() for one in static.suspicions],
    }
    if ran is not None:
        document["null_run"] = {
            "tests": ran.tests,
            "reached": ran.reached,
            "suspicions": [one.to_json() for one in ran.suspicions],
            "content_with": {test: list(moods) for test, moods in ran.content_with.items()},
            "unfinished": list(ran.unfinished),
        }
    return document
