"""Errors in logs: found by level or word, told once, excused by name, at their place in the file."""

from pathlib import Path

import pytest

from fullspan.monitor import LogReader, is_error


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "x", "level": "error"}',
        '{"severity": "CRITICAL"}',
        '{"t": 1, "s": "E", "msg": "x"}',
        "ERROR: cannot bind",
        "2026-11-21 19:55:23 [error] <0.223.0> x",
        "2026-11-21 19:55:23,123 CRITICAL root: x",
        "[ERROR] x",
        "ts=1 level=error msg=x",
        "error: no such file",
        "panic: runtime error",
        "Traceback (most recent call last):",
        "worker: Segmentation fault",
        "<FATAL> x",
    ],
)
def test_what_is_an_error(line: str):
    assert is_error(line)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "ERROR: x", "level": "info"}',
        '{"cause": "AMQPConnectionError: refused", "level": "warning"}',
        "0 errors, 3 warnings",
        "INFO: error rate 0 %",
        "GET /errors/ERRORS.html 200",
        "2026-11-21 [info] error budget",
        "terror: x",
        "",
        "{",
    ],
)
def test_what_is_none(line: str):
    assert not is_error(line)


def test_a_growing_log_is_read_once_by_whole_lines(tmp_path: Path):
    log = tmp_path / "x.log"
    reader = LogReader("x", log)
    assert reader.read_on() == []
    log.write_bytes(b"fine\n\x1b[31mERROR: one\x1b[0m\nERROR: tw")
    [error] = reader.read_on()
    assert (error.component, error.line, error.position, reader.lines) == ("x", "ERROR: one", 5, 2)
    with log.open("ab") as file:
        file.write(b"o\nfine\n")
    assert [error.line for error in reader.read_on()] == ["ERROR: two"]
    assert (reader.read_on(), reader.lines) == ([], 4)
    log.write_bytes(b"ERROR: anew\n")
    assert [(error.line, error.position) for error in reader.read_on()] == [("ERROR: anew", 0)]


def test_a_traceback_is_one_error_told_by_its_last_line(tmp_path: Path):
    log = tmp_path / "x.log"
    reader = LogReader("x", log)
    log.write_text("on\nTraceback (most recent call last):\n  File 'x', line 1\n    raise ValueError\n")
    assert reader.read_on() == [], "it has not come to its end"
    with log.open("a") as file:
        file.write("ValueError: no number\non\n")
    [error] = reader.read_on()
    assert (error.line, error.position) == ("ValueError: no number", 3)
    with log.open("a") as file:
        file.write("  + Exception Group Traceback (most recent call last):\n")
        file.write("  |   File 'x', line 1\n  | ExceptionGroup: unhandled\n")
        file.write("  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n")
        file.write("    |   File 'x', line 2\n    | KeyError: 'x'\n    +------------------------------------\n")
    assert [error.line for error in reader.read_on()] == ["ExceptionGroup: unhandled", "KeyError: 'x'"]
    with log.open("a") as file:
        file.write("Traceback (most recent call last):\n" + "  x\n" * 300)
    assert len(reader.read_on()) == 1, "what never comes to its end is told all the same"


def test_errors_of_ones_own_and_excuses(tmp_path: Path):
    log = tmp_path / "x.log"
    reader = LogReader("x", log, errors=[r"queue is full"], allow=[r"^ERROR: cache (cold|warm)$", r"Broken\w+"])
    log.write_text(
        "the queue is full\nERROR: cache cold\nERROR: cache hot\n"
        "Traceback (most recent call last):\n  x\nBrokenPipeError: x\n"
    )
    assert [error.line for error in reader.read_on()] == ["the queue is full", "ERROR: cache hot"]


def test_a_line_without_end_is_cut_and_a_long_one_is_shortened(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_bytes(b"ERROR: " + b"x" * (5 * 1024 * 1024))
    reader = LogReader("x", log)
    [error] = reader.read_on()
    assert len(error.line) == 500
    assert reader.position == 4 * 1024 * 1024
    with log.open("ab") as file:
        file.write(b"\nERROR: next\n")
    assert [error.line for error in reader.read_on()] == ["ERROR: next"]
