"""Writes the report of a bundle: everything on the page comes from the bundle's files, and nothing from elsewhere."""

import base64
import hashlib
import re
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fullspan.bundle import Bundle, RunRecord, TestRecord
from fullspan.report import formats
from fullspan.report.pictures import pictures
from fullspan.report.swimlanes import draw
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict

__all__ = ["write_report"]

HERE: Final = Path(__file__).parent
LOG_LINES: Final = 80
CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def write_report(folder: Path) -> Path:
    """Write `report.html` into a bundle and return its path.

    Raises UsageError when the folder holds no bundle or one that cannot be read.
    """
    bundle = Bundle.open(folder)
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"clock": formats.clock, "day_and_time": formats.day_and_time, "number": formats.number}
    environment.filters |= {"seconds": formats.seconds}
    environment.globals["since"] = formats.since
    style = (HERE / "style.css").read_text(encoding="utf-8")
    page = environment.get_template("page.html.j2").render(_page(bundle) | {"style": style, "csp": _policy(style)})
    part = bundle.report.with_suffix(".html.part")
    part.write_text(page, encoding="utf-8")
    return part.replace(bundle.report)


def _policy(style: str) -> str:
    """Return a policy under which the page can load nothing, run nothing, and use only its own style."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    sources = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    return f"{sources}; base-uri 'none'; form-action 'none'"


def _page(bundle: Bundle) -> dict[str, Any]:
    run, tests = bundle.run(), bundle.results().tests
    events = read_timeline(bundle.timeline.path)
    faults = [fault for test in tests for fault in test.faults]
    return {
        "run": run,
        "verdict": run.verdict or Verdict.INCONCLUSIVE,
        "summary": run.summary or "the run has not come to its end",
        "facts": _facts(run),
        "tests": tests,
        "shots": [(test, pictures(bundle.path, test.attachments)) for test in tests],
        "files": [attachment for test in tests for attachment in test.attachments],
        "has_figures": any(test.figures for test in tests),
        "has_findings": any(test.findings or test.details for test in tests),
        "totals": [(test, total) for test in tests for total in test.totals],
        "faults": faults,
        "events": events,
        "lanes": draw(events, tests, faults),
        "zero": events[0].mono_ns if events else run.began_mono_ns,
        "logs": {component: _tail(path) for component, path in bundle.logs().items()},
        "counts": _counts(tests),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    """Return what identifies the run, in words."""
    facts = [("Suite", run.suite), ("Stack", run.stack or "none"), ("Began", formats.day_and_time(run.began_wall_ns))]
    if run.ended_wall_ns is not None:
        facts.append(("Took", formats.seconds((run.ended_wall_ns - run.began_wall_ns) / 1e9)))
    facts += [(name, value) for name, value in (("Profile", run.profile), ("Marker", run.mark)) if value]
    facts += [("Seed", str(run.seed)), ("fullspan", run.fullspan)]
    return facts + [(name.capitalize(), str(value)) for name, value in run.machine.items()]


def _counts(tests: list[TestRecord]) -> list[tuple[str, int]]:
    """Return how many tests there are of each verdict, without those that there are none of."""
    counts = {verdict: sum(test.verdict is verdict for test in tests) for verdict in Verdict}
    return [(verdict.value, count) for verdict, count in counts.items() if count]


def _tail(path: Path) -> dict[str, Any]:
    """Return a log's last lines, without control characters, and how many lines it has."""
    lines: deque[str] = deque(maxlen=LOG_LINES)
    total = 0
    with path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            lines.append(CONTROL.sub("", line.rstrip("\n")))
            total += 1
    return {"text": "\n".join(lines), "shown": len(lines), "total": total, "path": f"logs/{path.name}"}
