"""A pytest plugin of the null run: for each test its outcome, and how often the null server was asked meanwhile."""

import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

__all__ = ["COUNT_PORT", "OUTPUT"]

OUTPUT: Final = "FULLSPAN_AUDIT_OUTPUT"
COUNT_PORT: Final = "FULLSPAN_AUDIT_COUNT_PORT"
ANSWER_S: Final = 10.0

_passed = pytest.StashKey[list[bool]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Write a line for each test once it is over."""
    item.stash[_passed] = []
    before = _asked()
    try:
        return (yield)
    finally:
        phases = item.stash[_passed]
        path, line, _ = item.location
        found = {
            "test": item.nodeid,
            "file": path,
            "line": (line or 0) + 1,
            "passed": len(phases) == 3 and all(phases),
            "asked": _asked() - before,
        }
        with Path(os.environ[OUTPUT]).open("a", encoding="utf-8") as out:
            out.write(json.dumps(found) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each phase of a test ended."""
    report = yield
    item.stash[_passed].append(report.passed and not hasattr(report, "wasxfail"))
    return report


def _asked() -> int:
    with socket.create_connection(("127.0.0.1", int(os.environ[COUNT_PORT])), ANSWER_S) as connection:
        return int(connection.makefile().readline())
