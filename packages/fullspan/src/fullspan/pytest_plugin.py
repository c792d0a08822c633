"""The pytest plugin: a running stack, a ledger, faults and evidence for tests, and results of three values.

A test that raises `Inconclusive` could not tell: it is shown as such, and never counts as passed. Everything that the
tests show goes into the bundle as it happens. Under pytest-xdist the results of all workers come together in one
bundle, and a test that breaks something has the stack to itself.
"""

import argparse
import hashlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from _pytest.terminal import TerminalReporter

from fullspan.bundle import Bundle, LogErrorRecord, TestRecord
from fullspan.errors import FullspanError, Inconclusive, UsageError
from fullspan.evidence import Evidence
from fullspan.faults import Faults
from fullspan.ledger import Ledger
from fullspan.monitor import Monitor, Slice
from fullspan.session import Recorder, Run, carry
from fullspan.stack import Stack, open_stack
from fullspan.timeline import Event, Timeline
from fullspan.turns import Turns
from fullspan.verdict import EXIT_CODE, Verdict

if TYPE_CHECKING:
    from fullspan.environment import Environment

__all__ = ["Evidence"]

INCONCLUSIVE: Final = "inconclusive"
DEFAULT_SEED: Final = 1
EXIT_CODE_USAGE: Final = 3
KEPT_ERRORS: Final = 100
TURN_S: Final = 900.0
ROUND: Final = "fullspan_round"
MARKERS: Final = (
    "repeat(n): run this test n times, whatever --repeat says",
    "allow_log_errors(*patterns): with --monitor, lines of any log that are no errors in this test",
    "profile(name): for a stack that was brought up with this profile; on another one it is inconclusive",
)

_run_key = pytest.StashKey[Run]()
_evidence_key = pytest.StashKey[Evidence]()
_up_key = pytest.StashKey[ExitStack]()
_monitor_key = pytest.StashKey[Monitor]()
_slice_key = pytest.StashKey[Slice]()
_reports_key = pytest.StashKey[list[pytest.TestReport]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("fullspan", "proof of a streaming system")
    group.addoption("--stack", metavar="NAME", help="the running stack to test: its name, or its state file")
    group.addoption(
        "--endpoint", metavar="NAME=URL", action="append", default=[], help="use this address instead of the stack's"
    )
    group.addoption("--up", action="store_true", help="bring the stack up for the tests, and take it down afterwards")
    group.addoption("--profile", metavar="NAME", help="with --up: overrides of the stack file to apply")
    group.addoption("--env", metavar="NAME", help="the environment: environments/NAME.yaml, or a file")
    group.addoption("--monitor", action="store_true", help="watch logs and resources: errors and broken limits fail")
    group.addoption("--bundle", metavar="DIR", help="the bundle to write into; `fullspan run` makes one")
    group.addoption("--seed", type=int, default=DEFAULT_SEED, help=f"seed of whatever is random ({DEFAULT_SEED})")
    group.addoption(
        "--repeat", type=_times, default=1, metavar="N", help="run every test N times, each a test of its own"
    )


def _times(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of times; write 1 or more")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Open the bundle that a run has made, so that every test of the session is recorded in it."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not _is_worker(config):
        config.pluginmanager.register(Recorder(config, _run_key), "fullspan-recorder")
    given = config.getoption("--bundle")
    if given:
        config.stash[_run_key] = Run(config, Bundle(Path(given)))


def _is_worker(config: pytest.Config) -> bool:
    """Tell whether this is one of several processes that run tests for another one."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With --up bring the stack up, before xdist starts its workers, which attach to it."""
    config = session.config
    named, profile = config.getoption("--stack"), config.getoption("--profile")
    if not config.getoption("--up"):
        if profile:
            pytest.exit("--profile needs --up: a stack that is up keeps its profile.", EXIT_CODE_USAGE)
        return
    if _is_worker(config) or config.getoption("collectonly"):
        return
    if not named:
        pytest.exit("--up needs --stack NAME.", EXIT_CODE_USAGE)
    up = config.stash[_up_key] = ExitStack()
    try:
        up.enter_context(open_stack(named, profile, env=config.getoption("--env"), on_event=_Progress(config)))
    except FullspanError as error:
        pytest.exit(f"fullspan: {error}", error.exit_code)


class _Progress:
    """Prints what happens to the stack while nothing else is printed."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter = config.pluginmanager.getplugin("terminalreporter")

    def __call__(self, event: Event) -> None:
        if isinstance(self._reporter, TerminalReporter):
            self._reporter.write_line(f"fullspan: {event.what}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the stack down that --up has brought up."""
    up = config.stash.get(_up_key, None)
    if up is not None:
        up.close()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what a run can be done again with."""
    repeated = config.getoption("--repeat")
    times = f", each test {repeated} times" if repeated > 1 else ""
    return f"fullspan: seed {config.getoption('--seed')}, stack {config.getoption('--stack') or 'none'}{times}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make as many tests of one as it shall run times."""
    marker = metafunc.definition.get_closest_marker("repeat")
    times = marker.args[0] if marker is not None and marker.args else metafunc.config.getoption("--repeat")
    if times > 1:
        metafunc.fixturenames.append(ROUND)
        metafunc.parametrize(ROUND, range(1, times + 1), ids=[f"round{n}of{times}" for n in range(1, times + 1)])


@pytest.fixture
def fullspan_round(request: pytest.FixtureRequest) -> int:
    """Give which of the repetitions of a test this is, from 1."""
    return int(getattr(request, "param", 1))


@pytest.fixture(scope="session")
def fullspan_run(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Give the bundle of this session; a temporary one when none is named."""
    run = pytestconfig.stash.get(_run_key, None)
    if run is None:
        run = pytestconfig.stash[_run_key] = Run(pytestconfig, Bundle(tmp_path_factory.mktemp("bundle")))
    return run


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config, fullspan_run: Run) -> Iterator[Stack]:
    """Attach to the running stack that --stack names."""
    named = pytestconfig.getoption("--stack")
    if not named:
        raise Inconclusive("No stack was named.", "Give --stack NAME, or use `fullspan run`.")
    endpoints, env = _endpoints(pytestconfig.getoption("--endpoint")), pytestconfig.getoption("--env")
    with Stack.attach(named, endpoints, env) as attached:
        fullspan_run.bundle.redact.add(attached.secret_values())
        if not pytestconfig.getoption("--monitor"):
            yield attached
            return
        first = getattr(pytestconfig, "workerinput", {}).get("workerid", "gw0") == "gw0"
        monitor = pytestconfig.stash[_monitor_key] = Monitor(
            attached, fullspan_run.bundle, fullspan_run.tell, writes=first
        )
        monitor.start()
        yield attached
        del pytestconfig.stash[_monitor_key]
        monitor.close()


@pytest.fixture(scope="session")
def environment(stack: Stack) -> "Environment":
    """Give the environment: what the system can do, how to trust it, what its parts are called."""
    return stack.environment


@pytest.fixture(autouse=True)
def fullspan_turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that breaks something have the stack alone when several processes test it."""
    if not (_is_worker(request.config) and "stack" in request.fixturenames):
        yield
        return
    stack = request.getfixturevalue("stack")
    if not isinstance(stack, Stack):  # a suite's own fixture of this name
        yield
        return
    turns = Turns(stack.var / "run" / stack.name / "turns")
    with turns.taken(alone="faults" in request.fixturenames, deadline_s=TURN_S):
        yield


@pytest.fixture(autouse=True)
def fullspan_profile(request: pytest.FixtureRequest) -> None:
    """Let a test that is made for one profile not judge another."""
    marker = request.node.get_closest_marker("profile")
    if marker is None:
        return
    stack: Stack = request.getfixturevalue("stack")
    if stack.profile not in marker.args:
        raise Inconclusive(
            f"This test is for the profile {' or '.join(marker.args)}, and the stack has {stack.profile or 'none'}.",
            f"Bring it up with --profile {marker.args[0]}.",
        )


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give this test's own seed, which follows from --seed, the test's name and its round: the same in every order."""
    text = f"{request.config.getoption('--seed')}/{request.node.nodeid}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


@pytest.fixture(scope="session")
def timeline(fullspan_run: Run) -> Timeline:
    """Give the run's timeline."""
    return fullspan_run.bundle.timeline


@pytest.fixture
def evidence(request: pytest.FixtureRequest, fullspan_run: Run) -> Evidence:
    """Collect what this test shows."""
    return _evidence_of(request.node, fullspan_run)


def _evidence_of(node: pytest.Item, run: Run) -> Evidence:
    found = node.stash.get(_evidence_key, None)
    if found is None:
        found = node.stash[_evidence_key] = Evidence(node.nodeid, run.bundle, run.tell)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to collect what a test shows when it begins, whether it asks for `evidence` or not."""
    run = item.config.stash.get(_run_key, None)
    if run is not None:
        _evidence_of(item, run)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """With --monitor let errors in the logs and broken limits fail a test in which nothing was broken on purpose."""
    monitor = item.config.stash.get(_monitor_key, None)
    run = item.config.stash.get(_run_key, None)
    if monitor is None or run is None:
        return (yield)
    begin = monitor.mark()
    try:
        result = yield
    finally:
        seen = item.stash[_slice_key] = monitor.since(begin, item.nodeid)
    evidence = _evidence_of(item, run)
    if evidence.has_faults:
        return result
    marker = item.get_closest_marker("allow_log_errors")
    findings = seen.findings(marker.args if marker else ())
    for finding in findings:
        evidence.finding(finding)
    if bad := [f"{finding.name}: {finding.summary}" for finding in findings if finding.verdict is Verdict.FAIL]:
        raise AssertionError("; ".join(bad))
    return result


@pytest.fixture
def ledger(evidence: Evidence) -> Ledger:
    """Give this test a ledger of its own, kept in the bundle."""
    fresh = Ledger()
    evidence.watch(ledger=fresh)
    return fresh


@pytest.fixture
def faults(stack: Stack, timeline: Timeline, evidence: Evidence) -> Iterator[Faults]:
    """Inject the faults of this test; what is still broken at its end is healed."""
    with Faults(stack, timeline) as injected:
        evidence.watch(faults=injected)
        yield injected


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, None]:
    """Mark a result that could not tell, and record the test once its last phase is over."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    if call.excinfo is not None and call.excinfo.errisinstance(Inconclusive):
        report.user_properties.append((INCONCLUSIVE, str(call.excinfo.value)))
        report.longrepr = f"inconclusive: {call.excinfo.value}"
    reports = item.stash.setdefault(_reports_key, [])
    reports.append(report)
    run = item.config.stash.get(_run_key, None)
    if report.when == "teardown" and run is not None:
        carry(report, _record(item, run, reports))


def _record(item: pytest.Item, run: Run, reports: list[pytest.TestReport]) -> TestRecord:
    verdict, reason, details = _result(reports)
    record = _evidence_of(item, run).record(verdict, reason, details)
    seen = item.stash.get(_slice_key, None)
    if seen is None:
        return record
    errors = [LogErrorRecord.model_validate(asdict(error)) for error in seen.errors[:KEPT_ERRORS]]
    return record.model_copy(update={"logs": seen.logs, "log_errors": errors, "peaks": seen.peaks()})


def _result(reports: list[pytest.TestReport]) -> tuple[Verdict, str, str]:
    """Return what the phases of a test come to. A skipped test was not seen to pass, so it is inconclusive."""
    failed = [report for report in reports if report.failed and not _is_inconclusive(report)]
    if failed:
        crash = getattr(failed[0].longrepr, "reprcrash", None)
        message = str(crash.message) if crash is not None else failed[0].longreprtext
        return Verdict.FAIL, message.partition("\n")[0], failed[0].longreprtext
    unsure = [report for report in reports if _is_inconclusive(report)]
    if unsure:
        return Verdict.INCONCLUSIVE, _reason(unsure[0]), ""
    skipped = [report for report in reports if report.skipped]
    if skipped:
        return Verdict.INCONCLUSIVE, f"skipped: {skipped[0].longreprtext}", ""
    return Verdict.PASS, "", ""


def _reason(report: pytest.TestReport) -> str:
    """Return why a test could not tell."""
    return str(dict(report.user_properties)[INCONCLUSIVE])


def _is_inconclusive(report: pytest.TestReport) -> bool:
    return any(name == INCONCLUSIVE for name, _ in report.user_properties)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Show what could not tell as what it is."""
    if isinstance(report, pytest.TestReport) and report.failed and _is_inconclusive(report):
        return INCONCLUSIVE, "I", ("INCONCLUSIVE", {"yellow": True})
    return None


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """List what could not tell, with the reasons."""
    unsure = terminalreporter.getreports(INCONCLUSIVE)
    if unsure:
        terminalreporter.section("inconclusive", yellow=True)
        for report in unsure:
            terminalreporter.write_line(f"{report.nodeid}: {_reason(report)}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End with 2 when nothing failed but something could not tell."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if exitstatus != pytest.ExitCode.TESTS_FAILED or not isinstance(reporter, TerminalReporter):
        return
    if reporter.stats.get(INCONCLUSIVE) and not reporter.stats.get("failed") and not reporter.stats.get("error"):
        session.exitstatus = EXIT_CODE[Verdict.INCONCLUSIVE]


def _endpoints(given: list[str]) -> dict[str, str]:
    endpoints = {}
    for text in given:
        name, equals, url = text.partition("=")
        if not (name and equals and url):
            raise UsageError(
                f"--endpoint {text} is not NAME=URL.", "Write for example focus.http=http://127.0.0.1:5000."
            )
        endpoints[name] = url
    return endpoints
