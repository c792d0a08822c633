"""What a page received over its WebSockets, as the browser itself tells it."""

import base64
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from playwright.sync_api import CDPSession, Page
from playwright.sync_api import Error as PlaywrightError

from fullspan.ledger.hops.hop import Hop
from fullspan.ledger.hops.runner import HopRunner
from fullspan.ledger.record import Moment, Observation

__all__ = ["PageFrames"]

BINARY: Final = 2


class PageFrames(Hop):
    """Sees the messages that a page receives over the WebSockets whose address contains `url_part`.

    Start it before the page opens them. `to_observations` is called with each message (bytes, or str when it is text)
    and the moment of its arrival in the browser: that is the browser's own time, on the clock that all processes share,
    although the call itself comes only while the test is inside a call to Playwright.
    """

    kind: ClassVar[str] = "websocket"

    def __init__(
        self,
        page: Page,
        url_part: str,
        to_observations: Callable[[bytes | str, Moment], Iterable[Observation]],
        name: str = "frame",
    ) -> None:
        super().__init__(name)
        self._page = page
        self._url_part = url_part
        self._to_observations = to_observations
        self._sockets: set[str] = set()
        self._session: CDPSession | None = None

    def _begin(self, runner: HopRunner, within_s: float) -> None:
        session = self._session = self._page.context.new_cdp_session(self._page)
        session.on("Network.webSocketCreated", self._on_created)
        session.on("Network.webSocketFrameReceived", self._on_frame)
        session.on("Network.webSocketClosed", self._on_closed)
        session.send("Network.enable")

    def stop(self) -> None:
        """Stop looking; without effect when it does not look."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.detach()
        except PlaywrightError as error:
            # The page is gone, and its session with it.
            self._report(f"{self.name} ended with its page: {error.message}")

    def _on_created(self, event: dict[str, Any]) -> None:
        if self._url_part in event["url"]:
            self._sockets.add(event["requestId"])
            self.go_on()

    def _on_closed(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._sockets:
            self._sockets.remove(event["requestId"])
            self.interrupt("the page's WebSocket was closed")

    def _on_frame(self, event: dict[str, Any]) -> None:
        if self._session is None or self.failed is not None or event["requestId"] not in self._sockets:
            return
        frame = event["response"]
        payload = base64.b64decode(frame["payloadData"]) if frame["opcode"] == BINARY else frame["payloadData"]
        now = Moment.now()
        # Chromium counts seconds on CLOCK_MONOTONIC, in a float that is good for less than a microsecond.
        arrived = now.at(min(round(event["timestamp"] * 1e9), now.mono_ns))
        self.take_in(self._to_observations, payload, arrived)
