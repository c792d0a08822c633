"""Runs commands of K2 as processes of their own that do not each begin with the same imports.

A line of JSON asks for a command: it is imported once, then this process forks, and the child is from its first line on
what `python -m k2 ...` is after its imports: own arguments, environment, folder and output, and an end of its own. At
the end of standard input everything that still runs is killed.
"""

import json
import os
import signal
import sys
from importlib import import_module

from k2.cli import COMMANDS, k2, main


def begun(request):
    """Fork; returns the child's number, in the child None."""
    command = request["arguments"][0]
    if command in COMMANDS:
        k2.get_command(None, command)
        if command == "exchange":
            import_module("k2.feed.exchange.market")
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(request["output"], os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, place in enumerate((nothing, output, output)):
        os.dup2(place, number)
    os.close(output)
    os.close(nothing)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["k2", *request["arguments"]]
    return None


def served():
    """Answer until the end of standard input; True in a child that shall be the program."""
    running = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "arguments" in request:
            pid = begun(request)
            if pid is None:
                return True
            running.add(pid)
            answer = pid
        else:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            running.discard(pid)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return False


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if served():
        main()
