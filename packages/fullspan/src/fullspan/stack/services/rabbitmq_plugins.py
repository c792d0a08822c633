"""The part of RabbitMQ's plugin folder that a broker needs: with the whole of it, it reads for a fifth of its start."""

import re
from pathlib import Path
from typing import Final

__all__ = ["link_plugins"]

_NEEDED: Final = ("rabbit", "rabbitmq_prelaunch", "rabbitmq_management")
_APPLICATIONS: Final = re.compile(r"\{\s*applications\s*,\s*\[(.*?)\]", re.DOTALL)
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")


def link_plugins(server: Path, folder: Path) -> bool:
    """Fill a folder with links to what the management plugin needs, from beside the server's executable.

    False, and nothing is linked, when the plugins are not where or what they usually are; then the broker does as well
    with all of them.
    """
    plugins = server.resolve().parent.parent / "plugins"
    found: dict[str, Path] = {}
    waiting = list(_NEEDED)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        description = next(plugins.glob(f"{name}-*/ebin/{name}.app"), None)
        if description is None:
            if name in _NEEDED:
                return False
            continue  # it comes with Erlang itself
        found[name] = description.parent.parent
        if listed := _APPLICATIONS.search(description.read_text(encoding="utf-8")):
            waiting += _WORD.findall(listed[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in found.values():
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path)
    return True
