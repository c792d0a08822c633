"""Drivers and probes by their kind: those that come with fullspan and those that other packages register."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from fullspan.errors import UsageError, nearest

__all__ = ["find_kind", "kinds_of"]

T = TypeVar("T")


@cache
def kinds_of(group: str) -> Mapping[str, str]:
    """Return the kinds that are registered in an entry point group, and where each one lives.

    To look is to read a file of every package that is installed, so it is done once.
    """
    return {entry.name: entry.value for entry in entry_points(group=group)}


def find_kind(group: str, kind: str, base: type[T]) -> type[T]:
    """Return the class of a kind; UsageError for a kind that nobody registered, or that is not what it claims."""
    known = kinds_of(group)
    if kind not in known:
        raise UsageError(f"There is no {base.__name__.lower()} {kind!r}.", nearest(kind, known))
    found: Any = EntryPoint(kind, known[kind], group).load()
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(f"The entry point {kind!r} of group {group} is {known[kind]}, which is no {base.__name__}.")
    return found
