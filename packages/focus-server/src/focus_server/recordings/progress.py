"""How far something is, on standard error: in place on a terminal, as a line now and then elsewhere."""

import sys
from typing import Final

import click

__all__ = ["Percent"]

_STEP: Final = 10


class Percent:
    """Tells percents of `what`; a terminal sees each one, anybody else every tenth."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = -1

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` is done."""
        percent = 100 if not total else done * 100 // total
        in_place = sys.stderr.isatty()
        step = 1 if in_place else _STEP
        if percent // step == self._told // step:
            return
        self._told = percent
        click.echo(
            f"{chr(13) if in_place else ''}{self._what}: {percent} %", err=True, nl=not in_place or done == total
        )
