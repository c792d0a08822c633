"""A test that asserts only what it has put into its own mock shows that the mock works."""

import ast
from collections.abc import Iterator
from typing import Final

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Function, Source, dotted, names_in, walk_here
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]

MOCKS: Final = ("Mock", "MagicMock", "AsyncMock", "NonCallableMock", "SimpleNamespace", "create_autospec")
PATCHES: Final = ("patch", "object", "setattr", "patch_object")
BUILTINS: Final = frozenset({"len", "list", "dict", "set", "sorted", "sum", "str", "int", "float", "bool", "tuple",
                             "isinstance", "abs", "min", "max", "any", "all", "round", "repr", "True", "False", "None",
                             "pytest", "json"})  # fmt: skip


@rule("mock-success", "Call the real code with the mock in it, and assert what it makes of it.")
def look(source: Source, _: Vocabulary) -> Iterator[Found]:
    """Find tests whose assertions depend on nothing but mocks that they have made themselves."""
    words = {node.id for node in source.nodes if isinstance(node, ast.Name)}
    words |= {node.attr for node in source.nodes if isinstance(node, ast.Attribute)}
    if not words.intersection((*MOCKS, *PATCHES)):
        return
    for test in source.tests():
        asserts = [node for node in walk_here(test) if isinstance(node, ast.Assert)]
        if not asserts:
            continue
        made = _Made(test)
        if made.names and all(made.is_own(node.test) and made.touches(node.test) for node in asserts):
            yield test, f"every assertion is about {', '.join(sorted(made.mocks))}, which the test itself has made up."


class _Made:
    """The names of a test that stand for its own mocks, or for what comes of these alone."""

    def __init__(self, test: Function) -> None:
        self.mocks: set[str] = set()
        self._patched: set[str] = set()
        self.names: set[str] = set()
        nodes = sorted(
            (node for node in walk_here(test) if isinstance(node, ast.stmt | ast.withitem | ast.Call)),
            key=lambda node: getattr(node, "lineno", getattr(getattr(node, "context_expr", None), "lineno", 0)),
        )
        for decorator in test.decorator_list:
            self._patch(decorator)
        for node in nodes:
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.withitem) and isinstance(node.context_expr, ast.Call):
            if self._patch(node.context_expr) and isinstance(node.optional_vars, ast.Name):
                self._take(node.optional_vars.id, mock=True)
        elif isinstance(node, ast.Call):
            self._monkeypatch(node)
            self._give_away(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in MOCKS:
                self._take(name, mock=True)
            elif self.is_own(value) and self.touches(value):
                self._take(name)
            else:
                self.names.discard(name)

    def _give_away(self, call: ast.Call) -> None:
        """Let a mock that is handed to other code be no longer the test's own: it tells what that code did."""
        name = dotted(call.func)
        if name.partition(".")[0] in self.names | BUILTINS or name.rpartition(".")[2] in (*MOCKS, *PATCHES):
            return
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            self.names -= names_in(argument)

    def _take(self, name: str, mock: bool = False) -> None:
        self.names.add(name)
        if mock:
            self.mocks.add(name)

    def _patch(self, call: ast.AST) -> bool:
        """Note what `patch("requests.get")` replaces."""
        if not isinstance(call, ast.Call) or dotted(call.func).rpartition(".")[2] not in ("patch", "object"):
            return False
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
            self._patched.add(call.args[0].value)
        elif len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
            self._patched.add(f"{dotted(call.args[0])}.{call.args[1].value!s}")
        return True

    def _monkeypatch(self, call: ast.Call) -> None:
        """Note what `monkeypatch.setattr(requests, "get", ...)` replaces."""
        if not dotted(call.func).endswith("monkeypatch.setattr") or len(call.args) < 2:
            return
        first, second = call.args[0], call.args[1]
        if isinstance(first, ast.Constant):
            target = str(first.value)
        elif isinstance(second, ast.Constant):
            target = f"{dotted(first)}.{second.value!s}"
        else:
            return
        self._patched.add(target)
        self._take(target, mock=True)

    def is_own(self, value: ast.AST) -> bool:
        """Tell whether an expression is made of own mocks, what is patched, constants and built-in functions alone."""
        allowed = self.names | BUILTINS | {target.partition(".")[0] for target in self._called_patched(value)}
        return names_in(value) <= allowed

    def touches(self, value: ast.AST) -> bool:
        """Tell whether an expression depends on a mock at all."""
        return bool(names_in(value) & self.names) or bool(self._called_patched(value))

    def _called_patched(self, value: ast.AST) -> set[str]:
        calls = {dotted(node.func) for node in ast.walk(value) if isinstance(node, ast.Call)}
        return {name for name in calls if name and name in self._patched}
