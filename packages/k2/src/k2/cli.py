"""The command line of K2; a command's module is imported only when that command runs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Final

import click

from k2 import __version__
from k2.errors import K2Error

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "exchange": ("k2.feed.exchange.command", "Be an exchange on this machine, from a capture or a seed."),
    "feed": ("k2.feed.command", "Bring an exchange's trades and quotes to Kafka."),
    "ingest": ("k2.lake.command", "Write what Kafka has to the tables, each record exactly once."),
    "serve": ("k2.api.command", "Answer questions about trades, quotes and candles over HTTP."),
    "candles": ("k2.lake.table_commands", "Make candles from the trades."),
    "compact": ("k2.lake.table_commands", "Join small files of the tables."),
    "expire": ("k2.lake.table_commands", "Drop old snapshots and the files that only they need."),
    "repair": ("k2.lake.table_commands", "Say anew how far the rows of a table go."),
    "dlq": ("k2.feed.dlq_command", "List or replay what could not be used."),
    "config": ("k2.config_command", "Print the effective settings and where each comes from."),
}


_NOT_OURS: Final = frozenset({"rich", "pygments", "pandas"})


class _Hiding:
    """Finds nothing, and says of what is not ours that it is not there."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Look for a module before anybody else does."""
        if fullname in _NOT_OURS:
            raise ModuleNotFoundError(f"k2 does without {fullname}", name=fullname)


@contextmanager
def _without_what_is_not_ours() -> Iterator[None]:
    """Let libraries that are imported here find none of these, which K2 neither needs nor brings.

    Where another program has installed them they cost half a second and more of each start: two would colour what is
    never shown, the third would take tables that nobody offers. What is imported later finds them.
    """
    hiding = _Hiding()
    sys.meta_path.insert(0, hiding)
    try:
        yield
    finally:
        sys.meta_path.remove(hiding)


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        with _without_what_is_not_ours():
            module = import_module(COMMANDS[cmd_name][0])
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a programming error, not input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, so that `--help` stays quick."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


_EXAMPLES: Final = """\b
Examples, beside a Kafka on 127.0.0.1:9092, each in a terminal of its own:
  k2 exchange
  K2_FEED_URLS=ws://127.0.0.1:9443 K2_REST_URL=http://127.0.0.1:9443 k2 feed
  k2 ingest
  k2 serve      # then http://127.0.0.1:8000/
"""


@click.group(cls=LazyGroup, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="k2")
def k2() -> None:
    """K2, a market data pipeline: exchange to Kafka to Iceberg to query API, each trade exactly once.

    Settings come from options, then the environment (K2_...), then ./k2.toml, then the defaults.
    """


def main() -> None:
    """Run a command; exit codes: 0 done, 3 wrong usage or set-up, 130 interrupted."""
    try:
        code = k2.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 3
    except K2Error as error:
        click.echo(f"k2: {error}", err=True)
        code = 3
    except click.Abort:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
