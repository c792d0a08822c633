"""`fullspan doctor` as a person or a script meets it."""

import json

import pytest

from fullspan.stack.processes import wait_until
from packages.fullspan.tests.commands import fullspan, fullspan_here
from packages.fullspan.tests.doctor.conftest import dead_run_id, is_killed


@pytest.fixture
def doctor(project):
    def run(*words):
        return fullspan_here(project.path, "doctor", *words)

    return run


def test_it_finds_what_was_planted_removes_it_and_is_content(doctor, project):
    run_id = dead_run_id()
    project.plant_dead_stack(run_id)
    with project.process(run_id) as first, project.process(dead_run_id()) as second:
        found = doctor("small")
        assert found.returncode == 1, found.stdout
        assert "residue  run folder" in found.stdout
        assert f"sleep (pid {second.pid})" in found.stdout
        assert found.stdout.rstrip().endswith("--fix removes what is left.")
        assert "2 residues" in found.stdout.splitlines()[-1]
        assert first.poll() is None
        assert second.poll() is None
        fixed = doctor("small", "--fix")
        assert fixed.returncode == 0, fixed.stdout
        assert "2 residues removed" in fixed.stdout.splitlines()[-1]
        assert wait_until(lambda: is_killed(first) and is_killed(second), 5)
    again = fullspan(project.path, "doctor", "small", "--json")
    assert again.returncode == 0
    told = json.loads(again.stdout)
    assert told["exit_code"] == 0
    assert {check["level"] for check in told["checks"]} <= {"ok", "warning"}
    assert sorted(path.name for path in project.run_folder.iterdir()) == ["lock"]


def test_what_is_missing_ends_with_3_even_beside_residue(doctor, project):
    project.plant_dead_stack(dead_run_id())
    project.write("schema: fullspan/stack/1\nname: small\ncomponents: {web: {run: [no-such-program]}}\n")
    found = doctor()
    assert found.returncode == 3
    assert "problem  web" in found.stdout
    assert "-> Install it, or give its full path in `run`." in found.stdout
    assert "1 problem, 1 residue" in found.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["smal"], "Did you mean 'small'?"), (["--profil", "x"], "No such option"), (["small", "x"], "unexpected extra")],
)
def test_mistakes_are_answered_in_a_sentence(doctor, words, said):
    done = doctor(*words)
    assert done.returncode == 3
    assert said in done.stderr


def test_without_a_project_the_machine_is_looked_at(doctor, project):
    project.file.unlink()
    found = doctor()
    assert found.returncode == 0, found.stdout
    assert "memory" in found.stdout
