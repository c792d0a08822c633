"""A desktop client's settings become an environment: what is known, what is not, and no secret in any of it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fullspan.environment import load_environment
from fullspan.environment.command import written
from fullspan.environment.desktop import KNOWN, import_settings
from fullspan.environment.model import Environment
from fullspan.errors import UsageError
from packages.fullspan.tests.commands import fullspan_here

GUIDE = Path(__file__).parents[4] / "docs" / "environments.md"
SETTINGS = {
    "Communication": {
        "Backend": "https://focus.site7:5000",
        "Frontend": "https://focus.site7:5000/liveView",
        "SiteId": "site7",
        "GrpcTimeout": 500,
        "RabbitMQ": {"Host": "mq.site7", "User": "prisma", "Password": "hunter22", "VirtualHost": "prisma"},
        "Mirror": "https://me:hunter33@mirror/",
    },
    "Constraints": {"FrequencyMax_Hz": 1000, "frequency_min_hz": 0, "SensorsRange": 2222, "NumLiveScreens": "thirty"},
    "Options": {"NFFT": [1024, 256, 512]},
    "Defaults": {"NfftSingleChannel": 512, "ColorMap": "Jet", "CAxis": {"Min": -10, "Max": 20}},
    "Updates": {"AccessToken": "hunter44", "Channels": [{"name": "beta", "api-key": "hunter55"}]},
    "SavedLayouts": [],
}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "user settings.json"
    path.write_text("\ufeff" + json.dumps(SETTINGS), encoding="utf-8")
    return path


def test_from_a_file_to_an_environment_that_can_be_used(client: Path, monkeypatch: pytest.MonkeyPatch):
    done = fullspan_here(client.parent, "env", "import", client.name, "--name", "site7")
    assert done.returncode == 0, done.stderr
    file = client.parent / "environments" / "site7.yaml"
    found = load_environment(file)
    assert (found.site, found.constraints.channels, found.constraints.max_frequency_hz) == ("site7", 2222, 1000)
    assert found.constraints.min_frequency_hz == 0
    assert (found.nfft.choices, found.nfft.single_channel) == ((256, 512, 1024), 512)
    assert (found.display.colormap, found.display.caxis_db) == ("jet", (-10, 20))
    monkeypatch.setenv("SITE7_RABBITMQ_PASSWORD", "p")
    assert found.addresses() == {
        "focus.http": "https://focus.site7:5000",
        "focus.liveview": "https://focus.site7:5000/liveView",
        "rabbitmq.amqp": "amqp://prisma:p@mq.site7:5672/prisma",
    }
    assert found.imported == {
        "Communication": {"GrpcTimeout": 500},
        "Constraints": {"NumLiveScreens": "thirty"},
        "SavedLayouts": [],
    }
    assert "hunter" not in file.read_text() + done.stdout + done.stderr
    for said in (
        "set SITE7_RABBITMQ_PASSWORD to the secret that Communication.RabbitMQ.Password held",
        "set SITE7_UPDATES_ACCESSTOKEN to the secret that Updates.AccessToken held",
        "Constraints.NumLiveScreens          kept: its value cannot be meant: it is no whole number from 1 on",
        "Communication.Mirror                kept: this setting is not known; its value is not written down",
        "15 settings taken, 6 kept as they are",
    ):
        assert said in done.stdout, done.stdout


def test_an_environment_is_not_written_over_by_accident(client: Path):
    def again(*more: str) -> int:
        return fullspan_here(client.parent, "env", "import", client.name, *more).returncode

    assert (again(), again(), again("--force")) == (0, 3, 0)
    assert [path.name for path in (client.parent / "environments").iterdir()] == ["user-settings.yaml"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '"x"', "[" * 100_000, '{"a": "\\ud800"}'])
def test_what_is_no_settings_leaves_nothing(tmp_path: Path, text: str):
    (tmp_path / "c.json").write_text(text)
    done = fullspan_here(tmp_path, "env", "import", "c.json")
    assert done.returncode == 3
    assert "c.json" in done.stderr
    assert not (tmp_path / "environments").exists()


def test_what_does_not_go_together_is_laid_aside(tmp_path: Path):
    path = tmp_path / "c.json"
    path.write_text(
        '{"Options": {"NFFT": [256]}, "Defaults": {"NfftSingleChannel": 512, "CAxis": {"Min": 5, "Max": 5}}}'
    )
    found = import_settings(path, "x")
    assert found.document["imported"] == {
        "nfft": {"choices": [256], "single_channel": 512},
        "caxis": {"low": 5.0, "high": 5.0},
    }
    assert ("nfft", "single_channel 512 is none of the choices 256") in found.kept


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(sorted(KNOWN)).flatmap(lambda key: st.just(tuple(key.split("."))))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=12), values, min_size=1, max_size=4),
    st.lists(st.tuples(names, values)),
)
def test_whatever_stands_in_the_file_an_environment_comes_out(tmp_path_factory, rest, known):
    """No settings break the import, and what it writes can be read again."""
    document = dict(rest)
    for (above, name), value in known:
        part = document.setdefault(above, {})
        if isinstance(part, dict):
            part[name] = value
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    found = import_settings(path, "any")
    again = yaml.safe_load(written(found))
    assert Environment.model_validate(again) == Environment.model_validate(found.document)


def test_the_guide_lists_every_setting_and_where_it_goes():
    text = GUIDE.read_text()
    _, _, table = text.partition("| setting | becomes |")
    rows = dict(re.findall(r"^\| `([A-Za-z_.]+)` \| `([a-z_.]+)`", table, re.MULTILINE))
    plain = {re.sub(r"[^a-z.]", "", name.lower()): place for name, place in rows.items()}
    assert plain.keys() == KNOWN.keys()
    shown = {"broker": "endpoints.rabbitmq.amqp", "caxis": "display.caxis_db"}
    for key, known in KNOWN.items():
        place = shown.get(known.place.partition("/")[0], known.place.replace("/", "."))
        assert plain[key] == place, key


def test_a_file_that_is_too_long_is_refused(tmp_path: Path):
    path = tmp_path / "c.json"
    path.write_text("[" + " " * (5 * 2**20) + "]")
    with pytest.raises(UsageError, match="longer than 4 MiB"):
        import_settings(path, "x")
