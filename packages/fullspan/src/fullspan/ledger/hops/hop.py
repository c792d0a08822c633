"""A hop: something that sees records pass and writes them into the ledger, from its start to its stop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from fullspan.ledger.record import Moment, Observation

if TYPE_CHECKING:
    from fullspan.ledger.hops.runner import HopRunner

__all__ = ["BackgroundHop", "Hop", "Interruption"]

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Interruption:
    """A time during which a hop may have missed records; `ended` is None while it lasts."""

    began: Moment
    ended: Moment | None
    cause: str


class Hop(ABC):
    """Base of all hops.

    `name` is the hop's name in the ledger; `failed` says why it no longer looks, None while it does. What passed during
    an `interruption` may have gone unseen: a record missing then proves nothing.
    """

    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed: str | None = None
        self.interruptions: list[Interruption] = []
        self._runner: HopRunner | None = None

    def start(self, runner: "HopRunner", within_s: float) -> None:
        """Begin to look; return once every later record will be seen, or raise StackError."""
        self._runner = runner
        self._begin(runner, within_s)

    @abstractmethod
    def _begin(self, runner: "HopRunner", within_s: float) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Stop looking, within two seconds; without effect when it does not look."""

    def take_in(
        self, read: Callable[[Message, Moment], Iterable[Observation]], message: Message, moment: Moment
    ) -> bool:
        """Write what `read` makes of a message into the ledger; a hop that cannot read a message fails."""
        assert self._runner is not None  # noqa: S101 - start comes first
        try:
            self._runner.ledger.observe_all(read(message, moment))
        except Exception as error:
            self.fail(f"it could not read a message: {type(error).__name__}: {error}")
        return self.failed is None

    def fail(self, cause: str) -> None:
        """Note that the hop looks no longer, and why."""
        self.failed = cause
        self.interrupt(cause)

    def interrupt(self, cause: str) -> None:
        """Note that from now on records may go unseen."""
        if not self.is_interrupted:
            self.interruptions.append(Interruption(Moment.now(), None, cause))
            self._report(f"{self.name} is interrupted: {cause}")

    def go_on(self) -> None:
        """Note that records are seen again."""
        if self.is_interrupted:
            last = self.interruptions[-1]
            self.interruptions[-1] = Interruption(last.began, Moment.now(), last.cause)
            self._report(f"{self.name} sees records again")

    @property
    def is_interrupted(self) -> bool:
        """Tell whether records may go unseen at this moment."""
        return bool(self.interruptions) and self.interruptions[-1].ended is None

    def _report(self, what: str) -> None:
        if self._runner is not None and self._runner.timeline is not None:
            self._runner.timeline.add("hop", what, hop=self.name, hop_kind=self.kind)


class BackgroundHop(Hop):
    """Base of the hops that look by themselves, in the runner's loop, while the test does something else."""

    @abstractmethod
    async def watch(self, ready: Callable[[], None]) -> None:
        """Look until cancelled; call `ready` as soon as every later record will be seen."""

    def _begin(self, runner: "HopRunner", within_s: float) -> None:
        runner.launch(self, within_s)

    def stop(self) -> None:
        """Stop looking, within two seconds; without effect when it does not look."""
        if self._runner is not None:
            self._runner.recall(self)
