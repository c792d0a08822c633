"""Settings: option over environment over file over default, and clear words for what cannot be meant."""

from pathlib import Path

import pytest

from fullspan.errors import UsageError, nearest
from fullspan.settings import Settings


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)


def test_defaults(tmp_path: Path):
    settings = Settings.load()
    assert settings.var is None
    assert settings.endpoints == {}
    assert settings.var_of(tmp_path / "project") == tmp_path / "project" / "var"


def test_option_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fullspan.toml").write_text('var = "from-file"\nchromium_executable = "from-file"\n')
    assert Settings.load().var == Path("from-file")
    monkeypatch.setenv("FULLSPAN_VAR", "from-environment")
    assert Settings.load().var == Path("from-environment")
    assert Settings.load(var=Path("from-option")).var == Path("from-option")
    assert Settings.load(var=None).var == Path("from-environment")
    assert Settings.load().chromium_executable == "from-file"


def test_endpoints_are_merged_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fullspan.toml").write_text('[endpoint.focus]\nhttp = "http://file"\nliveview = "http://file/view"\n')
    monkeypatch.setenv("FULLSPAN_ENDPOINT__FOCUS__HTTP", "http://environment")
    assert Settings.load().endpoints == {"focus.http": "http://environment", "focus.liveview": "http://file/view"}


def test_a_relative_var_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FULLSPAN_VAR", "state")
    assert Settings.load().var_of(Path("/somewhere")) == tmp_path / "state"


def test_effective_values_and_their_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "mine.toml"
    file.write_text('chromium_executable = "/opt/chromium"\n')
    monkeypatch.setenv("FULLSPAN_VAR", "/state")
    found = {setting.name: (setting.value, setting.origin) for setting in Settings.effective(file)}
    assert found["var"] == ("/state", "environment")
    assert found["chromium_executable"] == ("/opt/chromium", str(file))
    assert found["endpoint"] == ("{}", "default")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vra = 1", "unknown key 'vra'. Did you mean 'var'?"),
        ("var = [", "is not TOML"),
        ("var = 7", "The setting var"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, words: str):
    file = tmp_path / "fullspan.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        Settings.load()
    assert words in str(caught.value)
    assert "fullspan.toml" in str(caught.value)


def test_a_missing_file_that_was_asked_for(tmp_path: Path):
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read: No such file"):
        Settings.load(tmp_path / "nowhere.toml")


def test_nearest():
    assert nearest("redy", ["ready", "run"]) == "Did you mean 'ready'?"
    assert nearest("xyz", ["ready", "run"]) == "Known: ready, run."
    assert nearest("xyz", []) == "There is none."
