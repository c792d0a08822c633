"""Residue that was really planted is found and removed; what lives is not touched."""

import fcntl
import os
import subprocess
import sys

import httpx
import pytest

from fullspan.doctor import examine, find_residue
from fullspan.doctor.check import Level
from fullspan.stack import open_stack
from fullspan.stack.processes import RUN_TAG, look_up, wait_until
from packages.fullspan.tests.doctor.conftest import dead_run_id, is_killed


def residue_of(project, **more):
    found = find_residue(project.var, project.path, **more)
    return [(item.kind, item.detail) for item in found.residue], list(found.left_alone)


def remove_all(project, **more):
    return [item.remove() for item in find_residue(project.var, project.path, **more).residue]


def test_a_project_without_residue_has_none(project):
    assert residue_of(project) == ([], [])
    assert not project.var.exists(), "looking leaves nothing behind either"


def test_a_process_whose_stack_is_gone_is_found_and_killed(project):
    run_id = dead_run_id()
    with project.process(run_id) as stray:
        expected = f"sleep (pid {stray.pid}) of the run {run_id}, whose stack is gone"
        assert residue_of(project) == ([("processes", expected)], [])
        assert remove_all(project) == [f"killed sleep (pid {stray.pid})"]
        assert wait_until(lambda: is_killed(stray), 5)
    assert residue_of(project) == ([], [])


def test_a_dead_stack_is_found_and_removed_with_its_processes_while_its_logs_stay(project):
    run_id = dead_run_id()
    project.plant_dead_stack(run_id)
    (project.run_folder / "logs").mkdir()
    (project.run_folder / "logs" / "web.log").write_text("what it said")
    home = project.run_folder / "components" / "web" / "home"
    with project.process(run_id, cwd="/", home=home) as stray:
        found, notes = residue_of(project)
        assert notes == []
        [(kind, detail)] = found
        assert kind == "run folder"
        assert detail.startswith(f"{project.run_folder} holds state.json, undo.jsonl, components of a stack whose ")
        (done,) = remove_all(project)
        assert done.startswith("removed state.json, undo.jsonl, components")
        assert f"sleep ({stray.pid})" in done
        assert wait_until(lambda: is_killed(stray), 5)
    assert sorted(path.name for path in project.run_folder.iterdir()) == ["lock", "logs"]
    assert (project.run_folder / "logs" / "web.log").read_text() == "what it said"
    assert residue_of(project) == ([], [])


def test_a_stale_state_whose_undo_list_is_lost_still_leads_to_its_processes(project):
    run_id = dead_run_id()
    project.plant_dead_stack(run_id)
    (project.run_folder / "undo.jsonl").unlink()
    with project.process(run_id) as stray:
        assert remove_all(project) == [f"removed state.json, components; killed sleep (pid {stray.pid})"]
        assert wait_until(lambda: is_killed(stray), 5)


@pytest.mark.parametrize("content", ["", "{", '{"schema": 99}'])
def test_a_state_that_cannot_be_read_and_that_nobody_holds_is_residue(project, content):
    project.run_folder.mkdir(parents=True)
    (project.run_folder / "lock").touch()
    (project.run_folder / "state.json").write_text(content)
    [(_, detail)] = residue_of(project)[0]
    assert detail.endswith("holds state.json of a stack that is gone")
    assert remove_all(project) == ["removed state.json"]
    assert not (project.run_folder / "state.json").exists()


def test_a_run_folder_that_no_stack_ever_locked_goes_as_a_whole(project):
    (project.var / "run" / "ghost" / "components" / "web").mkdir(parents=True)
    assert remove_all(project) == ["removed components"]
    assert list((project.var / "run").iterdir()) == []


def test_a_folder_that_somebody_holds_is_left_alone(project):
    """A janitor that still cleans up holds the lock, and so does a stack that just begins."""
    run_id = dead_run_id()
    project.plant_dead_stack(run_id)
    home = project.run_folder / "components" / "web" / "home"
    with (project.run_folder / "lock").open() as lock, project.process(run_id, home=home) as busy:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found, notes = residue_of(project)
        assert found == []
        assert f"{project.run_folder} is in use: its janitor cleans up, or its stack begins or ends" in notes
        assert any("somebody still holds its folder" in note for note in notes)
        everywhere, _ = residue_of(project, everywhere=True)
        assert not any(f"(pid {busy.pid})" in detail for _, detail in everywhere)
        assert look_up(busy.pid) is not None


def test_what_gets_into_use_between_finding_and_removing_is_left_alone(project):
    project.plant_dead_stack(dead_run_id())
    (item,) = find_residue(project.var, project.path).residue
    with (project.run_folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert item.remove() is None
    assert (project.run_folder / "state.json").exists()


def test_a_process_of_another_project_is_left_alone_unless_everywhere(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    home = elsewhere / "var" / "run" / "other" / "components" / "web" / "home"
    with project.process(dead_run_id(), cwd="/") as nobodys, project.process(dead_run_id(), home=home) as theirs:
        assert residue_of(project) == ([], [])
        assert find_residue(project.var, project.path).elsewhere >= 2
        taken_in = " ".join(detail for _, detail in residue_of(project, everywhere=True)[0])
        assert f"(pid {nobodys.pid})" in taken_in
        assert f"(pid {theirs.pid})" in taken_in


def test_what_a_living_process_started_under_a_name_that_no_stack_has_is_left_alone(project):
    """The servers that tests start for themselves have such names."""
    with project.process(f"test-{os.urandom(6).hex()}") as process:
        found, [note] = residue_of(project)
        assert found == []
        assert f"(pid {os.getpid()}) started it and lives" in note
        mine = f"(pid {process.pid})"
        assert mine in note
        everywhere, _ = residue_of(project, everywhere=True)
        assert not any(mine in detail for _, detail in everywhere)


def test_an_orphan_under_a_name_that_no_stack_has_is_residue(project):
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '600'], stdout=-3, stderr=-3, start_new_session=True).pid)"
    )
    environment = {"PATH": os.environ["PATH"], RUN_TAG: f"test-{os.urandom(6).hex()}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=project.path, capture_output=True, text=True, check=True
    )
    orphan = look_up(int(done.stdout))
    assert orphan is not None
    try:
        assert remove_all(project) == [f"killed sleep (pid {orphan.pid})"]
    finally:
        assert wait_until(lambda: look_up(*orphan.identity) is None, 5)


def test_files_that_were_never_finished_are_removed_and_young_ones_are_not(project):
    bundle = project.var / "bundles" / "20200101T000000Z-small"
    bundle.mkdir(parents=True)
    old, young, whole = bundle / "report.html.part", bundle / ".run.json.17.part", bundle / "run.json"
    for path in (old, young, whole):
        path.write_text("{}")
    os.utime(old, (1, 1))
    assert residue_of(project) == ([("unfinished file", f"{old} was never finished")], [])
    assert remove_all(project) == ["removed"]
    assert sorted(path.name for path in bundle.iterdir()) == [".run.json.17.part", "run.json"]


def test_a_living_stack_is_never_touched(project):
    """Not its folder, not its processes, from no project, and not by --fix everywhere."""
    with open_stack(str(project.file)) as stack:
        before = {name: component.pid for name, component in stack.components.items()}
        with project.process(dead_run_id()) as stray:
            elsewhere = project.path / "elsewhere"
            found = find_residue(elsewhere / "var", elsewhere, everywhere=True)
            assert stack.run_id not in " ".join(item.detail for item in found.residue)
            done = examine([], project.path, project.var, fix=True)
            fixed = [check.detail for check in done.checks if check.level is Level.FIXED]
            assert len(fixed) == 1
            assert f"sleep (pid {stray.pid})" in fixed[0]
            assert wait_until(lambda: is_killed(stray), 5)
        # An orphan of an earlier run of the same name goes.
        home = project.run_folder / "components" / "web" / "home"
        with project.process(dead_run_id(), home=home) as orphan:
            assert remove_all(project) == [f"killed sleep (pid {orphan.pid})"]
            assert wait_until(lambda: is_killed(orphan), 5)
        assert {name: component.pid for name, component in stack.components.items()} == before
        assert all(component.state == "ready" for component in stack.components.values())
        port = stack.components["web"].ports["http"]
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
        assert residue_of(project) == ([], [])
        check_that_it_is_not_touched_without_its_state(project, stack, before)


def check_that_it_is_not_touched_without_its_state(project, stack, before):
    """Somebody removed var/ while it was up; only its supervisor still knows of it, and that is told."""
    for name in ("state.json", "lock", "undo.jsonl"):
        (project.run_folder / name).unlink()
    found = examine([], project.path, project.var, fix=True)
    assert not [check for check in found.checks if check.level in (Level.RESIDUE, Level.FIXED)]
    told = [check.detail for check in found.checks if check.name == "left alone"]
    supervisor = stack.state.supervisor.pid
    assert any(f"the supervisor {supervisor} may own them" in detail for detail in told)
    assert any(f"`kill -TERM {supervisor}` takes it down in order" in detail for detail in told)
    assert {name: component.pid for name, component in stack.components.items()} == before
    assert (project.run_folder / "components" / "web").is_dir()
    assert (project.run_folder / "control.sock").exists()
