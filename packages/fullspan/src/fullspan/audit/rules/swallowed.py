"""An error that is caught and forgotten cannot fail the test that it should have failed."""

import ast
from collections.abc import Iterator
from typing import Final

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Source, dotted
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]

BROAD: Final = ("Exception", "BaseException", "AssertionError")
SPEAKING: Final = ("print", "log", "debug", "info", "warning", "warn", "error", "exception", "critical", "write")


@rule("swallowed", "Let the error fail the test, or catch only the one that is meant.")
def look(source: Source, _: Vocabulary) -> Iterator[Found]:
    """Find handlers of any error, or of failed assertions, that do nothing with it."""
    for node in source.nodes:
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                caught = _broad(handler.type)
                if caught and _forgets(handler) and not _is_tried_again(source, node):
                    yield handler, f"`except{f' {caught}' if handler.type else ''}` forgets what it catches."
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and dotted(call.func).rpartition(".")[2] == "suppress":
                    caught = next((dotted(one) for one in call.args if dotted(one) in BROAD), "")
                    if caught:
                        yield call, f"{ast.unparse(call)} forgets what it catches."


def _broad(kind: ast.expr | None) -> str:
    """Return the broad error that is caught, empty when only narrow ones are."""
    if kind is None:
        return "anything"
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return next((dotted(one) for one in kinds if dotted(one) in BROAD), "")


def _forgets(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler only passes, speaks, goes on or says that all is well."""
    return all(_is_idle(statement) for statement in handler.body)


def _is_idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue):
        return True
    if isinstance(statement, ast.Return):
        value = statement.value
        return value is None or (isinstance(value, ast.Constant) and value.value in (None, True))
    if isinstance(statement, ast.Assert):
        return isinstance(statement.test, ast.Constant) and bool(statement.test.value)
    if isinstance(statement, ast.Expr):
        value = statement.value
        if isinstance(value, ast.Constant):
            return True
        return isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in SPEAKING
    return False


def _is_tried_again(source: Source, node: ast.Try) -> bool:
    """Tell whether a loop tries it again, and gives up with an error of its own."""
    for above in source.above(node):
        if isinstance(above, ast.While | ast.For | ast.AsyncFor):
            inside = set(ast.walk(node))
            giving_up = (one for one in ast.walk(above) if isinstance(one, ast.Assert | ast.Raise))
            if any(one not in inside for one in giving_up):
                return True
    return False
