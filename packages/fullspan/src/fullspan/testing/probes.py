"""What every probe must do."""

# ruff: noqa: S101 - what a kind must do is asserted

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fullspan.stack.probes import NotReady, Probe, wait_ready

__all__ = ["check_probe"]

_READY_S: Final = 20.0


async def check_probe(probe: Probe, make_ready: Callable[[], Awaitable[object]]) -> None:
    """Check that a probe says why it waits, and is content soon after `make_ready`; AssertionError when it is not."""
    assert probe.kind, "a probe has a kind"
    assert probe.waits_for, "a probe says what it waits for"
    causes = []
    try:
        async with asyncio.timeout(_READY_S):
            await probe.check()
    except NotReady as not_ready:
        causes.append(str(not_ready))
    assert causes, "a probe of something that is not ready raises NotReady"
    assert causes[0], "and says why"
    await make_ready()
    await wait_ready(probe, _READY_S, lambda what: None)
    async with asyncio.timeout(_READY_S):
        await probe.check()
