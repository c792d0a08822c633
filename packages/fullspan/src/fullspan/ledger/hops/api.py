"""What an HTTP API answers: its rows as a whole when asked for, or its newest ones, asked again and again."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

import anyio

from fullspan.errors import FullspanError
from fullspan.ledger.hops.hop import BackgroundHop, Hop
from fullspan.ledger.hops.runner import HopRunner
from fullspan.ledger.record import Moment, Observation

__all__ = ["ApiRows", "ApiTail"]

EVERY_S: Final = 0.1

Row = TypeVar("Row")


class ApiRows(Hop, Generic[Row]):
    """Sees rows that a test has fetched and hands over: each as often as the answers hold it."""

    kind: ClassVar[str] = "api"

    def __init__(
        self, to_observations: Callable[[Iterable[Row], Moment], Iterable[Observation]], name: str = "api"
    ) -> None:
        super().__init__(name)
        self._to_observations = to_observations

    def _begin(self, runner: HopRunner, within_s: float) -> None:
        """Nothing is to be begun."""

    def stop(self) -> None:
        """Nothing is to be stopped."""

    def look(self, rows: Iterable[Row]) -> None:
        """Write rows that have just come into the ledger."""
        self.take_in(self._to_observations, rows, Moment.now())


class ApiTail(BackgroundHop, Generic[Row]):
    """Asks for the newest rows every `every_s` seconds and notes each row when it is first there.

    `fetch` gives at most `page` rows, newest first; `key` tells them apart. `to_observation` is called with a row, the
    moment of the answer, and the last UTC time, ns, at which the row was not there yet: when the asking began before
    which it was missing (None: there was none). It belongs into `not_before_ns`, so that how fresh an API is can be
    judged to the pace of the asking. A row that comes twice in one answer is noted twice. An answer in which no row is
    known is an interruption when it is full: between it and the one before rows may have passed unseen. So is an
    answer that did not come.
    """

    kind: ClassVar[str] = "api-tail"

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Sequence[Row]]],
        key: Callable[[Row], Hashable],
        to_observation: Callable[[Row, Moment, int | None], Observation | None],
        name: str = "api",
        *,
        page: int,
        every_s: float = EVERY_S,
    ) -> None:
        super().__init__(name)
        self._fetch = fetch
        self._key = key
        self._to_observation = to_observation
        self._page = page
        self._every_s = every_s
        self._known: dict[Hashable, None] = {}
        self._asked_ns: int | None = None

    async def watch(self, ready: Callable[[], None]) -> None:
        """Ask until cancelled; the first answer only tells what is there already."""
        while self.failed is None:
            asked = Moment.now()
            try:
                rows = await self._fetch()
            except FullspanError as error:
                self.interrupt(f"an answer did not come ({error.message})")
            else:
                self._take(rows, asked)
                ready()
            await anyio.sleep(self._every_s)  # the pace of the asking, not a wait for something

    def _take(self, rows: Sequence[Row], asked: Moment) -> None:
        first = self._asked_ns is None
        fresh = [row for row in rows if self._key(row) not in self._known]
        if not first and len(rows) >= self._page and len(fresh) == len(rows):
            self.interrupt(f"all {len(rows)} rows of an answer were new, so others may have passed unseen")
        else:
            self.go_on()
        if not first:
            self.take_in(self._observations, fresh, Moment.now())
        # The oldest are forgotten: what has left the newest rows once is not new when it is asked for again.
        self._known.update(dict.fromkeys(map(self._key, rows)))
        while len(self._known) > 20 * self._page:
            del self._known[next(iter(self._known))]
        self._asked_ns = asked.wall_ns

    def _observations(self, rows: Sequence[Any], moment: Moment) -> Iterable[Observation]:
        noted = (self._to_observation(row, moment, self._asked_ns) for row in reversed(rows))
        return [observation for observation in noted if observation is not None]
