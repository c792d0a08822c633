"""One file of a suite: its syntax tree, its tests, and the markers by which its author justifies what looks wrong."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from fullspan.errors import UsageError

__all__ = ["Function", "Marker", "Source", "dotted", "names_in", "walk_here"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
MARKER: Final = re.compile(r"#\s*audit:\s*(?P<rule>[a-z-]+)\s+because\s+(?P<why>\S.*)")
BAD_MARKER: Final = re.compile(r"#\s*audit:")


@dataclass(slots=True)
class Marker:
    """A comment `# audit: RULE because REASON`, in the line of what it justifies or in the one above."""

    line: int
    rule: str
    why: str
    used: bool = False


@dataclass(slots=True)
class Source:
    """A parsed file; `shown` is its path as the user named it."""

    path: Path
    shown: str
    tree: ast.Module
    markers: list[Marker]
    broken_markers: list[int]
    nodes: list[ast.AST] = field(default_factory=list)
    """All of the tree, each after what it lies in."""
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, shown: str) -> "Source":
        """Parse a file; raises UsageError when it is no Python."""
        try:
            text = path.read_text(encoding="utf-8")
            tree = ast.parse(text, str(path))
        except (SyntaxError, UnicodeDecodeError, ValueError, OSError) as error:
            raise UsageError(f"{shown} cannot be read as Python: {error}.", "Leave it out, or mend it.") from error
        markers, broken = _markers(text)
        nodes: list[ast.AST] = [tree]
        parents: dict[ast.AST, ast.AST] = {}
        for node in nodes:
            children = list(ast.iter_child_nodes(node))
            nodes += children
            parents |= dict.fromkeys(children, node)
        return cls(path, shown, tree, markers, broken, nodes, parents)

    @property
    def is_test_file(self) -> bool:
        """Tell whether pytest collects tests from a file of this name."""
        return self.path.name.startswith("test_") or self.path.name.endswith("_test.py")

    def functions(self) -> Iterator[Function]:
        """Yield all functions, nested ones too."""
        yield from (node for node in self.nodes if isinstance(node, Function))

    def tests(self) -> Iterator[Function]:
        """Yield the functions that pytest, with its usual settings, runs as tests."""
        if not self.is_test_file:
            return
        for node in self.functions():
            holder = self.parents.get(node)
            in_class = isinstance(holder, ast.ClassDef) and (holder.name.startswith("Test") or _is_unittest(holder))
            if node.name.startswith("test") and (in_class or isinstance(holder, ast.Module)):
                yield node

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node lies in, from the inside out."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def name_of(self, node: ast.AST) -> str:
        """Return the function that a node lies in, or is; empty at the top of the file."""
        inside = (one for one in (node, *self.above(node)) if isinstance(one, Function))
        return next((function.name for function in inside), "")

    def justification(self, rule: str, lines: range) -> str | None:
        """Return the reason that a marker on one of the lines, or above them, gives for what a rule finds there."""
        for marker in self.markers:
            if marker.rule == rule and lines.start - 1 <= marker.line < lines.stop:
                marker.used = True
                return marker.why
        return None


def dotted(node: ast.AST) -> str:
    """Return a name like `time.sleep`; empty when it is something else than names and dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def names_in(node: ast.AST) -> set[str]:
    """Return all plain names that an expression uses."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def walk_here(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what belongs to a function itself, without the functions and classes that are defined in it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _is_unittest(holder: ast.ClassDef) -> bool:
    return any(dotted(base).endswith("TestCase") for base in holder.bases)


def _markers(text: str) -> tuple[list[Marker], list[int]]:
    markers: list[Marker] = []
    broken: list[int] = []
    if BAD_MARKER.search(text) is None:
        return markers, broken
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        found = MARKER.search(token.string)
        if found is not None:
            markers.append(Marker(token.start[0], found["rule"], found["why"]))
        elif BAD_MARKER.search(token.string):
            broken.append(token.start[0])
    return markers, broken
