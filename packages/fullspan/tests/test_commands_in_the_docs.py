"""Every command of fullspan that the docs and the help show is one that the program understands today."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from fullspan.cli import cli
from packages.fullspan.tests.commands import fullspan_here

ROOT = Path(__file__).parents[3]
GUIDES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
COMMAND = re.compile(r"(?:^ {4}|`|-- )(?:\.venv/bin/)?fullspan ((?!-- )[a-z]+(?: [^`\n]*)?)", re.M)
STACKS = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in (ROOT / "stacks").glob("*.yaml")}


def every_command() -> Iterator[tuple[click.Context, str, click.Command]]:
    """Give all commands, those of groups too, by their words."""
    context = click.Context(cli, info_name="fullspan", **cli.context_settings)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield context, name, command
        if isinstance(command, click.Group):
            inner = click.Context(command, parent=context, info_name=name)
            yield from ((inner, f"{name} {sub}", command.commands[sub]) for sub in command.commands)


COMMANDS = {words: (context, command) for context, words, command in every_command()}


def shown_in(text: str) -> set[str]:
    """Return the commands that stand in a text, as code of their own or within a sentence, in words that follow it."""
    return {found.replace("[--json]", "--json").strip() for found in COMMAND.findall(text)}


def parse(words: str) -> tuple[str, dict[str, object], list[str]]:
    """Take a command apart as the program does; raise what click says of one that it does not know."""
    first, *rest = shlex.split(words, comments=True)
    name = f"{first} {rest[0]}" if rest and f"{first} {rest[0]}" in COMMANDS else first
    assert name in COMMANDS, f"there is no command {name}"
    parent, command = COMMANDS[name]
    given = rest[1:] if name != first else rest
    # A command keeps the first help option that it is asked for, so it is asked as the program asks.
    context = click.Context(command, parent=parent, info_name=name)
    options, left, _ = command.make_parser(context).parse_args(given)
    return name, dict(options), left


def prose(words: str) -> bool:
    """Tell whether these are words about the program `fullspan`, not a command."""
    return words.partition(" ")[0] not in {name.partition(" ")[0] for name in COMMANDS}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_commands_of_a_guide_are_understood(guide: Path):
    known = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"])
    markers = {marker.partition(":")[0].partition("(")[0] for marker in known}
    for words in shown_in(guide.read_text(encoding="utf-8")):
        if prose(words):
            continue
        name, options, left = parse(words)
        assert not left, f"fullspan {words}: {left} is too much"
        chosen = options.get("suite") or options.get("stack")
        if chosen in STACKS and options.get("profile"):
            assert options["profile"] in STACKS[str(chosen)]["profiles"], words
        if name == "run" and chosen in STACKS and options.get("mark"):
            asked = set(re.findall(r"[a-z_]+", str(options["mark"]))) - {"and", "or", "not"}
            assert asked <= markers, words


def test_the_guides_show_commands():
    shown = [words for guide in GUIDES for words in shown_in(guide.read_text(encoding="utf-8")) if not prose(words)]
    assert {words.partition(" ")[0] for words in shown} >= {"up", "down", "run", "doctor", "selftest", "explain", "env"}
    assert len(shown) >= 40


@pytest.mark.parametrize("words", ["up --profil x", "selftest --quick", "run focus -m nothing", "diff A B C"])
def test_a_command_that_is_not_understood_is_found(tmp_path: Path, words: str):
    guide = tmp_path / "guide.md"
    guide.write_text(f"    fullspan {words}\n")
    with pytest.raises((AssertionError, click.UsageError)):
        test_the_commands_of_a_guide_are_understood(guide)


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_the_help_of_a_command_shows_its_examples_on_lines_of_their_own(tmp_path: Path, words: str):
    shown = fullspan_here(tmp_path, *words.split(), "--help", COLUMNS="80").stdout
    assert "\\b" not in shown
    for found in shown_in(re.sub("^ +", " " * 4, shown, flags=re.M)):
        assert not parse(found)[2], found
