"""The command line of the interrogator: what cannot be played is said in one sentence, with exit code 3."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from focus_server.cli import main

URL = "amqp://focus:s3cret@127.0.0.1:1/"


@pytest.fixture
def replay(tmp_path, monkeypatch, capsys):
    """Run `focus-server replay` in this process: how it ends, what it prints and what it complains of."""
    # A log that is set up anew would be that of all tests.
    monkeypatch.setattr("focus_server.fiber.command.configure_logging", lambda level: None)
    monkeypatch.chdir(tmp_path)

    def run(*options, url=URL):
        monkeypatch.setenv("FOCUS_AMQP_URL", url)
        monkeypatch.setattr(sys, "argv", ["focus-server", "replay", "--state-dir", str(tmp_path / "state"), *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return SimpleNamespace(code=ended.value.code or 0, **capsys.readouterr()._asdict())

    return run


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--fs", "5"), "sampling rate of 5"),
        (("--fs", "fast"), "fs"),
        (("--nan-channels", "1"), "float32"),
        (("--channels", "60", "--dtype", "float32", "--nan-channels", "61"), "NaN channel 61"),
        (("--channels", "0"), "channels"),
        (("--recording", "/nowhere.npy"), "nowhere.npy"),
        (("--site", "a.b"), "site"),
        (("--amqp-url", URL), "No such option"),
    ],
)
def test_what_cannot_be_played(replay, tmp_path: Path, recording_file: Path, options, sentence: str) -> None:
    defaults = () if "--recording" in options else ("--recording", str(recording_file))
    ended = replay(*defaults, *options)
    assert ended.code == 3
    assert sentence in ended.err
    assert "s3cret" not in ended.err + ended.out
    assert not (tmp_path / "state" / "outbox").exists()


def test_a_wrong_address_of_the_broker(tmp_path: Path, recording_file: Path) -> None:
    """As the program that a user runs."""
    command = [sys.executable, "-m", "focus_server", "replay", "--recording", str(recording_file)]
    environment = os.environ | {"FOCUS_AMQP_URL": "amqp//focus:s3cret@host"}
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "amqp_url" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr


def test_help_names_what_matters(replay) -> None:
    ended = replay("--help")
    assert ended.code == 0
    for word in ("FOCUS_AMQP_URL", "--fs", "--nan-channels", "60 s", "same grid"):
        assert word in ended.out
