"""The dynamic audit: the suite itself, run against a server that does nothing useful. What passes then cannot fail."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fullspan.audit.null_server import Mood, NullServer
from fullspan.audit.suspicion import Suspicion
from fullspan.audit.watching import COUNT_PORT, OUTPUT
from fullspan.errors import UsageError

__all__ = ["CANNOT_FAIL", "NullRun", "run_against_null"]

CANNOT_FAIL: Final = "cannot-fail"
REMEDY: Final = "Assert something that only a server that works can answer."
USAGE: Final = (3, 4)  # how pytest ends after an internal error, and when it was called in a wrong way
END_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class NullRun:
    """What came of it: the tests that passed in every mood although they asked the server, and counts of the others.

    `content_with` names, per test, the moods in which it passed, when these are some but not all.
    """

    tests: int
    reached: int
    suspicions: Sequence[Suspicion]
    content_with: Mapping[str, Sequence[str]]
    unfinished: Sequence[str]

    def summary(self) -> list[str]:
        """Return the whole in a few sentences."""
        said = [
            f"{self.reached} of {self.tests} tests asked the null server; {len(self.suspicions)} of them passed "
            "whatever it did."
        ]
        if self.reached < self.tests:
            said.append(f"{self.tests - self.reached} never asked it: nothing is said about these. Is --point right?")
        return said + [f"The run in which the server {mood} was cut off." for mood in self.unfinished]


def run_against_null(
    path: Path, point: Mapping[str, str], options: Sequence[str], limit_s: float, tell: Callable[[str], object]
) -> NullRun:
    """Run a suite once for each mood of the null server.

    `point` are environment variables and `options` options of pytest by which the suite is pointed at it: in both,
    `{http}`, `{host}` and `{port}` stand for the server. A run is cut off after `limit_s` seconds. Raises UsageError
    when pytest cannot run the suite.
    """
    seen: dict[Mood, list[dict[str, Any]]] = {}
    unfinished = []
    for mood in Mood:
        tell(f"the suite runs against a server that {mood}")
        with NullServer(mood) as server, tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch) / "tests.jsonl"
            output.touch()
            if not _run(path, server, output, point, options, limit_s):
                unfinished.append(str(mood))
            seen[mood] = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    return _judge(seen, unfinished)


def _judge(seen: Mapping[Mood, Sequence[Mapping[str, Any]]], unfinished: Sequence[str]) -> NullRun:
    tests = {found["test"]: found for of_mood in seen.values() for found in of_mood}
    asked = {mood: {found["test"] for found in of_mood if found["asked"]} for mood, of_mood in seen.items()}
    passed = {mood: {found["test"] for found in of_mood if found["passed"]} for mood, of_mood in seen.items()}
    reached = set().union(*asked.values())
    suspicions, content = [], {}
    for name in sorted(reached):
        moods = [mood for mood in Mood if name in passed[mood] and name in asked[mood]]
        if len(moods) == len(Mood):
            found = tests[name]
            said = "it passed against a server that agrees to everything, fails at everything, and hangs up."
            suspicions.append(Suspicion(CANNOT_FAIL, found["file"], found["line"], name, said, REMEDY))
        elif moods:
            content[name] = [str(mood) for mood in moods]
    return NullRun(len(tests), len(reached), suspicions, content, unfinished)


def _run(
    path: Path, server: NullServer, output: Path, point: Mapping[str, str], options: Sequence[str], limit_s: float
) -> bool:
    """Run the suite once; False when it was cut off."""
    names = {"http": f"http://127.0.0.1:{server.port}", "host": "127.0.0.1", "port": str(server.port)}
    environment = os.environ | {name: _filled(template, names) for name, template in point.items()}
    environment |= {OUTPUT: str(output), COUNT_PORT: str(server.count_port)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "fullspan.audit.watching",
        "-p",
        "no:cacheprovider",
        str(path),
    ]
    command += [_filled(option, names) for option in options]
    with _process(command, environment) as process:
        try:
            said, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return False
    if process.returncode in USAGE:
        raise UsageError(f"pytest could not run {path}: {said.strip()[-500:]}", "See that it runs without the audit.")
    return True


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a session of its own, all of which ends with this context."""
    process = subprocess.Popen(
        command, env=dict(environment), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _filled(template: str, names: Mapping[str, str]) -> str:
    """Put the server's address in; other braces stay as they are."""
    for name, value in names.items():
        template = template.replace(f"{{{name}}}", value)
    return template
