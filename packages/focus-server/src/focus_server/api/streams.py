"""The WebSocket of a viewer: binary frames are messages of the stream as they came, text frames tell its state."""

import asyncio
from contextlib import suppress
from typing import Final

import anyio
import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect
from structlog.contextvars import bound_contextvars

from focus_server.api.bridge import Bridge, End, Viewer
from focus_server.api.naming import known
from focus_server.contract import Refusal

_log = structlog.get_logger()

_SEND_DEADLINE_S: Final = 30.0
"""A viewer whose socket takes nothing for so long is gone, whatever its connection says."""


def stream_routes(bridge: Bridge, most_viewers: int) -> APIRouter:
    """Make the route `/ws/jobs/{job_id}/streams/{stream}`, for so many viewers at a time."""
    router = APIRouter()
    room = asyncio.Semaphore(most_viewers)

    @router.websocket("/ws/jobs/{job_id}/streams/{stream}")
    async def watch(websocket: WebSocket, job_id: str, stream: str) -> None:
        await websocket.accept()
        if room.locked():
            with suppress(WebSocketDisconnect):
                await _close(websocket, _full(most_viewers))
            return
        async with room:
            await seen(websocket, job_id, stream)

    async def seen(websocket: WebSocket, job_id: str, stream: str) -> None:
        try:
            number = _number(stream)
            async with bridge.viewer(known(job_id), number) as viewer:
                with bound_contextvars(job=job_id, stream=number):
                    _log.info("viewer.joined")
                    await _serve(websocket, viewer)
                    _log.info("viewer.left")
        except Refusal as refusal:
            with suppress(WebSocketDisconnect):
                await _close(websocket, End.refused(refusal))

    return router


def _full(most_viewers: int) -> End:
    sentence = f"All {most_viewers} viewers that this server takes at a time are there; close some, or try again later."
    return End.error(1013, sentence, "too many viewers")


def _number(stream: str) -> int:
    if not (stream.isascii() and stream.isdigit() and len(stream) < 10):
        raise Refusal(400, "A stream is a number from 0, below the job's stream_amount.", "stream")
    return int(stream)


async def _serve(websocket: WebSocket, viewer: Viewer) -> None:
    """Send until the stream ends or the viewer leaves, whichever is first."""
    async with anyio.create_task_group() as group:
        group.start_soon(_until_gone, websocket, group.cancel_scope)
        await _send_all(websocket, viewer)
        group.cancel_scope.cancel()


async def _until_gone(websocket: WebSocket, scope: anyio.CancelScope) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()


async def _send_all(websocket: WebSocket, viewer: Viewer) -> None:
    try:
        while True:
            item = await viewer.next()
            async with asyncio.timeout(_SEND_DEADLINE_S):
                if isinstance(item, End):
                    await _close(websocket, item)
                    return
                await (websocket.send_bytes(item) if isinstance(item, bytes) else websocket.send_text(item))
    except TimeoutError:
        _log.warning("viewer.stalled", seconds=_SEND_DEADLINE_S)
    except WebSocketDisconnect:
        return


async def _close(websocket: WebSocket, end: End) -> None:
    await websocket.send_text(end.frame)
    await websocket.close(end.code, end.reason)
