"""The command line: its commands, its exit codes, and that asking for help imports nothing heavy."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from focus_server.cli import COMMANDS, focus_server, main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command line in this process: how it ends, what it prints and what it complains of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def ran(*arguments):
        monkeypatch.setattr(sys, "argv", ["focus-server", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return SimpleNamespace(code=ended.value.code or 0, **capsys.readouterr()._asdict())

    return ran


def test_version_is_the_installed_one(run):
    ended = run("--version")
    assert (ended.code, ended.out.split()) == (0, ["focus-server,", "version", version("focus-server")])


def test_help_lists_every_command_and_imports_none():
    code = "import sys; from focus_server.cli import main\ntry: main()\nfinally: print(sorted(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    listing, _, modules = ended.stdout.partition("['")
    assert [name for name in COMMANDS if f"\n  {name} " in listing] == list(COMMANDS)
    for heavy in ("fastapi", "numpy", "grpc", "pydantic", "uvicorn", "aio_pika"):
        assert f"'{heavy}'" not in modules


def test_a_server_and_an_analyzer_load_only_what_they_use_and_collect_nothing_meanwhile():
    code = """if True:
        import gc, sys, click
        from focus_server.cli import focus_server
        for name in ("serve", "analyze"):
            before = gc.get_stats()
            focus_server.get_command(click.Context(focus_server), name)
            print(gc.isenabled(), gc.get_stats()[1:] == before[1:])
            print([module for module in ("numpy", "scipy", "pymongo", "rich", "pygments") if module in sys.modules])
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines() == ["True True", "[]", "True True", "['numpy']"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(focus_server, [command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: focus-server {command} [OPTIONS]" in result.output
    examples = result.output.partition("\n  Examples:\n")[2].splitlines()
    assert [line for line in examples if f"focus-server {command}" in line]
    for words in (shlex.split(line) for line in examples if "focus-server" in line):
        name, *arguments = words[words.index("focus-server") + 1 :]
        options = {option for parameter in load(name).params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("-")} <= options, words


def load(name):
    return focus_server.get_command(click.Context(focus_server), name)


def test_the_help_of_all_begins_with_examples_of_commands_that_there_are():
    output = CliRunner().invoke(focus_server, ["--help"]).output
    lines = [line.split() for line in output.partition("Examples")[2].splitlines() if "focus-server" in line]
    assert [line[1] for line in lines] == ["sample", "replay", "analyze", "serve"]


@pytest.mark.parametrize("arguments", [["bogus"], ["--bogus"], ["serve", "--bogus"], ["serve", "--port", "99999"]])
def test_wrong_usage_ends_with_3(run, arguments):
    ended = run(*arguments)
    assert ended.code == 3
    assert "Error: " in ended.err


def test_config_tells_values_and_origins_and_no_secret(run, tmp_path, monkeypatch):
    (tmp_path / "focus.toml").write_text("port = 6001\n")
    monkeypatch.setenv("FOCUS_AMQP_URL", "amqp://me:hush@127.0.0.1/")
    monkeypatch.setenv("FOCUS_ALLOWED_HOSTS", "a.example,b.example")
    ended = run("config")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["port", "6001", "(focus.toml)"] in lines
    assert ["allowed_hosts", "a.example,b.example", "(environment", "FOCUS_ALLOWED_HOSTS)"] in lines
    assert ["host", "127.0.0.1", "(default)"] in lines
    assert "hush" not in ended.out
    assert [line[0] for line in lines if line and line[0].startswith("[")] == ["[serve]", "[analyze]", "[replay]"]


def test_an_unknown_key_in_the_settings_file_names_the_nearest(tmp_path):
    """As a whole process, which shows that the module runs and how it ends."""
    (tmp_path / "focus.toml").write_text("allowed_host = 'x'\n")
    ended = subprocess.run(
        [sys.executable, "-m", "focus_server", "config"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr == "focus-server: allowed_host in focus.toml is not a setting; did you mean allowed_hosts?\n"
