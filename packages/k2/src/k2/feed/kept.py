"""What the feed knows of the numbers, in a file; a reserve beside it makes room for it when the disk is full.

Without that a full disk would stay full: what Kafka has is deleted only when it is kept that it has come.
"""

import json
from pathlib import Path
from typing import Any, Final

from k2.errors import BusError

__all__ = ["Kept"]

_RESERVE_BYTES: Final = 64 * 2**10


class Kept:
    """The file in a folder; what it holds is whole, the newer or the older, whatever happens."""

    def __init__(self, folder: Path) -> None:
        self._path, self._reserve = folder / "numbers.json", folder / "reserve"

    def read(self) -> dict[str, Any] | None:
        """Return what was written last; None when nothing was. Raises BusError."""
        try:
            found: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise BusError(
                f"{self._path} cannot be read: {error}; move it away to go on without the numbers in it."
            ) from None
        return found

    def write(self, content: dict[str, Any]) -> None:
        """Write it in place of what there is; raises OSError, and then that is there still."""
        written = json.dumps(content).encode()
        try:
            self._replace(written)
        except OSError:
            if not self._reserve.exists():
                raise
            self._reserve.unlink()
            self._replace(written)
        if not self._reserve.exists():
            self._set_aside()

    def _replace(self, content: bytes) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(self._path)

    def _set_aside(self) -> None:
        """Take the reserve, all of it or nothing."""
        try:
            self._reserve.write_bytes(bytes(_RESERVE_BYTES))
        except OSError:
            self._reserve.unlink(missing_ok=True)
