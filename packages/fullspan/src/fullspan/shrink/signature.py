"""How a run failed, without what differs from one run to the next: numbers, times, addresses, identifiers."""

import re
from dataclasses import dataclass
from typing import Final

from fullspan.errors import UsageError

__all__ = ["Signature"]

_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S.*)$", re.MULTILINE)
_VARIES: Final = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b|[-+]?\d[\d.,:_]*")
_PATH: Final = re.compile(r"(?<![\w.])/(?:[^\s/]+/)+")
_LONGEST: Final = 2000


@dataclass(frozen=True)
class Signature:
    """Takes the signature from what a run wrote.

    Without a `pattern` it is pytest's own lines about what failed, or else the last line. With one it is what the
    pattern finds (its first group, if it has one), all places together; a run in which it finds nothing has not failed
    in a way that is looked for.
    """

    pattern: str | None = None

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise UsageError(f"The signature {self.pattern!r} is no regular expression: {error}.") from error

    def of(self, output: str) -> str | None:
        """Return the signature of a run that failed."""
        if self.pattern is not None:
            found = [match.group(1 if match.re.groups else 0) or "" for match in re.finditer(self.pattern, output)]
            return "\n".join(sorted(set(found))) if found else None
        lines = _FAILED.findall(output) or output.strip().splitlines()[-1:]
        return "\n".join(sorted({_plain(line) for line in lines}))[:_LONGEST]


def _plain(line: str) -> str:
    return _VARIES.sub("#", _PATH.sub("", line)).strip()
