"""The null run: a suite against a server that does nothing useful, as a user starts it."""

import json
from pathlib import Path

import httpx
import pytest

from fullspan.audit import run_against_null
from fullspan.audit.null_server import Mood, NullServer
from packages.fullspan.tests.commands import fullspan

SUITE = """\
import json
import os
import urllib.error
import urllib.request

import pytest

URL = os.environ["API_URL"]


def get(path):
    with urllib.request.urlopen(URL + path, timeout=5) as answer:
        return answer.status, json.loads(answer.read())


def status(path):
    try:
        return get(path)[0]
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_that_can_fail():
    assert get("/version") == (200, {"version": 3})


def test_that_cannot_fail():
    assert status("/version") < 600


def test_that_swallows():
    try:
        assert get("/version")[1]["version"] == 3
    except Exception:
        pass


def test_content_with_any_agreement():
    assert get("/version")[0] == 200


def test_of_a_refusal():
    assert status("/nonsense") == 500


def test_that_asks_nobody():
    assert 1 + len(URL) > 3


@pytest.mark.skip(reason="not today")
def test_skipped():
    assert status("/version") < 600


def test_left_out():
    assert status("/version") < 600


@pytest.mark.xfail
def test_expected_to_fail():
    assert get("/version") == (200, {"version": 3})
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite in a folder of its own; what else is installed for pytest here would cost a second a run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    file = tmp_path / "test_api.py"
    file.write_text(SUITE)
    return file


def test_what_passes_in_every_mood_cannot_fail(suite):
    words = ("audit", "test_api.py", "--run", "--json", "--point", "API_URL={http}", "--", "-k", "not left_out")
    done = fullspan(suite.parent, *words)
    assert done.returncode == 1, done.stderr
    assert all(str(mood) in done.stderr for mood in Mood), "it tells what it does"
    document = json.loads(done.stdout)
    ran = document["null_run"]
    found = [(one["test"].rpartition("::")[2], one["line"]) for one in ran["suspicions"]]
    assert found == [("test_that_cannot_fail", 29), ("test_that_swallows", 33)]
    assert {test.rpartition("::")[2]: moods for test, moods in ran["content_with"].items()} == {
        "test_content_with_any_agreement": ["agrees to everything"],
        "test_of_a_refusal": ["fails at everything"],
    }
    assert (ran["tests"], ran["reached"], ran["unfinished"]) == (8, 6, [])
    assert [one["rule"] for one in document["suspicions"]] == ["swallowed"]


@pytest.mark.soak
def test_a_run_that_takes_too_long_is_cut_off_and_says_so(suite):
    suite.write_text("import time\n\n\ndef test_x():\n    time.sleep(60)\n    assert f() == 3\n")
    ran = run_against_null(suite, {}, [], 1, lambda _what: None)
    assert ran.unfinished == [str(mood) for mood in Mood]
    assert ran.suspicions == []
    assert any("was cut off" in line for line in ran.summary())
    assert ran.summary()[0] == "0 of 0 tests asked the null server; 0 of them passed whatever it did."


def test_a_suite_that_pytest_cannot_run_is_told(suite):
    done = fullspan(suite.parent, "audit", "test_api.py", "--run", "--", "--no-such-option")
    assert done.returncode == 3
    assert "pytest could not run test_api.py" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("mood", "status"), [(Mood.AGREES, 200), (Mood.FAILS, 500), (Mood.HANGS_UP, None)])
def test_the_null_server_does_what_its_mood_is(mood, status):
    with NullServer(mood) as server:
        address = f"http://127.0.0.1:{server.port}/x"
        if status is None:
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(address)
        else:
            answer = httpx.post(address, json={"a": 1})
            assert (answer.status_code, answer.json()) == (status, {})
        assert server.asked == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
