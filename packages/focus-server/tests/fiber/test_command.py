"""The command line of the interrogator: what cannot be played is said in one sentence, with exit code 3."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

URL = "amqp://focus:s3cret@127.0.0.1:1/"


def replay(folder: Path, *options: str, url: str = URL) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "focus_server", "replay", "--state-dir", str(folder / "state"), *options]
    environment = os.environ | {"FOCUS_AMQP_URL": url}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30)


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
def test_what_cannot_be_played(tmp_path: Path, recording_file: Path, options: tuple[str, ...], sentence: str) -> None:
    defaults = () if "--recording" in options else ("--recording", str(recording_file))
    ended = replay(tmp_path, *defaults, *options)
    assert ended.returncode == 3
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr + ended.stdout
    assert not (tmp_path / "state" / "outbox").exists()


def test_a_wrong_address_of_the_broker(tmp_path: Path, recording_file: Path) -> None:
    ended = replay(tmp_path, "--recording", str(recording_file), url="amqp//focus:s3cret@host")
    assert ended.returncode == 3
    assert "amqp_url" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_help_names_what_matters(tmp_path: Path) -> None:
    ended = replay(tmp_path, "--help")
    assert ended.returncode == 0
    for word in ("FOCUS_AMQP_URL", "--fs", "--nan-channels", "60 s", "same grid"):
        assert word in ended.stdout
