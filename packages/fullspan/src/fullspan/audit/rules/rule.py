"""What every rule is: a name, what to do about what it finds, and a function that looks through a file."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from fullspan.audit.source import Source
from fullspan.audit.vocabulary import Vocabulary

__all__ = ["RULES", "Found", "Rule", "rule"]

Found: TypeAlias = tuple[ast.AST, str]
"""The place, and what is wrong there in a sentence."""

Look: TypeAlias = Callable[[Source, Vocabulary], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `remedy` says what to do about what it finds."""

    name: str
    remedy: str
    look: Look


RULES: Final[dict[str, Rule]] = {}


def rule(name: str, remedy: str) -> Callable[[Look], Look]:
    """Make a function a rule."""

    def register(look: Look) -> Look:
        RULES[name] = Rule(name, remedy, look)
        return look

    return register
