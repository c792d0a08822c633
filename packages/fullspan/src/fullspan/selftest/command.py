"""`fullspan selftest`: plant defects, see whether each is found for what it is, and print the matrix."""

import json
import time
from collections.abc import Callable
from itertools import islice

import click

from fullspan.errors import Inconclusive
from fullspan.selftest.catalogue import FAULTS
from fullspan.selftest.defect import Result
from fullspan.selftest.doubles import doubles_up
from fullspan.selftest.matrix import Matrix

__all__ = ["QUICK_FAULTS", "run_selftest", "selftest"]

QUICK_FAULTS = 1
"""Faults of the double that a quick self-test injects, each for seconds; the full one injects all."""

AT_ONCE = 10
"""Streams without a defect that are sent at the same time."""

Tell = Callable[[str], object]


def selftest(full: bool, clean: int, as_json: bool) -> int:
    """Run the self-test and print what came of it; return the exit code."""
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {what}", err=True)

    matrix = run_selftest(tell, full=full, clean=clean)
    click.echo(json.dumps(matrix.to_json(), indent=1) if as_json else "\n".join(matrix.lines()))
    return matrix.exit_code


def run_selftest(tell: Tell, *, full: bool, clean: int) -> Matrix:
    """Plant all defects into the double, beside `clean` streams without any.

    With `full` all faults are injected as well, and defects are planted into a slice of Focus where there is one.
    Raises StackError when a system cannot be brought up or does not do what it must.
    """
    results: list[Result] = []
    faults = islice(FAULTS.values(), None if full else QUICK_FAULTS)
    with doubles_up() as doubles:
        tell("the double is up; all defects are planted, each into a stream of its own")
        results += doubles.planted(clean=min(clean, AT_ONCE))
        for done in range(AT_ONCE, clean, AT_ONCE):
            tell(f"{done} of {clean} streams without a defect are through")
            results += doubles.planted((), clean=min(AT_ONCE, clean - done))
        tell("streaming checkers look for what they alone can see")
        results += doubles.streamed()
        tell("records are sent by calls, of which not all are answered")
        results += doubles.called()
        tell("a link is held back until all that is shown is old, and everything must recover")
        results += doubles.recovered()
        tell("what nobody can tell is brought about")
        results += doubles.unsure()
        for planted in faults:
            tell(f"{planted.defect.where}: {planted.defect.story}")
            results.append(doubles.fault(planted))
    if not full:
        left = len(FAULTS) - QUICK_FAULTS
        return Matrix(results, [f"{left} faults of processes and links, and Focus, are left to `--full`."])
    try:
        return Matrix([*results, *_focus(tell)])
    except Inconclusive as missing:
        return Matrix(results, [str(missing)])


def _focus(tell: Tell) -> list[Result]:
    """Plant all defects into the slice of Focus; Inconclusive when there is none here."""
    # Clients, protocols and browsers' sockets: nobody needs them for the double.
    from fullspan.selftest.focus_slice import all_of_focus, focus_up

    tell("a slice of Focus comes up: broker, interrogator, analyzer, server")
    with focus_up() as focus:
        return all_of_focus(focus, tell)
