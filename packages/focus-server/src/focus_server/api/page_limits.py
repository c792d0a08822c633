"""The contract's numbers as a module of the page, so that its controls offer exactly what the server takes."""

import json
from typing import Final

from focus_server import contract

__all__ = ["page_limits"]

_NAMES: Final = (
    "NFFT_VALUES",
    "DEFAULT_NFFT",
    "MAX_CHANNELS",
    "MAX_FREQUENCY",
    "MIN_FREQUENCY_SPAN",
    "MIN_LINES_PER_SECOND",
    "MAX_HEIGHT",
    "MIN_PLAYRATE",
    "MAX_PLAYRATE",
    "WATERFALL_LINES_PER_SECOND",
    "VIEWER",
    "IDEMPOTENCY_KEY",
)


def page_limits() -> str:
    """Return the source of `limits.js`: one exported constant for each number that the page shows or keeps to."""
    lines = [f"export const {name} = {_frozen(getattr(contract, name))};" for name in _NAMES]
    return "\n".join(["// Written by the server from its contract.", *lines, ""])


def _frozen(value: object) -> str:
    text = json.dumps(value)
    return f"Object.freeze({text})" if isinstance(value, tuple) else text
