"""What an exchange sends: a subscriber of the hop's own, beside the real feed."""

import contextlib
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

import anyio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.ledger.record import Moment, Observation

__all__ = ["ExchangeFrames"]

RETRY_EVERY_S: Final = 0.2
CONNECT_S: Final = 5.0
LONGEST_FRAME: Final = 16_000_000


class ExchangeFrames(BackgroundHop):
    """Sees the frames that a WebSocket server sends to everybody who subscribes at `url`.

    `to_observations` is called in the background with each frame (bytes, or str when it is text) and the moment of its
    arrival. A connection that ends is an interruption, also when it ended cleanly: the hop connects again, but what was
    sent meanwhile it has not seen.
    """

    kind: ClassVar[str] = "exchange"

    def __init__(
        self,
        url: str,
        to_observations: Callable[[bytes | str, Moment], Iterable[Observation]],
        name: str = "exchange",
    ) -> None:
        super().__init__(name)
        self._url = url
        self._to_observations = to_observations

    async def watch(self, ready: Callable[[], None]) -> None:
        """Look until cancelled, over as many connections as it takes."""
        while self.failed is None:
            cause = "the exchange closed the connection"
            try:
                await self._watch_connection(ready)
            except (OSError, TimeoutError, WebSocketException) as error:
                verb = "refused" if isinstance(error, InvalidHandshake) else "lost"
                cause = f"the connection to the exchange was {verb} ({str(error) or type(error).__name__})"
            if self.failed is None:
                self.interrupt(cause)
                await anyio.sleep(RETRY_EVERY_S)  # the pace of new attempts, not a wait for something

    async def _watch_connection(self, ready: Callable[[], None]) -> None:
        # Nothing is asked of the exchange that its other subscribers do not ask: no ping, no compression.
        connection = connect(
            self._url,
            ping_interval=None,
            compression=None,
            open_timeout=CONNECT_S,
            close_timeout=0.5,
            max_size=LONGEST_FRAME,
            proxy=None,
        )
        socket = await connection
        try:
            self.go_on()
            ready()
            with contextlib.suppress(StopAsyncIteration):
                async for frame in socket:
                    if not self.take_in(self._to_observations, frame, Moment.now()):
                        return
        finally:
            # It takes as long as its options say at most, also when who watches was cancelled.
            with anyio.CancelScope(shield=True):
                await socket.close()
