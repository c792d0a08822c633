"""`fullspan env`: which environments there are, what one says, and one made of a desktop client's settings."""

import json
from pathlib import Path

import click
import yaml

from fullspan.environment.desktop import Imported, import_settings
from fullspan.environment.load import FOLDER, environment_names, find_environment, load_environment
from fullspan.errors import StackError, UsageError

__all__ = ["env"]


@click.group(invoke_without_command=True)
@click.pass_context
def env(context: click.Context) -> None:
    """Look at the environments, files environments/NAME.yaml, which `--env NAME` chooses from."""
    if context.invoked_subcommand is None:
        context.invoke(list_)


@env.command(name="list", short_help="List the environments that can be found from here.")
def list_() -> None:
    """List the environments that can be found from here. Example: `fullspan env list`."""
    names = environment_names()
    for name in names:
        found = load_environment(find_environment(name))
        click.echo(f"{name:20}  {found.description}".rstrip())
    if not names:
        click.echo(f"There are no {FOLDER}/*.yaml from here upwards.")


@env.command(short_help="Print an environment as it is understood.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(name: str, as_json: bool) -> None:
    """Print the environment NAME as it is understood, and whether its secrets can be had. Example: `fullspan env show
    staging`.

    No secret is printed. Exit code 3 when one is missing or the file cannot be meant.
    """  # noqa: D205 - the first sentence is the command's help
    found = load_environment(find_environment(name))
    keys = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    click.echo(json.dumps(keys, indent=1) if as_json else yaml.safe_dump(keys, sort_keys=False).rstrip())
    found.tls.context()
    found.addresses()


@env.command(name="import", short_help="Make an environment of a desktop client's settings.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What to call it.  [default: the file's name]")
@click.option("--force", is_flag=True, help="Write over an environment of this name.")
def import_(file: Path, name: str | None, force: bool) -> None:
    """Make an environment of a desktop client's settings FILE (JSON), and tell of each setting where it went.

    What is not known is kept under `imported`. Secrets are not written down: they become variables, which are listed.
    Example: `fullspan env import usersettings.json --name site7`.
    """
    chosen = name or plain(file.stem)
    target = Path(FOLDER) / f"{chosen}.yaml"
    if target.exists() and not force:
        raise UsageError(f"There is an environment {target} already.", "Give another --name, or --force.")
    imported = import_settings(file, chosen)
    write(target, imported, file)
    tell(imported)
    click.echo(f"\nwritten: {target}; use it with `--env {chosen}`, look at it with `fullspan env show {chosen}`")


def plain(stem: str) -> str:
    """Return a name that an environment can have."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in stem.lower()).strip("-")[:40] or "imported"


def write(target: Path, imported: Imported, source: Path) -> None:
    """Put the file in place as a whole."""
    try:
        target.parent.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        head = f"# Imported from {source.name} by `fullspan env import`; docs/environments.md explains it.\n"
        part.write_text(head + written(imported), encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise StackError(f"{target} cannot be written: {error.strerror}.") from error


def written(imported: Imported) -> str:
    """Return the environment as it is written: in ASCII, in which every text comes back as it was."""
    return yaml.safe_dump(imported.document, sort_keys=False)


def tell(imported: Imported) -> None:
    """Say of each setting where it went."""
    width = max((len(name) for name, _ in [*imported.taken, *imported.kept]), default=0)
    for name, place in imported.taken:
        click.echo(f"  {name:{width}}  ->  {place}")
    for name, why in imported.kept:
        click.echo(f"  {name:{width}}  kept: {why}")
    for name, variable in imported.variables.items():
        click.echo(f"\nset {variable} to the secret that {name} held")
    click.echo(f"\n{len(imported.taken)} settings taken, {len(imported.kept)} kept as they are")
