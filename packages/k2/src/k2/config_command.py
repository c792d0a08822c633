"""The command `config`."""

from pathlib import Path
from typing import Final

import click

from k2.settings import PROGRAMS

_EXAMPLES: Final = """\b
Examples:
  k2 config
  k2 config feed
"""


@click.command(epilog=_EXAMPLES)
@click.argument("program", type=click.Choice(list(PROGRAMS)), required=False)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead of ./k2.toml.")
def config(program: str | None, config: Path | None) -> None:
    """Print the effective settings of all programs or of one, and where each comes from; secrets are masked."""
    shown: dict[str, tuple[str, str]] = {}
    for name, settings in PROGRAMS.items():
        if program in (None, name):
            shown |= {entry.name: (entry.value, entry.origin) for entry in settings.effective(config)}
    for name, (value, origin) in shown.items():
        click.echo(f"{name} = {value}  # {origin}")
