"""What a stack needs: each missing thing is named, with what to do about it."""

import hashlib
import json
import os
import socket

import pytest

from fullspan.doctor import examine
from fullspan.doctor.check import Level
from fullspan.stack import open_stack

NEEDY = """
schema: fullspan/stack/1
name: small
secrets: {word: "env:FULLSPAN_TEST_WORD"}
components:
  reader:
    run: [sleep, "600", "${var}/data/sample.npy"]
    env: {WORD: "${secret.word}"}
  ghost:
    run: [no-such-program-anywhere]
  pythonic:
    run: ["${python}", -m, no_such_package.serve]
  broker:
    run: ["${python}", -m, fullspan.stack.services.rabbitmq]
"""


def checks_of(project, **more):
    found = examine([project.file], project.path, project.var, **more)
    return found, {check.name: check for check in found.checks if check.topic.startswith("stack ")}


def test_a_stack_that_has_all_it_needs(project):
    found, checks = checks_of(project)
    assert {name: check.level for name, check in checks.items()} == dict.fromkeys(("file", "web", "idle"), Level.OK)
    assert checks["idle"].detail.endswith("/sleep")
    assert found.exit_code == 0, found.summary


def test_every_missing_thing_is_told_at_once(project, monkeypatch):
    monkeypatch.setenv("FULLSPAN_TEST_WORD", "a word")
    project.write(NEEDY)
    found, checks = checks_of(project)
    assert found.exit_code == 3
    problems = {name for name, check in checks.items() if check.level is Level.PROBLEM}
    assert problems == {"ghost", "pythonic", "sample.npy"}
    assert "there is no program 'no-such-program-anywhere' on this machine" in checks["ghost"].detail
    assert checks["pythonic"].detail == "the Python of fullspan has no module no_such_package.serve"
    assert f"{project.var}/data/sample.npy is not there, which reader reads" in checks["sample.npy"].detail
    broker = checks["broker: RabbitMQ"]
    version, path = broker.detail.split(", ")
    assert version[0].isdigit()
    assert os.access(path, os.X_OK)
    assert "a word" not in "\n".join(found.lines())


def test_a_missing_secret_is_a_problem(project, monkeypatch):
    monkeypatch.delenv("FULLSPAN_TEST_WORD", raising=False)
    project.write(NEEDY)
    _, checks = checks_of(project)
    assert checks["secrets and ports"].level is Level.PROBLEM
    assert "FULLSPAN_TEST_WORD is not set" in checks["secrets and ports"].detail


def test_a_file_that_cannot_be_meant_is_a_problem_and_does_not_end_the_examination(project):
    project.write("schema: fullspan/stack/1\nname: small\ncomponents: {web: {rum: [sleep]}}\n")
    found, checks = checks_of(project)
    assert checks["file"].level is Level.PROBLEM
    assert "Did you mean 'run'?" in checks["file"].detail
    assert found.checks[-1].name == "clock"


@pytest.mark.parametrize(("content", "level"), [(b"samples", Level.OK), (b"others!", Level.PROBLEM)])
def test_input_data_are_compared_with_what_is_told_of_them(project, monkeypatch, content, level):
    monkeypatch.setenv("FULLSPAN_TEST_WORD", "a word")
    project.write(NEEDY)
    data = project.var / "data"
    data.mkdir(parents=True)
    (data / "sample.npy").write_bytes(content)
    (data / "sample.json").write_text(json.dumps({"sha256": hashlib.sha256(b"samples").hexdigest()}))
    assert checks_of(project)[1]["sample.npy"].level is level


def test_a_well_known_port_in_use_names_its_holder_and_only_if_asked(project):
    with socket.create_server(("127.0.0.1", 19_532)):
        assert not any(name.startswith("port ") for name in checks_of(project)[1])
        found, checks = checks_of(project, fixed_ports=True)
        assert checks["port 19532"].level is Level.PROBLEM
        assert f"(pid {os.getpid()}) listens on it" in checks["port 19532"].detail
        assert found.exit_code == 3
    assert checks_of(project, fixed_ports=True)[1]["port 19532"].detail == "free for web (http)"


def test_a_well_known_port_of_the_stack_itself_is_its_own(project):
    with open_stack(str(project.file), fixed_ports=True):
        check = checks_of(project, fixed_ports=True)[1]["port 19532"]
    assert (check.level, check.detail) == (Level.OK, "held by this stack, which is up")
