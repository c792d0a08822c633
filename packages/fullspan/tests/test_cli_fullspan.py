"""The command line, as a person or a script meets it: its output, its exit codes, its words for mistakes."""

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fullspan import __version__
from fullspan.cli import cli
from packages.fullspan.tests.commands import Done, environment, fullspan, fullspan_here

STACK = """\
schema: fullspan/stack/1
name: small
secrets: {password: random}
components:
  web:
    run: ["${python}", -m, http.server, --bind, 127.0.0.1, "${self.http}"]
    ports: {http: }
    ready: {http: "http://127.0.0.1:${self.http}/", timeout_s: 60}
  talker:
    run: [sh, -c, "echo first; echo second; exec sleep 600"]
    ready: {log: second}
endpoints:
  web.http: "http://me:${secret.password}@127.0.0.1:${web.http}/"
"""
TALKER = """\
schema: fullspan/stack/1
name: small
components:
  talker:
    run: [sh, -c, "echo first; echo second; exec sleep 600"]
    ready: {log: second}
"""


@dataclass(frozen=True)
class Project:
    """A folder with one stack, and commands in it."""

    path: Path

    def write(self, stack: str, name: str = "small") -> None:
        file = self.path / "stacks" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(stack)

    def run(self, *words: str, **more: str) -> Done:
        return fullspan_here(self.path, *words, **more)

    @property
    def state_file(self) -> Path:
        return self.path / "var" / "run" / "small" / "state.json"

    def state(self) -> dict[str, Any]:
        state = json.loads(self.state_file.read_text())
        assert isinstance(state, dict)
        return state


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write(STACK)
    return made


@dataclass(frozen=True)
class UpProject(Project):
    """A project whose stack is up, and what was said when it came up."""

    said: Done


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProject]:
    """Bring the stack up by a command in a process of its own; the tests only look at it."""
    path = tmp_path_factory.mktemp("up")
    Project(path).write(STACK)
    made = UpProject(path, fullspan(path, "up", "small", "--detach"))
    yield made
    done = fullspan(path, "down")
    assert (done.returncode, done.stdout) == (0, "small is down.\n")
    assert "web: stopped after" in done.stderr


def test_up_says_what_it_does_and_where_everything_is(up: UpProject):
    assert up.said.returncode == 0, up.said.stderr
    [address] = up.said.stdout.splitlines()
    assert address.startswith("web.http  http://me:***@127.0.0.1:")
    said = [line.split(" s  ", 1)[-1] for line in up.said.stderr.splitlines()]
    assert any(line.startswith("web: started, pid ") for line in said)
    assert any(line.startswith("web: ready after ") for line in said)
    assert any(line.startswith("stack small is up after ") for line in said)
    if os.geteuid() == 0:
        assert "runs as root: talker: sh -c echo first; echo second; exec sleep 600" in said


def test_status_shows_components_and_addresses_without_passwords(up: UpProject):
    status = up.run("status", "small")
    assert status.returncode == 0
    assert status.stdout.startswith("small: ready, began ")
    rows = {row[0]: row for row in (line.split() for line in status.stdout.splitlines()) if row}
    web = up.state()["components"]["web"]
    assert rows["web"][1:3] == ["ready", str(web["pid"])]
    assert rows["web"][-2:] == ["http", str(web["ports"]["http"])]
    assert rows["web.http"][1].startswith("http://me:***@127.0.0.1:")

    shown = json.loads(up.run("status", "--json").stdout)
    assert [stack["name"] for stack in shown] == ["small"]
    one = json.loads(up.run("status", "small", "--json").stdout)
    assert one["components"]["talker"]["state"] == "ready"
    assert one["components"]["web"]["uptime_s"] >= 0
    assert "***" in one["endpoints"]["web.http"]


def test_logs_of_one_component_and_of_all(up: UpProject):
    assert up.run("logs", "small", "talker").stdout == "first\nsecond\n"
    assert "talker: first\n" in up.run("logs").stdout
    wrong = up.run("logs", "small", "tolker")
    assert (wrong.returncode, "Did you mean 'talker'?" in wrong.stderr) == (3, True)


def test_what_is_up_is_not_brought_up_again(up: UpProject):
    again = up.run("up", "small")
    assert again.returncode == 3
    assert again.stderr.endswith(
        "is already up (supervisor pid "
        f"{up.state()['supervisor']['pid']}). `fullspan status small` shows it, `fullspan down small` ends it.\n"
    )
    assert up.state()["phase"] == "ready"


def test_a_stack_is_taken_down_its_followers_end_and_its_logs_stay(project: Project):
    project.write(TALKER)
    assert project.run("up", "--detach").returncode == 0
    follower = subprocess.Popen(
        [sys.executable, "-m", "fullspan", "logs", "small", "talker", "--follow"],
        cwd=project.path, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(2)] == ["first\n", "second\n"]
        with (project.path / "var/run/small/logs/talker.log").open("a") as log:
            log.write("third\n")
        assert follower.stdout.readline() == "third\n"
    finally:
        down = project.run("down", "small")
        rest = follower.communicate(timeout=20)[0]
    assert (down.returncode, down.stdout) == (0, "small is down.\n")
    assert "talker: stopped after" in down.stderr
    assert (rest, follower.returncode) == ("", 0)

    after = project.run("status", "small")
    assert (after.returncode, after.stdout) == (3, "small: not up\n")
    assert project.run("status").stdout == "No stack is up.\n"
    assert project.run("logs", "small", "talker").stdout == "first\nsecond\nthird\n", "logs stay"
    twice = project.run("down", "small")
    assert (twice.returncode, twice.stderr.startswith("fullspan: Stack 'small' is not up.")) == (3, True)
    assert project.run("down", "--all").stdout == "No stack is up.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stauts"], "There is no command 'stauts'. Did you mean 'status'?"),
        (["up", "smal"], "There is no stack 'smal'"),
        (["up", "smal"], "Did you mean 'small'?"),
        (["up", "--profil", "x"], "No such option"),
        (["up", "--profile", "x"], "has no profile 'x'. There is none."),
        (["up", "other.yaml"], "There is no stack file other.yaml."),
        (["schema", "stak"], "Invalid value"),
        (["config", "--config", "nowhere.toml"], "nowhere.toml cannot be read: No such file or directory."),
        (["logs", "small"], "There are no logs of stack 'small'. It has not been up here."),
        (["down", "small"], "Stack 'small' is not up."),
    ],
)
def test_mistakes_are_answered_in_a_sentence(project: Project, words: list[str], said: str):
    done = project.run(*words)
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_mistake_ends_the_process_with_its_code(project: Project):
    done = fullspan(project.path, "stauts")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "fullspan: There is no command 'stauts'. Did you mean 'status'?\n"


def test_a_stack_must_be_named_when_there_are_several(project: Project):
    project.write(STACK.replace("small", "other"), "other")
    done = project.run("up")
    assert done.returncode == 3
    assert "Which stack is meant? Name one of: other, small." in done.stderr


def test_a_component_that_dies_is_quoted(project: Project):
    project.write(TALKER.replace("exec sleep 600", "echo the cause; exit 7").replace("log: second", "log: never"))
    done = project.run("up")
    assert done.returncode == 3
    words = textwrap.dedent("""\
        fullspan: Component 'talker' died: exit code 7. Its last log lines:
            first
            second
            the cause""")
    assert words in done.stderr
    assert not project.state_file.exists()


def test_a_missing_broker_names_its_package(project: Project):
    broker = 'run: ["${python}", -m, fullspan.stack.services.rabbitmq]'
    project.write(f"schema: fullspan/stack/1\nname: small\ncomponents:\n  broker:\n    {broker}\n")
    hidden = project.path / "hidden"
    hidden.mkdir()
    code = (
        "from fullspan.stack.services import rabbitmq\n"
        "from fullspan.stack.services.executables import Executable\n"
        "rabbitmq.RABBITMQ = Executable('RabbitMQ', 'X', ('/nowhere/rabbitmq-server',), (), 'rabbitmq-server')\n"
    )
    (hidden / "sitecustomize.py").write_text(code)
    done = project.run("up", PYTHONPATH=str(hidden))
    assert done.returncode == 3
    assert "Component 'broker' cannot start: RabbitMQ is not installed" in done.stderr
    assert "On Debian: apt-get install rabbitmq-server" in done.stderr


def test_a_port_in_use_names_its_holder(project: Project):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        project.write(STACK.replace("{http: }", f"{{http: {{fixed: {port}}}}}"))
        done = project.run("up", "--fixed-ports")
    assert done.returncode == 3
    assert f"Port {port}, which component 'web' (http) needs, cannot be used: " in done.stderr
    assert f"(pid {os.getpid()}) listens on it." in done.stderr


def test_schema_version_and_help(project: Project):
    schema = json.loads(project.run("schema", "stack").stdout)
    assert schema["properties"]["schema"]["const"] == "fullspan/stack/1"
    assert project.run("--version").stdout == f"fullspan, version {__version__}\n"
    shown = project.run("--help").stdout
    for word in ("up", "status", "logs", "down", "run", "doctor", "schema", "config"):
        assert f"\n  {word} " in shown
    assert "Exit codes" in shown.replace("Exit\n  codes", "Exit codes")
    assert "--fixed-ports" in project.run("up", "-h").stdout


def test_each_command_is_listed_with_a_whole_sentence_on_one_line(project: Project):
    for words, known in (([], {*cli.commands, "run", "env"}), (["env"], {"list", "show", "import"})):
        shown = project.run(*words, "--help", COLUMNS="80").stdout.partition("\nCommands:\n")[2].splitlines()
        listed = [re.fullmatch(r"  ([a-z]+) +([A-Z][^.]*\.)", line) for line in shown]
        assert all(listed), shown
        assert {found[1] for found in listed if found} == known
        assert max(map(len, shown)) <= 80


def test_config_shows_values_and_their_origin(project: Project):
    shown = project.run("config", FULLSPAN_VAR="/state").stdout.splitlines()
    assert "var = /state    [environment]" in shown
    assert "chromium_executable = (none)    [default]" in shown


def test_an_interrupt_inside_an_import_is_not_lost(tmp_path: Path):
    """Python swallows an exception that comes in the import system's own clean-up."""
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\ndone = True\n")
    (tmp_path / "user.py").write_text(
        "import time\n"
        "from fullspan.cli import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        import slow\n"
        "    except KeyboardInterrupt:\n"
        "        raise SystemExit('inside the import')\n"
        "    try:\n"
        "        time.sleep(30)\n"
        "    except KeyboardInterrupt:\n"
        "        print('after it', slow.done)\n"
    )
    done = subprocess.run(
        [sys.executable, "user.py"], cwd=tmp_path, capture_output=True, text=True, timeout=25, check=False
    )
    assert (done.stdout, done.returncode) == ("after it True\n", 0), done.stderr
