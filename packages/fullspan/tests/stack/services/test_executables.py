"""Programs of the system: found by setting, place or PATH, and named with their package when they are missing."""

import os
from pathlib import Path

import pytest

from fullspan import __version__
from fullspan.errors import StackError, UsageError
from fullspan.stack.services.chromium import launch_options
from fullspan.stack.services.executables import Executable

NAME = "FULLSPAN_THING_EXECUTABLE"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "thing"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.delenv(NAME, raising=False)
    return path


def test_the_order_in_which_it_is_looked_for(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "other"
    other.symlink_to(program)
    assert Executable("Thing", NAME, (), ("thing",), "thing").find() == str(program)
    assert Executable("Thing", NAME, (str(other),), ("thing",), "thing").find() == str(other)
    monkeypatch.setenv(NAME, str(program))
    assert Executable("Thing", NAME, (str(other),), (), "thing").find() == str(program)
    assert Executable("Thing", NAME, (), (), "thing").find(str(other)) == str(other)


def test_a_missing_program_names_its_package(program: Path):
    with pytest.raises(StackError) as caught:
        Executable("Thing", NAME, ("/opt/x",), ("x",), "thing-server").find()
    assert str(caught.value) == (
        "Thing is not installed: neither /opt/x nor x was found. "
        f"On Debian: apt-get install thing-server; elsewhere set {NAME} to its executable."
    )


def test_a_setting_that_is_no_program(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(NAME, str(tmp_path))
    with pytest.raises(StackError, match=f"{NAME} is '{tmp_path}', which is no executable file"):
        Executable("Thing", NAME, (), ("thing",), "thing").find()


def test_the_browser_runs_without_its_sandbox_only_as_root_and_only_for_this_machine(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSPAN_CHROMIUM_EXECUTABLE", str(program))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert launch_options()["executable_path"] == str(program)
    assert "--no-sandbox" in launch_options("http://localhost:80/x")["args"]
    with pytest.raises(UsageError, match=r"opens no page of another machine: http://example\.org/"):
        launch_options("http://example.org/")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--no-sandbox" not in launch_options("http://example.org/")["args"]
    assert "--no-first-run" in launch_options()["args"]


def test_a_version_is_told_by_the_path_the_package_or_the_program(tmp_path):
    program = Executable("A program", "NONE", (), (), "", "--version")
    silent = Executable("A server", "NONE", (), (), "")
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\necho this is plain 4.17.2 of today\n")
    plain.chmod(0o755)
    assert program.version(str(plain)) == "4.17.2"
    assert silent.version(str(plain)) is None, "without an option nothing is run"
    placed = tmp_path / "server-3.10.8" / "bin" / "server"
    placed.parent.mkdir(parents=True)
    plain.rename(placed)
    (tmp_path / "link").symlink_to(placed)
    assert silent.version(str(tmp_path / "link")) == "3.10.8"
    assert silent.version("/anywhere/fullspan") == __version__


def test_a_program_that_refuses_or_says_nothing_has_no_version(tmp_path):
    program = Executable("A program", "NONE", (), (), "", "--version")
    refusing = tmp_path / "refusing"
    refusing.write_text("#!/bin/sh\necho version 1.2.3; exit 2\n")
    refusing.chmod(0o755)
    assert program.version(str(refusing)) is None
    assert program.version(str(tmp_path / "nowhere")) is None
