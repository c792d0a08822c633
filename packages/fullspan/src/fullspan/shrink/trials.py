"""Trials by a command: it is run with FULLSPAN_SCHEDULE, which names the schedule that it shall play."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fullspan.errors import UsageError
from fullspan.faults import Schedule
from fullspan.shrink.signature import Signature
from fullspan.verdict import EXIT_CODE, Verdict

__all__ = ["CommandTrials"]

_INSTEAD: Final = "FULLSPAN_SCHEDULE"
_END_S: Final = 30.0
_SETUP: Final = 3


@dataclass
class CommandTrials:
    """Runs a command once per trial. Exit code 0 or 2 (inconclusive) is no failure; 3 (set-up) ends the search.

    A command that takes longer than `most_s` seconds is ended, with all its processes: that is a failure of its own
    kind. `output` of the last failure is kept for whoever wants to read it.
    """

    schedule: Schedule
    command: Sequence[str]
    signature: Signature
    most_s: float
    output: str = field(default="", init=False)

    def __call__(self, numbers: Sequence[int]) -> str | None:
        """Play the faults of these numbers; return the signature of the failure, None if there was none."""
        with tempfile.TemporaryDirectory(prefix="fullspan-shrink-") as folder:
            file = self.schedule.only(set(numbers)).write(Path(folder) / "schedule.json")
            code, output = self._run(file, Path(folder) / "output")
        if code is None:
            return f"took longer than {self.most_s:g} s"
        if code in (EXIT_CODE[Verdict.PASS], EXIT_CODE[Verdict.INCONCLUSIVE]):
            return None
        if code == _SETUP:
            raise UsageError(
                f"The command could not be set up (exit code {code}); it last said:\n{_last_lines(output)}",
                "\nMake it work without `fullspan shrink` first.",
            )
        self.output = output
        return self.signature.of(output)

    def _run(self, schedule: Path, output: Path) -> tuple[int | None, str]:
        """Run the command in a session of its own; whatever ends this, nothing of it runs on."""
        environment = os.environ | {_INSTEAD: str(schedule)}
        with output.open("wb") as written:
            try:
                process = subprocess.Popen(
                    self.command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=written,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise UsageError(f"The command {self.command[0]!r} cannot be run: {error.strerror}.") from error
            code: int | None = None
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(self.most_s)
            finally:
                _end(process)
        return code, output.read_text(encoding="utf-8", errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask what still runs to end, as Ctrl-C would, so that it takes its stack down; then kill what is left."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(output: str) -> str:
    return "\n".join(f"    {line}" for line in output.strip().splitlines()[-5:]) or "    nothing"
