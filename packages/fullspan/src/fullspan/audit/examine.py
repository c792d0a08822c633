"""The static audit: every rule on every file, and what its author has said about what it finds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fullspan.audit.rules import RULES
from fullspan.audit.source import Function, Source
from fullspan.audit.suspicion import Suspicion
from fullspan.audit.vocabulary import Vocabulary
from fullspan.errors import UsageError

__all__ = ["Audit", "examine"]

LEFT_OUT: Final = {".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"}
MARKER: Final = "marker"


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in how many files and tests; `suspicions` holds the justified ones too."""

    files: int
    tests: int
    suspicions: Sequence[Suspicion]

    @property
    def unjustified(self) -> list[Suspicion]:
        """Return what nobody has given a reason for."""
        return [one for one in self.suspicions if one.because is None]


def examine(path: Path) -> Audit:
    """Look through a file, or all Python files below a folder.

    Helpers that files outside `path` define are known when they lie in a `conftest.py` above it. Raises UsageError when
    there is no test, or a file is no Python.
    """
    if not path.exists():
        raise UsageError(f"There is nothing at {path}.", "Give the folder or the file of a pytest suite.")
    sources = [Source.read(file, shown) for file, shown in _files(path)]
    tests = sum(1 for source in sources for _ in source.tests())
    if not tests:
        raise UsageError(f"There is no test in {path}.", "pytest finds test_*.py and *_test.py.")
    vocabulary = Vocabulary([*sources, *_above(path, sources)])
    found = [one for source in sources for one in _suspicions(source, vocabulary)]
    return Audit(len(sources), tests, sorted(found, key=lambda one: (one.file, one.line, one.rule)))


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, str(path)
        return
    for file in sorted(path.rglob("*.py")):
        if not LEFT_OUT.intersection(file.relative_to(path).parts):
            yield file, str(file)


def _above(path: Path, sources: Iterable[Source]) -> Iterator[Source]:
    """Yield the `conftest.py` files above a suite, whose fixtures it uses."""
    known = {source.path.resolve() for source in sources}
    for folder in path.resolve().parents:
        file = folder / "conftest.py"
        if file.is_file() and file not in known:
            yield Source.read(file, str(file))
        if (folder / ".git").exists() or (folder / "pyproject.toml").exists():
            return


def _suspicions(source: Source, vocabulary: Vocabulary) -> Iterator[Suspicion]:
    for rule in RULES.values():
        for node, message in rule.look(source, vocabulary):
            first = getattr(node, "lineno", 1)
            # A marker of a test stands at its head, not anywhere in it.
            body = (
                node.body[0].lineno if isinstance(node, Function) else (getattr(node, "end_lineno", None) or first) + 1
            )
            begin = min([first, *(d.lineno for d in node.decorator_list)]) if isinstance(node, Function) else first
            because = source.justification(rule.name, range(begin, body))
            found = Suspicion(rule.name, source.shown, first, source.name_of(node), message, rule.remedy)
            yield replace(found, because=because)
    yield from _idle_markers(source)


def _idle_markers(source: Source) -> Iterator[Suspicion]:
    """Find markers that justify nothing: they would hide what is written there later."""
    remedy = "Write `# audit: RULE because REASON` in the line of what it justifies, or above it, or remove it."
    for line in source.broken_markers:
        yield Suspicion(MARKER, source.shown, line, "", "this marker gives no rule or no reason.", remedy)
    for marker in source.markers:
        if marker.rule not in RULES:
            said = f"there is no rule {marker.rule!r}; there are {', '.join(RULES)}."
            yield Suspicion(MARKER, source.shown, marker.line, "", said, remedy)
        elif not marker.used:
            yield Suspicion(MARKER, source.shown, marker.line, "", f"nothing here is found by {marker.rule!r}.", remedy)
