"""The course of the local exchange: what happens when, at the pace of the wall clock."""

from k2.feed.exchange.event import Event

__all__ = ["Course"]


class Course:
    """What happens next: `due` events at a moment of the wall clock (seconds since 1970), and when to look again."""

    def due(self, now: float) -> list[Event]:
        """Return what has happened until now, in order, each once."""
        raise NotImplementedError

    def next_at(self) -> float | None:
        """Return when the next event is due, None when there will be none any more."""
        raise NotImplementedError

    def begin(self, now: float) -> None:
        """Start the clock."""
        raise NotImplementedError

    def hurry(self, factor: float, until: float) -> None:
        """Run so many times faster until a moment."""
        raise NotImplementedError
