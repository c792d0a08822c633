"""The owner's side of a supervisor: it starts one, hears what it says, and when the owner ends, the stack does too."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fullspan.errors import FullspanError, StackError
from fullspan.stack.guard import untagged
from fullspan.stack.voice import error_of
from fullspan.timeline import Event

__all__ = ["Owner"]

# While something is under way the supervisor says so every two seconds; so long a silence is a supervisor that hangs.
_SILENCE_S: Final = 60.0
_LAST_WORDS_S: Final = 5.0
_POLL_S: Final = 0.2

OnEvent = Callable[[Event], object]


class Owner:
    """Holds one supervisor: `until_ready`, then `close`. `on_event` is called from a thread of its own."""

    def __init__(
        self,
        file: Path,
        var: Path,
        *,
        profile: str | None = None,
        env: Path | None = None,
        fixed_ports: bool = False,
        detach: bool = False,
        on_event: OnEvent = lambda event: None,
    ) -> None:
        self._on_event = on_event
        self._listener_failure: Exception | None = None
        self._var = var
        self._heard = time.monotonic()
        self._ready = threading.Event()
        self._over = threading.Event()
        self._came_up = False
        self._detached = False
        self._failure: FullspanError | None = None
        self._words: list[str] = []
        options = ["--profile", profile] if profile else []
        options += ["--env", str(env)] if env else []
        options += [name for name, given in (("--fixed-ports", fixed_ports), ("--detach", detach)) if given]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fullspan.stack.supervisor", str(file), "--var", str(var), *options],
            env=untagged(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=target, daemon=True, name=name)
            for target, name in ((self._hear, "events"), (self._read_errors, "supervisor's errors"))
        ]
        for thread in self._threads:
            thread.start()

    def _hear(self) -> None:
        """Pass on what the supervisor says, until it has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it was killed while it spoke
            event = Event.from_json(line.decode())
            self._heard = time.monotonic()
            if event.kind == "stack.failed":
                self._failure = error_of(event)
            if event.kind != "stack.failed" or self._came_up:
                self._tell(event)
            if event.kind == "stack.ready":
                self._came_up = True
                self._ready.set()
            if event.kind == "stack.detached":
                self._detached = True
        self._over.set()
        self._ready.set()

    def _tell(self, event: Event) -> None:
        """Pass an event on; a listener that fails does not keep us from hearing the rest."""
        try:
            self._on_event(event)
        except Exception as error:
            self._listener_failure = self._listener_failure or error

    def _read_errors(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        for line in self._process.stderr:
            self._words.append(line.decode(errors="replace").rstrip())

    def until_ready(self) -> None:
        """Wait until the stack is up; raise why it is not."""
        self._wait(self._ready)
        if not self._came_up:
            self.close()
            raise self._failure or self._unexplained()

    def close(self) -> None:
        """Take the stack down, and return when nothing of it is left; a detached one is left to itself."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._heard = time.monotonic()
        try:
            self._wait(self._over)
        except StackError:
            # The janitor takes down what a supervisor that hangs does not.
            self._process.send_signal(signal.SIGKILL)
            raise
        finally:
            if self._over.is_set():
                self._let_go()

    def _let_go(self) -> None:
        """Give back what the supervisor's end, or its going on alone, has left us with."""
        if self._detached:
            self._process.returncode = 0  # nobody waits for it any more
        else:
            self._process.wait(_LAST_WORDS_S)
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._listener_failure is not None:
            failure, self._listener_failure = self._listener_failure, None
            raise failure

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(_POLL_S):
            if time.monotonic() - self._heard > _SILENCE_S:
                raise StackError(
                    f"The supervisor (pid {self._process.pid}) has said nothing for {_SILENCE_S:g} s.",
                    "It is killed; the janitor takes the stack down.",
                )

    @property
    def failure(self) -> FullspanError | None:
        """Why the stack did not come up, or did not go as it should."""
        return self._failure

    @property
    def killed(self) -> bool:
        """Whether the supervisor ended without taking the stack down itself, which its janitor does then."""
        return self._process.returncode is not None and self._process.returncode < 0

    def _unexplained(self) -> StackError:
        words = "".join(f"\n    {line}" for line in self._words[-10:])
        return StackError(
            f"The supervisor ended (exit code {self._process.returncode}) and did not say why.{words}",
            f"See supervisor.log in {self._var / 'run'}.",
        )
