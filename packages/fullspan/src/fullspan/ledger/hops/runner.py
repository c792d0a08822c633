"""The loop that hops run in: one background thread beside a test that is itself synchronous."""

import threading
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from fullspan.errors import StackError
from fullspan.ledger.hops.hop import BackgroundHop, Hop
from fullspan.ledger.ledger import Ledger
from fullspan.timeline import Timeline

__all__ = ["HopRunner"]

READY_WITHIN_S: Final = 10.0
STOP_WITHIN_S: Final = 2.0

AnyHop = TypeVar("AnyHop", bound=Hop)


@dataclass(slots=True)
class _Watch:
    """One running hop: when it is ready, when it has ended, and how to end it."""

    ready: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    task: Future[None] | None = None


class HopRunner:
    """Starts and stops hops that write into one ledger; a context manager.

    Leaving it stops every hop. Interruptions of hops are told to the timeline, when there is one.
    """

    def __init__(self, ledger: Ledger, timeline: Timeline | None = None) -> None:
        self.ledger = ledger
        self.timeline = timeline
        self._hops: list[Hop] = []
        self._watches: dict[BackgroundHop, _Watch] = {}
        self._thread: AbstractContextManager[BlockingPortal] | None = None
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        self._thread = start_blocking_portal("asyncio")
        self._portal = self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None  # noqa: S101 - set on entering
        try:
            for hop in reversed(self._hops):
                hop.stop()
        finally:
            # Told that there was an error, the thread cancels whatever still runs instead of waiting for it.
            self._thread.__exit__(SystemExit, SystemExit(), None)
            self._portal = self._thread = None

    def start(self, hop: AnyHop, within_s: float = READY_WITHIN_S) -> AnyHop:
        """Start a hop and return it once every later record will be seen.

        Raises StackError when that takes longer than `within_s` seconds or turns out to be impossible.
        """
        self._hops.append(hop)
        hop.start(self, within_s)
        return hop

    def launch(self, hop: BackgroundHop, within_s: float) -> None:
        """Run a hop's `watch` in the loop and wait until it is ready; called by the hop."""
        if self._portal is None:
            raise RuntimeError("a HopRunner starts hops only inside its with block")
        watch = self._watches[hop] = _Watch()
        watch.task = self._portal.start_task_soon(self._host, hop, watch)
        is_ready = watch.ready.wait(within_s)
        if is_ready and hop.failed is None:
            return
        self.recall(hop)
        cause = hop.failed or (hop.interruptions[-1].cause if hop.interruptions else "it never answered")
        raise StackError(f"Hop {hop.name} ({hop.kind}) could not begin to look within {within_s:g} s: {cause}.")

    async def _host(self, hop: BackgroundHop, watch: _Watch) -> None:
        try:
            await hop.watch(watch.ready.set)
            if hop.failed is None:
                hop.fail("there is nothing more to see")
        except anyio.get_cancelled_exc_class():
            raise
        except Exception as error:
            hop.fail(f"{type(error).__name__}: {error}")
        finally:
            watch.ready.set()
            watch.ended.set()

    def recall(self, hop: BackgroundHop) -> None:
        """Cancel a hop's `watch` and wait until it has ended; called by the hop."""
        watch = self._watches.pop(hop, None)
        if watch is None or watch.task is None:
            return
        watch.task.cancel()
        if not watch.ended.wait(STOP_WITHIN_S):
            hop.fail(f"it did not stop within {STOP_WITHIN_S:g} s")
