"""The audit on a corpus of bad and good tests, and on the suites of this project."""

import json
from pathlib import Path

import pytest

from fullspan.audit import examine
from fullspan.audit.rules import RULES
from fullspan.errors import UsageError
from packages.fullspan.tests.audit.corpus import BAD, GOOD
from packages.fullspan.tests.commands import fullspan_here

ROOT = Path(__file__).parents[4]


def audited(folder: Path, code: str):
    file = folder / "test_it.py"
    file.write_text(code)
    return examine(file).unjustified


@pytest.mark.parametrize(("rule", "code"), BAD.values(), ids=list(BAD))
def test_what_cannot_fail_is_found_by_its_rule_and_by_no_other(tmp_path, rule, code):
    assert [one.rule for one in audited(tmp_path, code)] == [rule]


@pytest.mark.parametrize("code", GOOD.values(), ids=list(GOOD))
def test_what_can_fail_is_left_alone(tmp_path, code):
    assert audited(tmp_path, code) == []


def test_the_corpus_has_something_for_every_rule():
    assert {rule for rule, _ in BAD.values()} == {*RULES, "marker"}
    assert len(BAD) >= 40
    assert len(GOOD) >= 25


def test_a_finding_says_where_what_and_what_to_do(tmp_path):
    [found] = audited(tmp_path, "import time\n\n\ndef test_x(client):\n    time.sleep(5)\n    assert client.done\n")
    assert str(found) == (
        f"{tmp_path}/test_it.py:5: sleep in test_x: time.sleep(5) waits for a time, not for what the test needs. "
        "Wait for the condition, with a deadline."
    )


def test_a_justified_finding_is_kept_with_its_reason(tmp_path):
    (tmp_path / "test_it.py").write_text(GOOD["justified sleep"])
    [found] = examine(tmp_path).suspicions
    assert (found.rule, found.because) == ("sleep", "the fault lasts that long")


def test_fixtures_of_a_conftest_above_are_known(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "conftest.py").write_text("def pytest_x(): ...\n\ndef wait_for_it(x):\n    assert x.done\n")
    suite = tmp_path / "suite"
    suite.mkdir()
    assert audited(suite, "def test_x(wait_for_it, client):\n    wait_for_it(client)\n") == []


@pytest.mark.parametrize(
    "suite",
    [
        "suites/focus",
        "tests",
        pytest.param("packages/fullspan/tests", marks=pytest.mark.soak),
        pytest.param("packages/focus-server/tests", marks=pytest.mark.soak),
        pytest.param("packages/k2/tests", marks=pytest.mark.soak),
        pytest.param("suites/k2", marks=pytest.mark.soak),
    ],
)
def test_no_alarm_on_our_own_suites(suite):
    found = examine(ROOT / suite)
    assert found.tests > 0
    assert [str(one) for one in found.unjustified] == []


def test_the_command_prints_findings_and_ends_with_one(tmp_path):
    (tmp_path / "test_it.py").write_text(
        BAD["sleep"][1] + "\n\n" + BAD["nothing asserted"][1].replace("test_x", "test_y")
    )
    done = fullspan_here(tmp_path, "audit", ".")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == ["sleep in test_x", "no-assertion in test_y"]
    assert lines[2] == "2 tests in 1 files: 2 found, 0 justified."
    document = json.loads(fullspan_here(tmp_path, "audit", ".", "--json").stdout)
    assert [one["line"] for one in document["suspicions"]] == [5, 9]
    (tmp_path / "test_it.py").write_text(GOOD["plain"])
    done = fullspan_here(tmp_path, "audit", ".")
    assert (done.returncode, done.stdout) == (0, "1 tests in 1 files: 0 found, 0 justified.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "There is nothing at nowhere. Give the folder or the file of a pytest suite."),
        (["."], "There is no test in ."),
        (["broken_test.py"], "broken_test.py cannot be read as Python"),
        ([".", "--point", "A={http}"], "Give --run as well."),
        (["plain_test.py", "--run", "--point", "A"], "--point A is not NAME=VALUE."),
    ],
)
def test_mistakes_are_answered_in_a_sentence(tmp_path, words, said):
    if words[0] != ".":
        (tmp_path / "broken_test.py").write_text("def test_x(:\n")
        (tmp_path / "plain_test.py").write_text(GOOD["plain"])
    done = fullspan_here(tmp_path, "audit", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert said in done.stderr


def test_what_is_no_suite_is_refused(tmp_path):
    with pytest.raises(UsageError, match="There is no test"):
        examine(tmp_path)
