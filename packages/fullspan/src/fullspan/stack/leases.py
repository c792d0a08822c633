"""Leases: what a client breaks under a lease is healed when the client goes, however it goes."""

import secrets
from collections.abc import Awaitable, Callable

from fullspan.errors import UsageError

__all__ = ["Leases"]

Heal = Callable[[], Awaitable[object]]


class Leases:
    """Who broke what, and how each thing is healed; a thing has one way to be healed, whoever broke it."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Heal]] = {}

    def grant(self) -> str:
        """Return the id of a new lease."""
        lease = secrets.token_hex(8)
        self._held[lease] = {}
        return lease

    def check(self, lease: str | None) -> None:
        """Raise UsageError for a lease that is over."""
        if lease is not None and lease not in self._held:
            raise UsageError(f"The lease {lease} is over, or there never was one.", "Ask for a new one: POST /leases.")

    def broke(self, lease: str | None, thing: str, heal: Heal) -> None:
        """Take note that something was broken under a lease (without one it stays broken)."""
        if lease is not None and lease in self._held:
            self._held[lease][thing] = heal

    def spared(self, lease: str | None, thing: str) -> None:
        """Take note that what was about to be broken under a lease was not."""
        if lease is not None and lease in self._held:
            self._held[lease].pop(thing, None)

    def healed(self, thing: str) -> None:
        """Take note that something is whole again."""
        for things in self._held.values():
            things.pop(thing, None)

    def end(self, lease: str) -> dict[str, Heal]:
        """End a lease; return what is to be healed, the latest first."""
        return dict(reversed(self._held.pop(lease, {}).items()))
