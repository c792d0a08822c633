"""The guide to a system of one's own: its files are run as they stand there, on the real foreign system."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fullspan.bundle import Bundle
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import environment, fullspan_here

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "adopt.md"
FILES = ("stacks/queue.yaml", "suites/queue/client.py", "suites/queue/test_queue.py")
CONFIG = '[tool.pytest.ini_options]\naddopts = "-p no:schemathesis -p no:hypothesispytest"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    text = GUIDE.read_text()
    for name in FILES:
        assert f"`{name}`" in text
        block = re.search(r"```(?:yaml|python)\n(.*?)```", text[text.index(f"`{name}`") :], re.DOTALL)
        assert block is not None
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block[1])
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize(("profile", "verdict"), [(None, Verdict.PASS), ("forgetful", Verdict.FAIL)])
def test_the_queue_is_proven_and_without_its_log_found_wanting(project: Path, profile: str | None, verdict: Verdict):
    options = ["--profile", profile] if profile else []
    done = subprocess.run(
        [sys.executable, "-m", "fullspan", "run", "queue", *options],
        cwd=project, env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == (0 if verdict is Verdict.PASS else 1), done.stdout + done.stderr
    [folder] = (project / "var" / "bundles").iterdir()
    [test] = Bundle(folder).results().tests
    [fault] = test.faults
    assert (test.verdict, fault.kind, fault.verdict) == (verdict, "kill", Verdict.PASS)
    last = done.stdout.rstrip().splitlines()[-1]
    shown = [line.strip() for line in GUIDE.read_text().splitlines()]
    if verdict is Verdict.PASS:
        assert last == "PASS - 1 passed"
        assert [finding.n for finding in test.findings] == [1000, 1000]
    else:
        assert [finding.first_bad_hop for finding in test.findings if finding.verdict is verdict] == ["delivered"]
        assert "no loss: 500 missing of 500 at delivered" in last
        told = fullspan_here(project, "explain", "job/0").stdout.splitlines()
        wrong = [line.strip() for line in told if "delivered" in line]
        assert len(wrong) == 3
        assert set(wrong) <= set(shown), "the guide shows what is explained"
    assert any(line and last.startswith(line.rstrip(";")) for line in shown), "the guide shows what is printed"


def test_the_readme_has_the_same_ten_lines():
    """What the README shows is what the guide runs."""
    guide, readme = GUIDE.read_text(), (ROOT / "README.md").read_text()
    start = guide.index("def test_what_was_accepted")
    lines = guide[start : guide.index("```", start)].rstrip().splitlines()
    assert len(lines) == 1 + 10
    assert "\n".join(f"    {line}".rstrip() for line in lines) in readme
