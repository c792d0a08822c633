"""What a gRPC server streams: the hop is a viewer of its own."""

from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Generic, TypeVar

import grpc.aio

from fullspan.ledger.hops.hop import BackgroundHop
from fullspan.ledger.record import Moment, Observation

__all__ = ["GrpcStream"]

Message = TypeVar("Message")


class GrpcStream(BackgroundHop, Generic[Message]):
    """Reads one server stream to its end.

    `open_call` opens the stream and gives an asynchronous iterator over its messages; leaving its context closes it.
    `to_observations` is called in the background with each message and the moment of its arrival.
    """

    kind: ClassVar[str] = "grpc"

    def __init__(
        self,
        open_call: Callable[[], AbstractAsyncContextManager[AsyncIterable[Message]]],
        to_observations: Callable[[Message, Moment], Iterable[Observation]],
        name: str = "row",
    ) -> None:
        super().__init__(name)
        self._open_call = open_call
        self._to_observations = to_observations

    async def watch(self, ready: Callable[[], None]) -> None:
        """Read until the stream ends; how it ended becomes the reason why the hop looks no longer."""
        try:
            async with self._open_call() as call:
                if isinstance(call, grpc.aio.UnaryStreamCall):
                    await call.wait_for_connection()
                ready()
                await self._read(call)
        except grpc.aio.AioRpcError as error:
            self.fail(f"the stream broke off: {error.code().name}, {error.details()}")
            return
        if self.failed is None:
            self.fail("the stream came to its end")

    async def _read(self, call: AsyncIterable[Message]) -> None:
        async for message in call:
            if not self.take_in(self._to_observations, message, Moment.now()):
                return
