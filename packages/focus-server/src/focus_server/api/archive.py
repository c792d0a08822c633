"""The catalogue of recordings as the routes see it: an outage of it is a refusal, and so is having none at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Never, Self

from focus_server.contract import ConfigureRequest, Dependency, Refusal, exact
from focus_server.errors import CatalogueDown
from focus_server.recordings import RecordingEntry

if TYPE_CHECKING:
    from focus_server.recordings.catalogue import Catalogue

_LOOK_S: Final = 1.0
"""How often MongoDB is asked for a sign of life, so that /health knows without waiting for one."""
_RETRY_S: Final = 2
_NONE: Final = Dependency(
    state="not configured", detail="This server has no catalogue of recordings; live views need none."
)


class Archive:
    """All recordings that can be played. `catalogue` is None when no MongoDB is configured."""

    def __init__(self, catalogue: "Catalogue | None") -> None:
        self._catalogue = catalogue
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._catalogue is not None:
            catalogue = await self._stack.enter_async_context(self._catalogue)
            await self._stack.enter_async_context(_in_background(catalogue))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def state(self) -> Dependency:
        """Tell how the catalogue is, as of a moment ago."""
        return _NONE if self._catalogue is None else self._catalogue.state

    async def recordings_for(self, request: ConfigureRequest) -> list[RecordingEntry]:
        """Find what a historic request asks for. Raises `Refusal` 404 when there is nothing, 503 when none can tell."""
        assert request.start_time is not None  # noqa: S101 - the rules are checked before
        assert request.end_time is not None  # noqa: S101
        try:
            found = await self._there().find(_ns(request.start_time), _ns(request.end_time))
        except CatalogueDown as down:
            raise _is_down(down) from None
        if not found:
            raise Refusal(
                404,
                "No recording found in given time range",
                "POST /recordings_in_time_range tells where there are some.",
            )
        return found

    async def ranges(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Give the times of all recordings that overlap a range, in ns since 1970. Raises `Refusal` 503."""
        try:
            return await self._there().ranges(start_ns, end_ns)
        except CatalogueDown as down:
            raise _is_down(down) from None

    def _there(self) -> "Catalogue":
        if self._catalogue is None:
            raise Refusal(
                503,
                "No catalogue of recordings (MongoDB) is configured, so historic views are not available; "
                "leave out start_time and end_time for a live view.",
                "MongoDB: not configured",
                retry_after=60,
            )
        return self._catalogue


@asynccontextmanager
async def _in_background(catalogue: "Catalogue") -> AsyncIterator[None]:
    watch = asyncio.create_task(_watch(catalogue))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait({watch}, timeout=_LOOK_S)


async def _watch(catalogue: "Catalogue") -> Never:
    while True:
        with suppress(CatalogueDown):
            await catalogue.ping()
        await asyncio.sleep(_LOOK_S)


def _is_down(down: CatalogueDown) -> Refusal:
    sentence = f"No recordings can be looked up now, live views work: {down}"
    return Refusal(503, sentence, "MongoDB", retry_after=_RETRY_S)


def _ns(epoch_s: float) -> int:
    return round(exact(epoch_s) * 1_000_000_000)
