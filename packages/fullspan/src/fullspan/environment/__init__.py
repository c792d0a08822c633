"""Environments: where a system runs, how to reach it, and what it can do, in a file of a free name.

The names are loaded when they are asked for: most stacks are brought up without an environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullspan.environment.load import environment_names, find_environment, load_environment
    from fullspan.environment.model import Environment
    from fullspan.environment.tls import Tls

__all__ = ["Environment", "Tls", "environment_names", "find_environment", "load_environment"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"Environment": "model", "Tls": "tls"}.get(name, "load")
    return getattr(import_module(f"{__name__}.{module}"), name)
