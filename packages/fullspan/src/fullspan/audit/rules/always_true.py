"""An assertion that holds whatever the system does."""

import ast
from collections.abc import Iterator
from typing import Final

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Function, Source, dotted
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]

MISSPELT: Final = ("called_once_with", "called_with", "called_once", "has_calls", "called_any", "not_called")
LENGTHS: Final = ("len", "abs")


@rule("always-true", "Assert what would be different if the system were wrong.")
def look(source: Source, _: Vocabulary) -> Iterator[Found]:
    """Find assertions that cannot fail, and checks of a mock that check nothing."""
    functions = {function.name for function in source.functions()}
    for node in source.nodes:
        if isinstance(node, ast.Assert):
            why = _why(node.test, functions)
            if why:
                yield node, f"`assert {_short(node.test)}` always holds: {why}."
        elif isinstance(node, ast.Call) and not isinstance(source.parents.get(node), ast.Assert):
            why = _unittest(node, functions)
            if why:
                yield node, f"{_short(node)} always holds: {why}."
        elif isinstance(node, ast.Expr):
            value = node.value
            if isinstance(value, ast.Attribute) and value.attr.startswith("assert_") and dotted(value):
                yield node, f"{dotted(value)} is not called, so it checks nothing."
            if isinstance(value, ast.Compare) and _in_function(source, node):
                yield node, f"`{_short(value)}` is compared, and nobody asserts it."


def _why(test: ast.expr, functions: set[str]) -> str:
    """Return why an expression always counts as true; empty when it may not."""
    if isinstance(test, ast.Constant):
        return "it is a constant" if test.value else ""
    if isinstance(test, ast.Tuple) and test.elts:
        return "a tuple that is not empty counts as true; leave out the parentheses"
    if isinstance(test, ast.List | ast.Set | ast.Dict) and (getattr(test, "elts", None) or getattr(test, "keys", None)):
        return "what is not empty counts as true"
    if isinstance(test, ast.GeneratorExp):
        return "a generator counts as true, whatever it yields; put it into all()"
    if isinstance(test, ast.Lambda) or (isinstance(test, ast.Name) and test.id in functions):
        return "a function counts as true; call it"
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return next((why for why in (_why(one, functions) for one in test.values) if why), "")
    if isinstance(test, ast.BoolOp):
        each = [_why(one, functions) for one in test.values]
        return each[0] if all(each) else ""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Constant):
        return "" if test.operand.value else "it is a constant"
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _comparison(test.left, test.ops[0], test.comparators[0])
    if isinstance(test, ast.Call):
        return _call(test)
    return ""


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> str:
    equal = isinstance(op, ast.Eq | ast.Is | ast.LtE | ast.GtE)
    if equal and ast.dump(left) == ast.dump(right) and not any(isinstance(one, ast.Call) for one in ast.walk(left)):
        return "both sides are the same"
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        alike = left.value == right.value
        holds = (
            alike if isinstance(op, ast.Eq | ast.Is) else not alike if isinstance(op, ast.NotEq | ast.IsNot) else False
        )
        return "both sides are constants" if holds else ""
    is_length = isinstance(left, ast.Call) and dotted(left.func) in LENGTHS
    zero = isinstance(right, ast.Constant) and right.value == 0
    if is_length and zero and isinstance(op, ast.GtE):
        return "a length is never less than 0"
    if is_length and isinstance(op, ast.Gt) and isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub):
        return "a length is never less than 0"
    return ""


def _call(test: ast.Call) -> str:
    name = getattr(test.func, "attr", "")
    if name in MISSPELT:
        return f"a mock has no check `{name}`, and makes up whatever it is asked for; write assert_{name}"
    if dotted(test.func) == "isinstance" and len(test.args) == 2 and dotted(test.args[1]) == "object":
        return "everything is an object"
    return ""


def _unittest(node: ast.Call, functions: set[str]) -> str:
    name = dotted(node.func)
    if name.endswith(".assertTrue") and node.args:
        return _why(node.args[0], functions)
    if name.endswith((".assertEqual", ".assertIs")) and len(node.args) >= 2:
        return _comparison(node.args[0], ast.Eq(), node.args[1])
    return _call(node) if getattr(node.func, "attr", "") in ("called_once_with", "called_with") else ""


def _in_function(source: Source, node: ast.AST) -> bool:
    return any(isinstance(above, Function) for above in source.above(node))


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
