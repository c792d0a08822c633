"""`fullspan run`: a stack comes up, a suite runs on it, and what it showed becomes a bundle, a report and a verdict."""

import contextlib
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from fullspan import __version__
from fullspan.bundle import Bundle, LinkRecord, RunRecord, TestRecord
from fullspan.errors import FullspanError, UsageError, nearest
from fullspan.settings import Settings
from fullspan.stack import Stack, open_stack
from fullspan.stack.bring_up import environment_file
from fullspan.stack.load import find_stack_file, meant, project_of
from fullspan.stack.processes import RUN_TAG
from fullspan.timeline import Event
from fullspan.verdict import EXIT_CODE, Verdict, combine

__all__ = ["run"]

INTERRUPT_S: Final = 20.0
LONGEST_SUMMARY: Final = 200
KEPT_REASONS: Final = 3
NO_TESTS_COLLECTED: Final = 5
"""How pytest, which runs in a process of its own, ends then."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and on what."""

    suite: Path
    stack: str
    profile: str | None
    mark: str | None
    seed: int
    keep: bool
    fixed_ports: bool
    expected: dict[str, str]
    pytest_options: tuple[str, ...]
    env: str | None = None

    @property
    def name(self) -> str:
        """The name of bundle and report: the suite, and the marker that chose from it."""
        return "-".join(filter(None, (self.suite.stem, self.profile, self.mark)))


@click.command()
@click.argument("suite")
@click.option("--stack", help="The stack to bring up.  [default: the one named like the suite's folder]")
@click.option("--profile", help="Overrides of the stack file to apply.")
@click.option("--env", help="The environment: environments/NAME.yaml, or a file.")
@click.option("--monitor", is_flag=True, help="Watch logs and resources; errors and broken limits fail a test.")
@click.option("-m", "--mark", help="Run only the tests with this pytest marker expression.")
@click.option("--seed", type=int, help="Seed of whatever is random.  [default: a new one, which is printed]")
@click.option("--keep", is_flag=True, help="Leave the stack up, and print its addresses.")
@click.option("--fixed-ports", is_flag=True, help="Use the well-known ports of the stack file, not free ones.")
@click.option(
    "--expect-inconclusive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the results that may be inconclusive: a line `TEST: REASON` for each.",
)
@click.argument("pytest_options", nargs=-1, type=click.UNPROCESSED)
def run(
    suite: str,
    stack: str | None,
    profile: str | None,
    env: str | None,
    monitor: bool,
    mark: str | None,
    seed: int | None,
    keep: bool,
    fixed_ports: bool,
    expect_inconclusive: Path | None,
    pytest_options: tuple[str, ...],
) -> int:
    """Bring a stack up, run SUITE on it, write the report, and take the stack down.

    SUITE is a folder or file of pytest tests, or the name of a folder below suites/. What stands after `--` goes to
    pytest. The verdict is the last thing printed, with the figures and where the report is; it is also the exit code:
    0 pass, 1 fail, 2 inconclusive, 3 usage or set-up, 130 interrupted.

    Example: `fullspan run focus --env staging -m demo -- --repeat 3`.
    """
    path = find_suite(suite)
    plan = Plan(
        suite=path,
        stack=stack or (path if path.is_dir() else path.parent).name,
        profile=profile,
        mark=mark,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        keep=keep,
        fixed_ports=fixed_ports,
        expected=read_expected(expect_inconclusive) if expect_inconclusive else {},
        pytest_options=("--monitor", *pytest_options) if monitor else pytest_options,
        env=env,
    )
    return Runner(plan).run()


def find_suite(named: str) -> Path:
    """Return the path of a suite; a bare name is looked for in suites/, from the current folder upwards."""
    if Path(named).exists():
        return Path(named).resolve()
    names: list[str] = []
    for folder in (Path.cwd(), *Path.cwd().parents):
        suites = folder / "suites"
        if (suites / named).exists():
            return suites / named
        names += [path.name for path in suites.glob("*") if path.is_dir() and not path.name.startswith(("_", "."))]
    remedy = nearest(named, names) if names else "Put tests below suites/NAME/, or give the path of some."
    raise UsageError(f"There is no suite {named!r}: no folder from {Path.cwd()} upwards has suites/{named}.", remedy)


def read_expected(path: Path) -> dict[str, str]:
    """Read which results may be inconclusive, by test, and why."""
    expected = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        test, colon, reason = line.partition(": ")
        if not (colon and reason.strip()):
            raise UsageError(f"{path}, line {number}: a reason is missing.", "Write `TEST: REASON`.")
        expected[test.strip()] = reason.strip()
    return expected


class Runner:
    """One run from the first component to the verdict."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        file = find_stack_file(plan.stack)
        settings = Settings.load(env=plan.env)
        # Before there is a bundle: a mistake must not be what the newest one tells of.
        meant(file, plan.profile, environment_file(settings))
        self._var = settings.var_of(project_of(file))
        self._bundle = Bundle.create(self._var / "bundles", plan.name)
        self._record = RunRecord(
            id=self._bundle.id,
            name=plan.name,
            suite=plan.suite.name,
            stack=plan.stack,
            profile=plan.profile,
            environment=plan.env,
            mark=plan.mark,
            seed=plan.seed,
            fullspan=__version__,
            machine=machine(),
            began_wall_ns=time.time_ns(),
            began_mono_ns=time.monotonic_ns(),
            expected_inconclusive=plan.expected,
        )

    def run(self) -> int:
        """Do it all; return the exit code."""
        self._bundle.write_run(self._record)
        event = self._note(f"{self._plan.name} begins with seed {self._plan.seed}")
        self._print(event, f"{event.what}; seconds count from here, {_utc(self._record.began_wall_ns)}")
        try:
            returned = self._run_on_stack()
            verdict, summary = judge(self._plan, returned, self._bundle.results().tests)
        except (KeyboardInterrupt, FullspanError) as error:
            problem = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            self._finish(Verdict.INCONCLUSIVE, f"the run did not come to its end: {problem}", problem)
            click.echo(f"The bundle of what was seen until then: {shown(self._bundle.path)}", err=True)
            raise
        self._finish(verdict, summary)
        self._conclude(verdict, summary)
        return EXIT_CODE[verdict]

    def _run_on_stack(self) -> int:
        plan = self._plan
        with open_stack(
            plan.stack, plan.profile, env=plan.env, fixed_ports=plan.fixed_ports, on_event=self._on_event
        ) as stack:
            self._bundle.redact.add(stack.secret_values())
            self._note_place(stack)
            try:
                return self._run_pytest(stack)
            finally:
                self._record = self._record.model_copy(update=exercised(stack))
                for component, state in stack.components.items():
                    self._bundle.add_log(component, Path(state.log))
                if plan.keep:
                    self._keep(stack)

    def _note_place(self, stack: Stack) -> None:
        """Keep what the stack came up with, whoever chose it: an option, a setting, the environment."""
        file = stack.state.environment
        place = {"profile": stack.profile, "environment": Path(file).stem if file else None}
        self._record = self._record.model_copy(update=place)
        self._bundle.write_run(self._record)

    def _run_pytest(self, stack: Stack) -> int:
        """Run the tests in a process of their own, which ends with the stack, however this one ends."""
        plan = self._plan
        scratch = self._var / "run" / stack.name / "pytest"
        (scratch / "tmp").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pytest", str(plan.suite), "-q", "--no-header", "-p", "no:cacheprovider"]
        command += ["--stack", stack.name, "--bundle", str(self._bundle.path), "--seed", str(plan.seed)]
        if stack.state.environment:
            command += ["--env", stack.state.environment]
        command += [f"--basetemp={scratch / 'base'}", *(["-m", plan.mark] if plan.mark else []), *plan.pytest_options]
        environment = os.environ | {
            RUN_TAG: stack.run_id,
            "TMPDIR": str(scratch / "tmp"),
            "FULLSPAN_VAR": str(self._var),
            "PYTHONUNBUFFERED": "1",
        }
        self._note("the suite starts")
        process = subprocess.Popen(command, env=environment, cwd=stack.project, start_new_session=True)
        try:
            return process.wait()
        except KeyboardInterrupt:
            end(process)
            raise
        finally:
            self._note("the suite has ended")
            shutil.rmtree(scratch, ignore_errors=True)

    def _keep(self, stack: Stack) -> None:
        stack.detach()
        click.echo(f"\nThe stack {stack.name} stays up; `fullspan down {stack.name}` ends it.")
        for name, address in stack.state.endpoints.items():
            if "@" not in address:
                click.echo(f"  {name}: {address}")

    def _finish(self, verdict: Verdict, summary: str, problem: str | None = None) -> None:
        self._note(f"the run ends: {verdict.value}")
        ended = {"verdict": verdict, "summary": summary, "problem": problem, "ended_wall_ns": time.time_ns()}
        self._bundle.write_run(self._record.model_copy(update=ended))
        from fullspan.report import write_report  # what draws is loaded when there is something to draw

        write_report(self._bundle.path)

    def _conclude(self, verdict: Verdict, summary: str) -> None:
        """Print the figures, the report's place and, last of all, the verdict in one line."""
        tests = self._bundle.results().tests
        click.echo()
        for figure in (figure for test in tests for figure in test.figures if not figure.table):
            click.echo(f"  {figure.name:<58} {figure.value:>12} {figure.unit}")
        click.echo(f"\n  report: {shown(self._bundle.report)}")
        click.echo(f"  took:   {(time.monotonic_ns() - self._record.began_mono_ns) / 1e9:.1f} s\n")
        colour = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}[verdict]
        click.secho(f"{verdict.value.upper()} - {summary}", fg=colour, bold=True)

    def _on_event(self, event: Event) -> None:
        noted = self._bundle.timeline.add(event.kind, event.what, **event.attributes)
        self._print(noted, self._bundle.redact(event.what))

    def _print(self, event: Event, what: str) -> None:
        """Print what happened, with the seconds since the run began: on the clock of the report, and of the tests."""
        click.echo(f"{(event.mono_ns - self._record.began_mono_ns) / 1e9:6.1f} s  {what}", err=True)

    def _note(self, what: str) -> Event:
        return self._bundle.timeline.add("run", what)


def exercised(stack: Stack) -> dict[str, object]:
    """Return the stack's components and links, with what passed these; nothing of a stack that answers no more."""
    with contextlib.suppress(FullspanError):
        links = []
        for name, link in stack.links.items():
            counters = stack.call("GET", f"/links/{name}")["counters"]
            passed = counters["bytes_up"] + counters["bytes_down"]
            links.append(
                LinkRecord(id=name, source=link.from_, to=link.to, connections=counters["connections"], bytes=passed)
            )
        return {"components": list(stack.components), "links": links}
    return {}


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest as Ctrl-C does, so that its fixtures heal and close; kill it when that takes too long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPT_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


_ENDS_FOR: Final = {1: Verdict.FAIL, 2: Verdict.INCONCLUSIVE}
"""What some test must have come to when pytest ends so."""


def judge(plan: Plan, returned: int, tests: list[TestRecord]) -> tuple[Verdict, str]:
    """Return verdict and summary of what pytest left; an end that is no result of tests is a UsageError."""
    if returned == NO_TESTS_COLLECTED or (returned == 0 and not tests):
        raise UsageError(f"No test of {plan.name} was chosen, so nothing was proven.", "Look at -m and SUITE.")
    if returned not in (0, 1, 2) or not tests:
        raise UsageError(f"pytest ended with {returned} before it came to a result; see above.")
    if returned and _ENDS_FOR[returned] not in {test.verdict for test in tests}:
        # A test that exceeds pytest's time limit ends the whole process: those before it prove nothing of the rest.
        raise UsageError(f"pytest ended with {returned} after {len(tests)} tests, none of which says why; see above.")
    unexpected = [
        test for test in tests if test.verdict is not Verdict.INCONCLUSIVE or test.nodeid not in plan.expected
    ]
    # When all that is left was expected to be inconclusive, nobody has seen anything.
    return combine(test.verdict for test in unexpected), summarise(unexpected, len(tests) - len(unexpected))


def summarise(tests: list[TestRecord], expected: int) -> str:
    """Return in one line how the tests ended, and why the first ones did not pass."""
    counts = Counter(test.verdict for test in tests)
    words = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.INCONCLUSIVE: "inconclusive"}
    told = ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in Verdict if counts[verdict]) or "no result"
    if expected:
        told += f", {expected} inconclusive as expected"
    bad = sorted((test for test in tests if test.verdict is not Verdict.PASS), key=lambda test: test.verdict.value)
    reasons = [f"{test.nodeid.rpartition('::')[2]}: {test.reason}"[:LONGEST_SUMMARY] for test in bad[:KEPT_REASONS]]
    return "; ".join([told, *reasons])


def machine() -> dict[str, str | int]:
    """Return what the run ran on."""
    system = platform.uname()
    return {
        "system": f"{system.system} {system.release}",
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def _utc(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def shown(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
