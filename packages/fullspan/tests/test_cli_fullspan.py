"""The command line, as a person or a script meets it: its output, its exit codes, its words for mistakes."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullspan import __version__

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
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "small.yaml").write_text(STACK)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    """Run a command in the project."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FULLSPAN_")}

    def run(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "fullspan", *words],
            cwd=project, env=environment | more, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run


@pytest.fixture
def up(run: Run) -> Iterator[Run]:
    """Bring the stack up in the background, and take it down afterwards."""
    done = run("up", "--detach")
    assert done.returncode == 0, done.stderr
    yield run
    run("down", "--all")


def test_a_stack_from_up_to_down(up: Run, project: Path):
    status = up("status", "small")
    assert status.returncode == 0
    assert status.stdout.startswith("small: ready, began ")
    rows = {row[0]: row for row in (line.split() for line in status.stdout.splitlines()) if row}
    state = json.loads((project / "var/run/small/state.json").read_text())
    assert rows["web"][1:3] == ["ready", str(state["components"]["web"]["pid"])]
    assert rows["web"][-2:] == ["http", str(state["components"]["web"]["ports"]["http"])]
    assert rows["web.http"][1].startswith("http://me:***@127.0.0.1:")

    shown = json.loads(up("status", "--json").stdout)
    assert [stack["name"] for stack in shown] == ["small"]
    one = json.loads(up("status", "small", "--json").stdout)
    assert one["components"]["talker"]["state"] == "ready"
    assert one["components"]["web"]["uptime_s"] >= 0
    assert "***" in one["endpoints"]["web.http"]

    assert up("logs", "small", "talker").stdout == "first\nsecond\n"
    assert "talker: first\n" in up("logs").stdout
    wrong = up("logs", "small", "tolker")
    assert (wrong.returncode, "Did you mean 'talker'?" in wrong.stderr) == (3, True)

    again = up("up", "small")
    assert again.returncode == 3
    assert again.stderr.endswith(
        "is already up (supervisor pid "
        f"{state['supervisor']['pid']}). `fullspan status small` shows it, `fullspan down small` ends it.\n"
    )

    down = up("down", "small")
    assert (down.returncode, down.stdout) == (0, "small is down.\n")
    assert "web: stopped after" in down.stderr
    after = up("status", "small")
    assert (after.returncode, after.stdout) == (3, "small: not up\n")
    assert up("status").stdout == "No stack is up.\n"
    assert up("logs", "small", "talker").stdout == "first\nsecond\n", "logs stay"
    twice = up("down", "small")
    assert (twice.returncode, twice.stderr.startswith("fullspan: Stack 'small' is not up.")) == (3, True)
    assert up("down", "--all").stdout == "No stack is up.\n"


def test_up_says_what_it_does_and_where_everything_is(run: Run):
    done = run("up", "small", "--detach")
    try:
        [address] = done.stdout.splitlines()
        assert address.startswith("web.http  http://me:***@127.0.0.1:")
        said = [line.split(" s  ", 1)[-1] for line in done.stderr.splitlines()]
        assert any(line.startswith("web: started, pid ") for line in said)
        assert any(line.startswith("web: ready after ") for line in said)
        assert any(line.startswith("stack small is up after ") for line in said)
        if os.geteuid() == 0:
            assert "runs as root: talker: sh -c echo first; echo second; exec sleep 600" in said
    finally:
        assert run("down").returncode == 0


def test_logs_are_followed_until_the_stack_is_down(up: Run, project: Path):
    follower = subprocess.Popen(
        [sys.executable, "-m", "fullspan", "logs", "small", "talker", "--follow"],
        cwd=project, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in range(2)] == ["first\n", "second\n"]
    with (project / "var/run/small/logs/talker.log").open("a") as log:
        log.write("third\n")
    assert follower.stdout.readline() == "third\n"
    up("down")
    assert follower.communicate(timeout=20)[0] == ""
    assert follower.returncode == 0


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
def test_mistakes_are_answered_in_a_sentence(run: Run, words: list[str], said: str):
    done = run(*words)
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_stack_must_be_named_when_there_are_several(run: Run, project: Path):
    (project / "stacks" / "other.yaml").write_text(STACK.replace("small", "other"))
    done = run("up")
    assert done.returncode == 3
    assert "Which stack is meant? Name one of: other, small." in done.stderr


def test_a_component_that_dies_is_quoted(run: Run, project: Path):
    file = project / "stacks" / "small.yaml"
    file.write_text(STACK.replace("exec sleep 600", "echo the cause; exit 7").replace("log: second", "log: never"))
    done = run("up")
    assert done.returncode == 3
    words = textwrap.dedent("""\
        fullspan: Component 'talker' died: exit code 7. Its last log lines:
            first
            second
            the cause""")
    assert words in done.stderr
    assert not (project / "var/run/small/state.json").exists()


def test_a_missing_broker_names_its_package(run: Run, project: Path):
    broker = 'run: ["${python}", -m, fullspan.stack.services.rabbitmq]'
    (project / "stacks" / "small.yaml").write_text(
        f"schema: fullspan/stack/1\nname: small\ncomponents:\n  broker:\n    {broker}\n"
    )
    hidden = project / "hidden"
    hidden.mkdir()
    code = (
        "from fullspan.stack.services import rabbitmq\n"
        "from fullspan.stack.services.executables import Executable\n"
        "rabbitmq.RABBITMQ = Executable('RabbitMQ', 'X', ('/nowhere/rabbitmq-server',), (), 'rabbitmq-server')\n"
    )
    (hidden / "sitecustomize.py").write_text(code)
    done = run("up", PYTHONPATH=str(hidden))
    assert done.returncode == 3
    assert "Component 'broker' cannot start: RabbitMQ is not installed" in done.stderr
    assert "On Debian: apt-get install rabbitmq-server" in done.stderr


def test_a_port_in_use_names_its_holder(run: Run, project: Path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        (project / "stacks" / "small.yaml").write_text(STACK.replace("{http: }", f"{{http: {{fixed: {port}}}}}"))
        done = run("up", "--fixed-ports")
    assert done.returncode == 3
    assert f"Port {port}, which component 'web' (http) needs, cannot be used: " in done.stderr
    assert f"(pid {os.getpid()}) listens on it." in done.stderr


def test_schema_version_and_help(run: Run):
    schema = json.loads(run("schema", "stack").stdout)
    assert schema["properties"]["schema"]["const"] == "fullspan/stack/1"
    assert run("--version").stdout == f"fullspan, version {__version__}\n"
    shown = run("--help").stdout
    for word in ("up", "status", "logs", "down", "run", "doctor", "schema", "config"):
        assert f"\n  {word} " in shown
    assert "Exit codes" in shown.replace("Exit\n  codes", "Exit codes")
    assert "--fixed-ports" in run("up", "-h").stdout


def test_config_shows_values_and_their_origin(run: Run):
    shown = run("config", FULLSPAN_VAR="/state").stdout.splitlines()
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
