"""Our own reconnecting: a library that reconnects by itself hides the outage that clients must be told about."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Never

from focus_server.fiber.broker import LOST, BrokerAddress, raise_if_cancelled

__all__ = ["keep_connected"]

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


async def keep_connected(
    broker: BrokerAddress, session: Callable[[], Awaitable[None]], lost: Callable[[str], None]
) -> Never:
    """Live one session after the other until cancelled; `lost` is told, without credentials, why each has ended.

    The pauses between sessions grow to two seconds, and are short again after one that lasted.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        began_s = time.monotonic()
        cause = "the connection ended"
        try:
            await session()
        except LOST as error:
            cause = broker.explain(error)
        raise_if_cancelled()
        if time.monotonic() - began_s > _LONGEST_PAUSE_S:
            pause_s = _FIRST_PAUSE_S
        lost(cause)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
