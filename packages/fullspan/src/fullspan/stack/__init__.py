"""The stack: what is brought up, how its parts run, and what notices when one ends.

The names are loaded when they are asked for: three processes of every stack import this package, and only its clients
need the HTTP library behind these.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullspan.stack.bring_up import open_stack
    from fullspan.stack.handle import ComponentHandle, Stack

__all__ = ["ComponentHandle", "Stack", "open_stack"]


def __getattr__(name: str) -> Any:
    if name == "open_stack":
        from fullspan.stack.bring_up import open_stack

        return open_stack
    if name in __all__:
        from fullspan.stack import handle

        return getattr(handle, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
