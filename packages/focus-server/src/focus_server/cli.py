"""The command line of the Focus Server; a command's module is imported only when that command runs."""

import gc
import keyword
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Final, cast

import click

from focus_server import __version__
from focus_server.errors import FocusError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("focus_server.api.command", "Answer REST and WebSocket clients and serve LiveView."),
    "analyze": ("focus_server.analyzer.command", "Turn live blocks into spectrograms and stream them over gRPC."),
    "record": ("focus_server.recordings.recorder.command", "Record the live fibre in rolling files."),
    "replay": ("focus_server.fiber.command", "Play a recording as a live fibre."),
    "sample": ("focus_server.fiber.command", "Take the sample recording out of the package that carries it."),
    "import": ("focus_server.recordings.import_command", "Take in files, or recordings that no catalogue knows."),
    "export": ("focus_server.recordings.export_command", "Write what was recorded as SEG-Y or HDF5."),
    "config": ("focus_server.api.command", "Print the effective settings and where each comes from."),
}


_FINERY: Final = ("rich", "pygments")


@contextmanager
def _without_finery() -> Iterator[None]:
    """Let libraries that are imported here find neither of these, by which they would colour what is never shown.

    Where they are installed they cost a third of a second at each start; what is imported later finds them.
    """
    hidden = [name for name in _FINERY if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = cast(ModuleType, None)  # which is how Python itself notes that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Collect no garbage where modules are imported: what they make stays, and looking at it is a tenth of a start."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        place, _ = COMMANDS[cmd_name]
        with _without_finery(), _nothing_to_collect():
            module = import_module(place)
        command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a programming error, not input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, so that `--help` stays quick."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


_EXAMPLES: Final = """\b
Examples, a live view on one machine beside a RabbitMQ, each in a terminal of its own:
  focus-server sample daspy_toolbox-1.2.7-py3-none-any.whl --to var/data
  focus-server replay
  focus-server analyze
  focus-server serve      # then http://127.0.0.1:5000/liveView
"""


@click.group(cls=LazyGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="focus-server")
def focus_server() -> None:
    """Serve the live spectrograms of a fibre over REST, gRPC and WebSocket, and in the browser.

    Settings come from options, then the environment (FOCUS_...), then ./focus.toml, then the defaults;
    `focus-server config` shows the result.
    """


def main() -> None:
    """Run a command; exit codes: 0 done, 3 wrong usage or set-up, 130 interrupted."""
    try:
        code = focus_server.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 3
    except FocusError as error:
        click.echo(f"focus-server: {error}", err=True)
        code = 3
    except click.Abort:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
