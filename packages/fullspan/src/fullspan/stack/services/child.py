"""A server as the child of its launcher: told to end when the launcher is, and killed when it takes too long."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import FrameType

__all__ = ["run_child"]


def run_child(argv: Sequence[str], environment: Mapping[str, str], stop_s: float, *, until_eof: bool = False) -> int:
    """Run a server until it ends, or until this process is told to end it; return its exit code, 0 when it was told.

    SIGTERM, SIGINT and, with `until_eof`, the end of standard input end it; after `stop_s` seconds it is killed.
    """
    with subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL) as server:
        told = _stop_when_told(server, stop_s, until_eof)
        code = server.wait()
        return 0 if told.is_set() else code


def _stop_when_told(server: "subprocess.Popen[bytes]", stop_s: float, until_eof: bool) -> threading.Event:
    told = threading.Event()

    def stop() -> None:
        told.set()
        server.terminate()
        killer = threading.Timer(stop_s, server.kill)
        killer.daemon = True
        killer.start()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop()

    def at_eof() -> None:
        while os.read(0, 4096):
            pass
        stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if until_eof:
        threading.Thread(target=at_eof, daemon=True).start()
    return told
