"""One pytest session as fullspan records it: its bundle, and the tests as they end, in whatever process they ran."""

import time
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter

from fullspan.bundle import Bundle, ResultsRecord, TestRecord
from fullspan.verdict import Verdict

__all__ = ["Recorder", "Run", "carry"]

_CARRIED: Final = "fullspan_record"
_PHASES: Final = ("setup", "call", "teardown")


class Run:
    """One pytest session that uses fullspan: its bundle and the tests so far.

    Seconds count from the begin of the run that made the bundle, whose own lines stand among those of the tests, and
    which the report counts from too; where no run has made it, from the begin of the session.
    """

    def __init__(self, config: pytest.Config, bundle: Bundle) -> None:
        self.bundle = bundle
        self.tests: list[TestRecord] = []
        self._config = config
        begun = bundle.run().began_mono_ns if bundle.has_run else None
        self._began_mono_ns = time.monotonic_ns() if begun is None else begun

    def tell(self, what: str) -> None:
        """Print a line of progress on the real terminal, around pytest's capture; a worker of xdist has none."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if not isinstance(reporter, TerminalReporter) or capture is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"{(time.monotonic_ns() - self._began_mono_ns) / 1e9:6.1f} s  {what}")

    def add(self, test: TestRecord) -> None:
        """Take in a test that has ended, and write the results at once: the next one may end the run."""
        self.tests.append(test)
        self.bundle.write_results(ResultsRecord(tests=self.tests))
        what = f"{test.nodeid.rpartition('::')[2]}: {test.verdict.value}"
        self.bundle.timeline.add("test", what, test=test.nodeid, verdict=test.verdict.value)


def carry(report: pytest.TestReport, record: TestRecord) -> None:
    """Let a report carry the record of its test, also from a worker of xdist to the process that writes."""
    setattr(report, _CARRIED, record.model_dump_json())


class Recorder:
    """The plugin of the one process that writes the results: it takes the records out of the reports that come in."""

    def __init__(self, config: pytest.Config, key: pytest.StashKey[Run]) -> None:
        self._config = config
        self._key = key

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a record that has come, and note a test whose process died."""
        run = self._config.stash.get(self._key, None)
        if run is None:
            return
        carried = getattr(report, _CARRIED, None)
        if carried is not None:
            run.add(TestRecord.model_validate_json(carried))
        elif report.when not in _PHASES and report.failed:
            now = time.monotonic_ns()
            reason = str(report.longrepr).partition("\n")[0] or "the process of the test died"
            run.add(
                TestRecord(
                    nodeid=report.nodeid, verdict=Verdict.FAIL, reason=reason, began_mono_ns=now, ended_mono_ns=now
                )
            )
