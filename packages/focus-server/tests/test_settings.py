"""Where settings come from, and what is said about wrong ones."""

from decimal import Decimal
from pathlib import Path

import pytest

from focus_server.errors import SettingsError
from focus_server.settings import AnalyzerSettings, ReplaySettings, ServeSettings


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No settings of this machine are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)


def test_option_over_environment_over_file_over_default(tmp_path, monkeypatch):
    assert ServeSettings.load().port == 5000
    (tmp_path / "focus.toml").write_text("port = 1\nsite = 'north'\n")
    assert ServeSettings.load().port == 1
    assert AnalyzerSettings.load().site == "north"
    monkeypatch.setenv("FOCUS_PORT", "2")
    assert ServeSettings.load().port == 2
    assert ServeSettings.load(port=3).port == 3
    assert ServeSettings.load(port=None).port == 2


def test_the_user_s_file_is_read_when_there_is_none_here(tmp_path):
    folder = tmp_path / "config" / "focus-server"
    folder.mkdir(parents=True)
    (folder / "focus.toml").write_text("port = 4\n")
    assert ServeSettings.load().port == 4
    other = tmp_path / "other.toml"
    other.write_text("port = 5\n")
    assert ServeSettings.load(other).port == 5


def test_every_value_tells_where_it_comes_from(tmp_path, monkeypatch):
    (tmp_path / "focus.toml").write_text("site = 'north'\n")
    monkeypatch.setenv("FOCUS_AMQP_URL", "amqp://me:secret@host/")
    found = {one.name: one for one in AnalyzerSettings.effective(windows=3)}
    assert found["site"].origin == "focus.toml"
    assert found["amqp_url"].origin == "environment FOCUS_AMQP_URL"
    assert "secret" not in found["amqp_url"].value
    assert (found["windows"].value, found["windows"].origin) == ("3", "option")
    assert found["ring_samples"].origin == "default"


def test_lists_are_written_with_commas(monkeypatch):
    monkeypatch.setenv("FOCUS_ALLOWED_HOSTS", "focus.example, other")
    assert ServeSettings.load().allowed_hosts == ("focus.example", "other")


def test_state_lies_below_the_var_folder(monkeypatch):
    assert AnalyzerSettings.load().state_dir == Path("var/focus/state")
    monkeypatch.setenv("FULLSPAN_VAR", "/somewhere")
    assert AnalyzerSettings.load().analyzer_socket == Path("/somewhere/focus/analyzer.sock")
    assert ReplaySettings.load().recording == Path("/somewhere/data/sample.npy")


def test_a_rate_is_the_decimal_that_was_written(monkeypatch):
    monkeypatch.setenv("FOCUS_FS", "1999.976")
    assert ReplaySettings.load().fs == Decimal("1999.976")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1\n", r"prot in focus\.toml is not a setting; did you mean port\?"),
        ("zzzzzz = 1\n", "config` lists"),
        ("port = \n", "not valid TOML"),
        ("port = 70000\n", r"The setting port \(focus\.toml\) cannot be used"),
        ("site = 'a.b'\n", r"The setting site \(focus\.toml\)"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, text, words):
    (tmp_path / "focus.toml").write_text(text)
    with pytest.raises(SettingsError, match=words):
        (AnalyzerSettings if "site" in text else ServeSettings).load()


def test_a_wrong_variable_is_named_and_its_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("FOCUS_PORT", "hunter2")
    with pytest.raises(SettingsError, match="environment FOCUS_PORT") as error:
        ServeSettings.load()
    assert "hunter2" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        ServeSettings.load(tmp_path / "none.toml")


def test_variables_that_others_put_there_are_left_alone(monkeypatch):
    monkeypatch.setenv("FOCUS_SERVICE_HOST", "10.0.0.1")
    assert ServeSettings.load().host == "127.0.0.1"
