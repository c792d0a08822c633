"""Waiting until a probe is content, with a deadline and the last cause in every word said about it."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from fullspan.stack.probes.base import NotReady, Probe

__all__ = ["wait_ready"]

_BETWEEN_S: Final = 0.05
_ONE_CHECK_S: Final = 5.0
_SAY_EVERY_S: Final = 2.0
_SILENT_S: Final = 1.0
_NOT_ASKED: Final = "not asked yet"


async def wait_ready(probe: Probe, timeout_s: float, say: Callable[[str], object]) -> None:
    """Check again and again until the component is ready.

    `say` is told every two seconds what is waited for and why it is not there yet. Raises NotReady with both when
    `timeout_s` seconds are over.
    """
    began = time.monotonic()
    said = began
    cause = _NOT_ASKED
    while (left := began + timeout_s - time.monotonic()) > 0:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(min(left, _ONE_CHECK_S)):
                return await probe.check()
        except NotReady as not_ready:
            cause = str(not_ready)
        except TimeoutError:
            # A last check that was cut short by the end of the time tells less than the one before.
            if cause == _NOT_ASKED or time.monotonic() - asked >= _SILENT_S:
                cause = "no answer"
        if time.monotonic() - said >= _SAY_EVERY_S:
            said = time.monotonic()
            say(f"waits for {probe.waits_for} for {said - began:.0f} s: {cause}")
        await asyncio.sleep(_BETWEEN_S)
    raise NotReady(f"not ready within {timeout_s:g} s: waited for {probe.waits_for}: {cause}")
