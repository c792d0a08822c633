"""Writes the report of a bundle: everything on the page comes from the bundle's files, and nothing from elsewhere."""

import base64
import hashlib
import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fullspan.bundle import Bundle, RunRecord, TestRecord
from fullspan.report import formats
from fullspan.report.exercised import exercised
from fullspan.report.journeys import shown_violations
from fullspan.report.pictures import MOST_BYTES, pictures
from fullspan.report.resources import MEASURES, read_resources, resource_table
from fullspan.report.series import read_series
from fullspan.report.swimlanes import Measured, Swimlanes, draw, draw_resources, draw_test
from fullspan.timeline import Event, read_timeline
from fullspan.verdict import Verdict

__all__ = ["write_report"]

HERE: Final = Path(__file__).parent
LOG_LINES: Final = 80
LOG_LINE: Final = 600
ALL_LOGS: Final = 1_200_000  # characters
MOST_EVENTS: Final = 5_000
MOST_DETAILS: Final = 20_000
ALL_DETAILS: Final = 1_000_000
MOST_CLOSE_UPS: Final = 20
CLOSE_UP: Final = 0.7  # a test that fills more of the run's time needs no picture of its own
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
    measured = [_measured(bundle, test) for test in tests]
    samples = read_resources(bundle.path)
    room = [MOST_BYTES]
    return {
        "run": run,
        "verdict": run.verdict or Verdict.INCONCLUSIVE,
        "summary": run.summary or "the run has not come to its end",
        "facts": _facts(run),
        "tests": tests,
        "shots": [(test, pictures(bundle.path, test.attachments, room)) for test in tests],
        "files": [attachment for test in tests for attachment in test.attachments],
        "figures": [figure for test in tests for figure in test.figures if not figure.table],
        "details": {test.nodeid: _cut(test.details, min(MOST_DETAILS, ALL_DETAILS // len(tests))) for test in tests},
        "has_findings": any(test.findings or test.details for test in tests),
        "totals": [(test, total) for test in tests for total in test.totals],
        "faults": faults,
        "violations": shown_violations(bundle, tests),
        "exercised": exercised(run, tests, _together(measured).series, bundle.logs()),
        "events": events[-MOST_EVENTS:],
        "all_events": len(events),
        "recoveries": [(test, recovery) for test in tests for recovery in test.recoveries],
        "lanes": draw(events, tests, faults, _together(measured)),
        "resources": draw_resources(events, tests, faults, samples),
        "used": resource_table(samples),
        "measures": [name for name, _ in MEASURES.values()],
        "close_ups": _close_ups(events, tests, measured),
        "has_gaps": any(one.series for one in measured),
        "zero": events[0].mono_ns if events else run.began_mono_ns,
        "logs": {component: _tail(path, len(bundle.logs())) for component, path in bundle.logs().items()},
        "counts": _counts(tests),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _measured(bundle: Bundle, test: TestRecord) -> Measured:
    series = read_series(bundle, test)
    debts = [debt for totals in test.totals for debt in totals.debts]
    return Measured(series, debts, list(dict.fromkeys(one.hop for one in series)))


def _together(measured: Sequence[Measured]) -> Measured:
    """Return what all tests measured; a hop has one colour in all of them."""
    return Measured(
        [series for one in measured for series in one.series],
        [debt for one in measured for debt in one.debts],
        list(dict.fromkeys(hop for one in measured for hop in one.hops)),
    )


def _close_ups(
    events: Sequence[Event], tests: Sequence[TestRecord], measured: Sequence[Measured]
) -> list[tuple[TestRecord, Swimlanes]]:
    """Return a picture of each test that something was broken in, or that did not pass, where the run was longer."""
    if not events:
        return []
    run_ns = max(1, max(event.mono_ns for event in events) - events[0].mono_ns)
    hops = _together(measured).hops
    found = []
    for test, one in zip(tests, measured, strict=True):
        is_short = test.ended_mono_ns - test.began_mono_ns < CLOSE_UP * run_ns
        if is_short and (test.faults or test.verdict is not Verdict.PASS):
            lanes = draw_test(events, test, Measured(one.series, one.debts, hops))
            found += [(test, lanes)] if lanes is not None else []
        if len(found) == MOST_CLOSE_UPS:
            break
    return found


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


def _cut(text: str, most: int) -> str:
    """Return a long text without its middle."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[: most // 2]}\n… {left_out:,} characters left out …\n{text[-most // 2 :]}"


def _tail(path: Path, logs: int) -> dict[str, Any]:
    """Return a log's last lines, without control characters and as far as there is room, and how many lines it has."""
    lines: deque[str] = deque(maxlen=LOG_LINES)
    total = 0
    with path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            lines.append(line)
            total += 1
    most = min(LOG_LINE, ALL_LOGS // logs // LOG_LINES)
    text = "\n".join(_cut(CONTROL.sub("", line.rstrip("\n")), most) for line in lines)
    return {"text": text, "shown": len(lines), "total": total, "path": f"logs/{path.name}"}
