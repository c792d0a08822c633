"""A test that is content with any error is content with its own mistakes too."""

import ast
from collections.abc import Iterator
from typing import Final

from fullspan.audit.rules.rule import Found, rule
from fullspan.audit.source import Source, dotted
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["look"]

ALL: Final = ("Exception", "BaseException")


@rule("any-error", "Name the error, or say with `match` what it must say.")
def look(source: Source, _: Vocabulary) -> Iterator[Found]:
    """Find `pytest.raises(Exception)` without `match`, whose error nobody looks at."""
    for node in source.nodes:
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = dotted(node.func).rpartition(".")[2]
        told = any(keyword.arg in ("match", "check") for keyword in node.keywords)
        if name in ("raises", "assertRaises") and dotted(node.args[0]) in ALL and not told:
            if isinstance(source.parents.get(node), ast.withitem) and _is_looked_at(source, node):
                continue
            yield node, f"{ast.unparse(node)} is content with any error, a misspelt name included."


def _is_looked_at(source: Source, node: ast.AST) -> bool:
    """Tell whether the error is kept under a name that is used."""
    item = source.parents[node]
    assert isinstance(item, ast.withitem)  # noqa: S101 - asked before
    if not isinstance(item.optional_vars, ast.Name):
        return False
    name = item.optional_vars.id
    uses = (one for one in source.nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load))
    return any(one.id == name for one in uses)
