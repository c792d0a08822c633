"""The command line: bring a stack up, look at it, take it down, and run a suite on it."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, Final

import click

from fullspan import __version__
from fullspan.errors import FullspanError, UsageError, nearest

__all__ = ["cli", "main"]

INTERRUPTED: Final = 130
USAGE: Final = 3
AGAIN_S: Final = 0.05
COMMANDS: Final[Mapping[str, str]] = MappingProxyType({
    "up": "Bring a stack up, and take it down when this command ends.",
    "status": "Show the components of a stack, and its addresses.",
    "logs": "Print what the components of a stack have logged.",
    "down": "Take a stack down, or remove what a dead one has left.",
    "run": "Bring a stack up, run a suite on it, and write the report.",
    "doctor": "Look whether stacks can come up, and what runs have left.",
    "explain": "Show where every hop of a run saw one record.",
    "selftest": "Plant defects, and see whether each is found for what it is.",
    "audit": "Find what cannot fail in a pytest suite.",
    "report": "Write the report of a run anew.",
    "diff": "Compare two runs: verdicts, latencies, recoveries, figures.",
    "shrink": "Find the faults without which a failing schedule passes.",
    "schema": "Print the JSON Schema of a file that people write.",
    "config": "Print the settings in force, and where each comes from.",
    "env": "List environments, show one, or import one.",
})  # fmt: skip
"""The commands in the order in which a user meets them, each in a sentence that fits on a line of 80 characters."""


class Commands(click.Group):
    """All commands; `run` and `env` are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; the pytest machinery of `run` costs the others nothing."""
        if cmd_name == "run":
            command = import_module("fullspan.run").run
            assert isinstance(command, click.Command)  # noqa: S101 - a programming error, not input
            return command
        if cmd_name == "env":
            from fullspan.environment.command import env

            return env
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with one line each."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise UsageError(f"There is no command {args[0]!r}.", nearest(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


class Progress:
    """Prints what happens, with the seconds since the command began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, event: Any) -> None:
        """Print one event of a stack."""
        click.echo(f"{time.monotonic() - self._began:6.1f} s  {event.what}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fullspan")
def cli() -> None:
    """Prove a streaming system end to end: bring its stack up, break it on purpose, and see what arrives.

    A stack is a file, stacks/NAME.yaml, found from the current folder upwards. All run-time state lies below var/
    beside it, or below $FULLSPAN_VAR. Exit codes: 0 pass, 1 fail, 2 inconclusive, 3 usage or set-up, 130 interrupted.
    """


def stack_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument that names a stack."""
    return click.argument("stack", required=False)(function)


@cli.command()
@stack_argument
@click.option("--profile", help="Overrides of the stack file to apply.")
@click.option("--env", help="The environment: environments/NAME.yaml, or a file.")
@click.option("--fixed-ports", is_flag=True, help="Use the well-known ports of the stack file, not free ones.")
@click.option("--detach", is_flag=True, help="Return when the stack is up; `fullspan down` ends it.")
def up(stack: str | None, profile: str | None, env: str | None, fixed_ports: bool, detach: bool) -> None:
    """Bring STACK (a name, or a file) up, and take it down on Ctrl-C, or however this command ends."""
    from fullspan.stack import open_stack

    named = stack or the_only_stack()
    with open_stack(named, profile, env=env, fixed_ports=fixed_ports, detach=detach, on_event=Progress()) as running:
        state = running.state
        print_addresses(state.direct_endpoints if fixed_ports else state.endpoints)
        if detach:
            click.echo(f"It stays up. `fullspan status {named}` shows it, `fullspan down {named}` ends it.", err=True)
        else:
            click.echo("Ctrl-C takes it down.", err=True)
            running.wait_until_down()


@cli.command()
@stack_argument
@click.option("--all", "every", is_flag=True, help="Take down every stack of this project.")
def down(stack: str | None, every: bool) -> None:
    """Take STACK down, or remove what one that died has left."""
    from fullspan.stack.bring_up import take_down
    from fullspan.stack.handle import find_run_folder, run_folders

    folders = list(run_folders()) if every else [find_run_folder(stack or the_only_stack())]
    for folder in folders:
        take_down(folder, Progress())
        click.echo(f"{folder.name} is down.")
    if not folders:
        click.echo("No stack is up.")


@cli.command()
@stack_argument
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON, passwords masked.")
def status(stack: str | None, as_json: bool) -> None:
    """Show the components of STACK: state, pid, ports, uptime, and the addresses. Exit code 3 when it is not up."""
    from fullspan.stack.handle import find_run_folder, run_folders
    from fullspan.stack.status import describe, masked_state

    folders = [find_run_folder(stack)] if stack else list(run_folders())
    if as_json:
        states = [masked_state(folder) for folder in folders]
        click.echo(json.dumps(states[0] if stack else [state for state in states if state], indent=1))
    else:
        click.echo("\n\n".join(describe(folder) for folder in folders) or "No stack is up.")
    if stack and not masked_state(folders[0]):
        sys.exit(USAGE)


@cli.command()
@click.argument("stack", required=False)
@click.argument("component", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the stack is down.")
def logs(stack: str | None, component: str | None, follow: bool) -> None:
    """Print the logs of STACK, of all components or one. They stay after the stack has gone."""
    from fullspan.stack.handle import find_run_folder
    from fullspan.stack.logs import follow as follow_logs
    from fullspan.stack.state import read_state

    folder = find_run_folder(stack or the_only_stack())
    found = {log.stem: log for log in sorted((folder.path / "logs").glob("*.log"))}
    if not found:
        raise UsageError(f"There are no logs of stack {folder.name!r}.", "It has not been up here.")
    if component and component not in found:
        raise UsageError(f"There is no log of a component {component!r}.", nearest(component, found))

    def still_up() -> bool:
        state = read_state(folder.state) if follow else None
        return state is not None and state.supervisor.alive

    for name, line in follow_logs({component: found[component]} if component else found, still_up):
        click.echo(line if component else f"{name}: {line}")


@cli.command()
@stack_argument
@click.option("--profile", help="Look at what this profile of the stack needs.")
@click.option("--env", help="Look at what this environment needs, and the stack in it.")
@click.option("--fixed-ports", is_flag=True, help="Look whether the well-known ports of the stack file are free.")
@click.option("--fix", is_flag=True, help="Remove what earlier runs have left; nothing that lives is touched.")
@click.option("--everywhere", is_flag=True, help="Take in stray processes of other projects of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def doctor(
    stack: str | None,
    profile: str | None,
    env: str | None,
    fixed_ports: bool,
    fix: bool,
    everywhere: bool,
    as_json: bool,
) -> None:
    """Look whether STACK can come up on this machine, and for what earlier runs have left.

    Without STACK all stacks of the project are looked at. Exit code 3 when something is missing that a stack needs,
    else 1 when there is residue, else 0.
    """
    from fullspan.doctor import examine
    from fullspan.stack.load import find_stack_file, project_here, project_of, stack_names

    files = [find_stack_file(name) for name in ([stack] if stack else stack_names())]
    if profile and len(files) != 1:
        raise UsageError("Which stack has this profile?", "Name the stack.")
    project = project_of(files[0]) if files else project_here()
    from fullspan.settings import Settings

    var = Settings.load().var_of(project)
    found = examine(
        files, project, var, profile=profile, env=env, fixed_ports=fixed_ports, fix=fix, everywhere=everywhere
    )  # fmt: skip
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else "\n".join(found.lines()))
    sys.exit(found.exit_code)


@cli.command()
@click.option("--full", is_flag=True, help="Also inject every fault of processes and links, and plant into Focus.")
@click.option("--clean", type=click.IntRange(1), default=10, help="Streams without a defect, for false alarms.  [10]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def selftest(full: bool, clean: int, as_json: bool) -> None:
    """Plant defects into a small system of real processes, and see whether each is found for what it is.

    Prints a line for each: where it was planted, how it was found, and at which hop first. Exit code 1 when one was
    missed or taken for something else, or when there was an alarm without a defect.

    \b
    Example:
      fullspan selftest --clean 200     # how sure is it that nothing is reported where nothing is wrong?
    """  # noqa: D301 - click keeps the lines below this sign
    from fullspan.selftest.command import selftest as run_it

    sys.exit(run_it(full, clean, as_json))


@cli.command()
@click.argument("record")
@click.option("--bundle", "folder", type=click.Path(path_type=Path), help="The run to look into; else the newest.")
@click.option("--test", help="Look only into tests whose name contains this.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def explain(record: str, folder: Path | None, test: str | None, as_json: bool) -> None:
    """Show where every hop saw RECORD in a run that has ended, and where it went wrong first.

    RECORD is a key of the ledger, as violations name it. An example:

        fullspan explain 1-7/0/345 --test live_picture
    """
    from fullspan.bundle import Bundle, newest_bundle
    from fullspan.ledger.explain import explain as explained

    if folder is None:
        from fullspan.settings import Settings
        from fullspan.stack.load import project_here

        folder = newest_bundle(Settings.load().var_of(project_here()) / "bundles")
    found = explained(Bundle.open(folder), record, test)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
    else:
        click.echo("\n\n".join("\n".join(one.lines()) for one in found))


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def report(bundle: Path | None) -> None:
    """Write the report of BUNDLE anew, the newest one when none is named, and print where it is.

    \b
    Example:
      fullspan report var/bundles/20261121T191758Z-focus-demo
    """  # noqa: D301 - click keeps the lines below this sign
    from fullspan.bundle import newest_bundle
    from fullspan.report import write_report
    from fullspan.settings import Settings
    from fullspan.stack.load import project_here

    click.echo(write_report(bundle or newest_bundle(Settings.load().var_of(project_here()) / "bundles")))


@cli.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, also what did not change.")
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Compare the runs in the bundles A and B: verdicts, latencies per hop, recoveries and figures.

    Exit code 1 when a test broke or a latency is surely longer in B, 2 when B shows less than A did, else 0.

    \b
    Example:
      fullspan diff var/bundles/20261121T191758Z-focus-demo var/bundles/20261121T192641Z-focus-demo
    """  # noqa: D301 - click keeps the lines below this sign
    from fullspan.report.diff import compare

    found = compare(a, b)
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else "\n".join(found.lines()))
    sys.exit(found.exit_code)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--run", is_flag=True, help="Also run the suite, against a server that does nothing useful.")
@click.option("--point", multiple=True, help="Environment variable for that: NAME={http}, also {host} and {port}.")
@click.option("--limit-s", type=float, default=300.0, help="Cut a run off after so many seconds.  [300]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.argument("pytest_options", nargs=-1, type=click.UNPROCESSED)
def audit(
    path: Path, run: bool, point: tuple[str, ...], limit_s: float, as_json: bool, pytest_options: tuple[str, ...]
) -> None:
    """Find what cannot fail in the pytest suite PATH.

    Tests without an assertion, assertions that always hold, errors that are swallowed or welcome whatever they are,
    tests of their own mocks, sleeps that wait for something. A comment `# audit: RULE because REASON` justifies one.
    With --run the suite runs three times against a server that agrees to, fails at, or hangs up on everything: a test
    that asks it and passes each time cannot fail. Exit code 1 when anything unjustified was found.

    \b
    Examples:
      fullspan audit tests
      fullspan audit tests --run --point API_URL={http}
      fullspan audit tests --run -- --base-url={http} -m api
    """  # noqa: D301 - click keeps the lines below this sign
    from fullspan.audit.command import audit as run_it

    sys.exit(run_it(path, run, point, limit_s, as_json, pytest_options))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("schedule", type=click.Path(path_type=Path, exists=True))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--budget", default="15m", show_default=True, help="How long to search: 90s, 15m, 2h.")
@click.option("--trial-limit", default="5m", show_default=True, help="How long one trial may take.")
@click.option("--signature", metavar="REGEX", help="What in the output tells this failure from others.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
def shrink(
    schedule: Path, command: tuple[str, ...], budget: str, trial_limit: str, signature: str | None, out: Path | None
) -> None:
    """Find the faults of a failing SCHEDULE (a file, or a bundle that holds one) without which it does not fail.

    COMMAND is run once per trial, with FULLSPAN_SCHEDULE naming what `faults.play` shall play instead. Whole faults are
    left out for as long as it fails in the same way, each part tried often enough that chance does not decide.

    \b
    fullspan shrink var/bundles/night -- fullspan run focus -m outages
    fullspan shrink schedule.json --budget 1h -- .venv/bin/pytest suites/focus/test_storm.py --stack focus

    Exit code 0 when nothing more can be left out, 2 when the time was over before or it did not fail at all.
    """  # noqa: D301 - click keeps the lines below this sign
    from fullspan.shrink.command import shrink_schedule

    sys.exit(
        shrink_schedule(schedule, command, budget=budget, trial_limit=trial_limit, signature=signature, out=out)
    )  # fmt: skip


@cli.command()
@click.argument("what", type=click.Choice(["stack", "environment"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a file that people write, for editors and checkers."""
    from fullspan.environment import Environment
    from fullspan.stack.model import StackModel

    model: Any = {"stack": StackModel, "environment": Environment}[what]
    click.echo(json.dumps({"title": what} | model.model_json_schema(by_alias=True), indent=2))


@cli.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The settings file to read.")
def config(config: Path | None) -> None:
    """Print the settings in force, and where each comes from."""
    from fullspan.settings import Settings

    for setting in Settings.effective(config):
        click.echo(f"{setting.name} = {setting.value or '(none)'}    [{setting.origin}]")


def the_only_stack() -> str:
    """Return the stack that is meant when none is named: the only one there is."""
    from fullspan.stack.load import stack_names

    names = stack_names()
    if len(names) == 1:
        return names[0]
    raise UsageError(
        "Which stack is meant?", f"Name one of: {', '.join(names)}." if names else "There is no stacks/*.yaml here."
    )


def print_addresses(endpoints: dict[str, str]) -> None:
    """Print the addresses of a stack, without passwords: what is printed is kept in many places."""
    from fullspan.stack.status import masked

    width = max(map(len, endpoints), default=0)
    for name, address in endpoints.items():
        click.echo(f"{name:{width}}  {masked(address)}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a request to end, and the end of the terminal, be what Ctrl-C is: an orderly end.

    Inside an import Python may swallow the exception, so there it is raised a moment later.
    """

    def interrupt(_number: int, frame: FrameType | None) -> None:
        if is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            return
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, interrupt)
    yield


def is_importing(frame: FrameType | None) -> bool:
    """Tell whether a frame was called by the import system."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def main() -> None:
    """Run the command line; every error is a sentence and an exit code."""
    try:
        with interruptible():
            code = cli.main(standalone_mode=False)
    except FullspanError as error:
        click.echo(f"fullspan: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("fullspan: interrupted", err=True)
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
