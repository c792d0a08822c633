"""When a line of a log tells of an error: by its level where it has one, else by the words that loggers use."""

import json
import re
from typing import Final

__all__ = ["is_error", "plain"]

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LEVELS: Final = ("level", "levelname", "severity", "lvl", "s")
_BAD: Final = frozenset({"error", "err", "critical", "crit", "fatal", "alert", "emergency", "emerg", "panic", "e", "f"})
# A level stands at the beginning, or apart: `ERROR: x`, `12:00 [error] x`, `level=error`; `0 errors` is none.
_WORD: Final = re.compile(
    r"(?:^|[\s\[(<|])(?:ERROR|CRITICAL|FATAL|SEVERE|PANIC|EMERG(?:ENCY)?|ALERT)(?=$|[\s\])>|:])"
    r"|\[(?:error|crit|critical|fatal|alert|emerg|emergency)\]"
    r"|\blevel=(?:error|critical|fatal|panic)\b"
    r"|^(?:error|fatal|panic|fatal error): "
    r"|Traceback \(most recent call last\)"
    r"|\bSegmentation fault\b|\bOut of memory\b"
)


def plain(line: str) -> str:
    """Return a line without colours and its end."""
    return _COLOURS.sub("", line).rstrip()


def is_error(line: str) -> bool:
    """Tell whether a line, without colours, is an error. A JSON line with a level is what its level says."""
    if line.startswith("{"):
        level = _level(line)
        if level is not None:
            return level.lower() in _BAD
    return _WORD.search(line) is not None


def _level(line: str) -> str | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    return next((value for name in _LEVELS if isinstance(value := fields.get(name), str)), None)
