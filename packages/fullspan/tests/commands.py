"""`fullspan` as a person runs it in a project: in a process of its own, or in this one, which costs no start."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

from fullspan.cli import main

Done = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    """Return the environment without what concerns another run of fullspan."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FULLSPAN_")} | more


def fullspan(project: Path, *words: str) -> Done:
    """Run a command to its end in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fullspan", *words],
        cwd=project, env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def fullspan_here(project: Path, *words: str, **more: str) -> Done:
    """Run a command to its end in this process, by the same `main`, and leave everything of the process as it was."""
    said, complained = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.ExitStack() as undone:
        undone.enter_context(mock.patch.dict(os.environ, environment(**more), clear=True))
        undone.enter_context(mock.patch.object(sys, "argv", ["fullspan", *words]))
        undone.enter_context(contextlib.chdir(project))
        undone.enter_context(contextlib.redirect_stdout(said))
        undone.enter_context(contextlib.redirect_stderr(complained))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            undone.callback(signal.signal, number, signal.getsignal(number))
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), code
    return Done(["fullspan", *words], code, said.getvalue(), complained.getvalue())
