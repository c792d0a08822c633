"""Settings of all programs: where they come from, and how wrong ones are refused."""

import subprocess
import sys

import pytest

from k2.errors import SettingsError
from k2.settings import PROGRAMS, FeedSettings


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_option_before_environment_before_file_before_default(tmp_path, monkeypatch):
    (tmp_path / "k2.toml").write_text('symbols = ["solusdt"]\nsilence_s = 5\nattempts = 7\n')
    monkeypatch.setenv("K2_SILENCE_S", "6")
    monkeypatch.setenv("K2_ATTEMPTS", "8")
    settings = FeedSettings.load(attempts=9, quotes=None)
    assert (settings.symbols, settings.silence_s, settings.attempts, settings.quotes) == (("SOLUSDT",), 6, 9, True)
    origins = {entry.name: entry.origin for entry in FeedSettings.effective(attempts=9)}
    assert [origins[name] for name in ("symbols", "silence_s", "attempts", "quotes")] == [
        "k2.toml", "environment K2_SILENCE_S", "option", "default",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"symbols": ""}, "write symbols as BTCUSDT,ETHUSDT"),
        ({"symbols": "BTC/USDT"}, "write symbols as BTCUSDT,ETHUSDT"),
        ({"silence_s": -1}, "greater than 0"),
        ({"spool_bytes": 5}, "greater than or equal to"),
        ({"compression": "gzip"}, "lz4"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_its_origin(options, said):
    (name,) = options
    with pytest.raises(SettingsError, match=rf"The setting {name} \(option\) cannot be used") as refused:
        FeedSettings.load(**options)
    assert said in str(refused.value)


def test_an_unknown_key_names_the_nearest_one(tmp_path):
    (tmp_path / "k2.toml").write_text("silense_s = 5\n")
    with pytest.raises(SettingsError, match="did you mean silence_s"):
        FeedSettings.load()


def test_config_shows_everything_and_no_secret(monkeypatch):
    monkeypatch.setenv("K2_KAFKA_PASSWORD", "hidden")
    monkeypatch.setenv("K2_SCHEMA_REGISTRY_URL", "http://user:hidden@127.0.0.1:1")
    printed = subprocess.run([sys.executable, "-m", "k2", "config"], capture_output=True, text=True, check=True).stdout
    names = {line.partition(" = ")[0] for line in printed.splitlines()}
    assert names == set().union(*(program.model_fields for program in PROGRAMS.values()))
    assert "hidden" not in printed
    assert "kafka_password = ********  # environment K2_KAFKA_PASSWORD" in printed.splitlines()
