"""Which functions of a suite assert something, whatever they are called: its own helpers, fixtures and classes."""

import ast
from collections.abc import Iterable
from typing import Final

from fullspan.audit.source import Function, Source, dotted

__all__ = ["Vocabulary"]

ASSERTING: Final = frozenset({
    "approx_equal", "deprecated_call", "fail", "must", "raises", "require", "run_state_machine_as_test", "warns",
})  # fmt: skip
"""Calls that fail a test by themselves, by the last part of their name."""
BEGINNINGS: Final = ("assert", "check", "ensure", "expect", "must_", "require", "should", "validate", "verify")


class Vocabulary:
    """Knows of every function that the audited files define whether it, or what it calls, can fail a test.

    Functions are known by their bare name: two of one name assert when one of them does.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._calls: dict[str, set[str]] = {}
        self._asserting: set[str] = set()
        for source in sources:
            for function in source.functions():
                self._learn(function)
        self._spread()

    def asserts(self, function: Function) -> bool:
        """Tell whether a function, with all that it calls, can fail a test on purpose."""
        calls, asserts = _look(function)
        return asserts or any(self.is_asserting(name) for name in calls)

    def is_asserting(self, name: str) -> bool:
        """Tell whether calling this bare name can fail a test on purpose."""
        return name in self._asserting or name in ASSERTING or name.lstrip("_").startswith(BEGINNINGS)

    def _learn(self, function: Function) -> None:
        calls, asserts = _look(function)
        self._calls.setdefault(function.name, set()).update(calls)
        if asserts:
            self._asserting.add(function.name)

    def _spread(self) -> None:
        """Let a function that calls an asserting one be asserting, until nothing more is learnt."""
        grown = True
        while grown:
            new = {
                name
                for name, called in self._calls.items()
                if name not in self._asserting and any(self.is_asserting(one) for one in called)
            }
            self._asserting |= new
            grown = bool(new)


def _look(function: Function) -> tuple[set[str], bool]:
    """Return the bare names of what a function calls and of the fixtures that it asks for, and whether it asserts."""
    names = {argument.arg for argument in function.args.args}
    asserts = False
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            names.add(dotted(node.func).rpartition(".")[2] or getattr(node.func, "attr", ""))
        elif isinstance(node, ast.Assert | ast.Raise):
            asserts = True
    return names - {""}, asserts
