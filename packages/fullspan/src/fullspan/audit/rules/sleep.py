"""A sleep that waits for something is too short on a busy machine and too long on any other."""

import ast
from collections.abc import Iterator
from typing import Final

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Function, Source, dotted
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]

SLEEPS: Final = ("time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep", "sleep")
PAUSES: Final = ("wait_for_timeout",)


@rule("sleep", "Wait for the condition, with a deadline.")
def look(source: Source, _: Vocabulary) -> Iterator[Found]:
    """Find sleeps of a fixed length that are not the pace of a loop."""
    imported = _plain_sleep_is_real(source)
    for node in source.nodes:
        if not isinstance(node, ast.Call) or not node.args or not _is_sleep(node, imported):
            continue
        length = node.args[0]
        if isinstance(length, ast.Constant) and not length.value:
            continue  # it only lets others run
        if not _paces_a_loop(source, node):
            yield node, f"{ast.unparse(node)} waits for a time, not for what the test needs."


def _is_sleep(node: ast.Call, imported: bool) -> bool:
    name = dotted(node.func)
    if name == "sleep":
        return imported
    return name in SLEEPS or getattr(node.func, "attr", "") in PAUSES


def _plain_sleep_is_real(source: Source) -> bool:
    """Tell whether the bare name `sleep` was imported from a module that has one."""
    imports = (node for node in source.nodes if isinstance(node, ast.ImportFrom))
    return any(
        node.module in ("time", "asyncio", "anyio", "trio") and any(name.name == "sleep" for name in node.names)
        for node in imports
    )


def _paces_a_loop(source: Source, node: ast.AST) -> bool:
    """Tell whether a sleep lies in a loop that something else ends: a condition, a break, a return, an error."""
    for above in source.above(node):
        if isinstance(above, Function | ast.Lambda):
            return False
        if isinstance(above, ast.While) or (isinstance(above, ast.For | ast.AsyncFor) and _leaves(above)):
            return True
    return False


def _leaves(loop: ast.AST) -> bool:
    return any(isinstance(one, ast.Break | ast.Return | ast.Raise | ast.Assert) for one in ast.walk(loop))
