"""The same routes exist at `/` and below `/focus-server`."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX: Final = "/focus-server"


class Prefix:
    """Takes the prefix off a path, once, before anything else looks at it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its plain path."""
        if scope["type"] in {"http", "websocket"}:
            path: str = scope["path"]
            if path == PREFIX or path.startswith(PREFIX + "/"):
                raw_path = (scope.get("raw_path") or path.encode()).removeprefix(PREFIX.encode())
                scope = {**scope, "path": path.removeprefix(PREFIX) or "/", "raw_path": raw_path or b"/"}
        await self._app(scope, receive, send)
