"""One direction of a link: the toxics that hold for it, the pace all its connections share, and its counters."""

import mmap
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fullspan.stack.proxy.alarm import Alarm
from fullspan.stack.proxy.sieve import Sieve
from fullspan.stack.proxy.toxics import CLEAR, Counters, Toxics, merged

__all__ = ["Lane"]

READ_BYTES = 512 * 1024
# What a connection may hold back: with latency the bytes of a fast link within it, otherwise little.
HELD_BYTES = 1024 * 1024
TRAVELLING_BYTES = 64 * 1024 * 1024
# A limited link is read in slices of this many seconds of its bandwidth, so that connections share it fairly.
SLICE_S = 0.01


class Lane:
    """What the flows of one direction share."""

    def __init__(self, direction: Literal["up", "down"], counters: Counters, alarm: Alarm, seed: str) -> None:
        self.direction: Literal["up", "down"] = direction
        self.counters = counters
        self.alarm = alarm
        # One buffer serves all flows: bytes leave it before the loop turns to the next one. Memory of a map is taken
        # only as it is used, so a link with small messages, one of hundreds perhaps, costs a page.
        self.buffer = memoryview(mmap.mmap(-1, READ_BYTES))
        self._random = random.Random(f"{seed}/{direction}")  # noqa: S311 - jitter that can be repeated
        self._free_at = 0.0
        self.sieve = Sieve()
        self.set(())

    def set(self, layers: Sequence[Toxics]) -> None:
        """Let all of `layers` hold for the bytes that are read from now on."""
        self.toxics = merged([layer.on(self.direction) for layer in layers])
        # What the kernel drops and how late an end comes is no matter of the bytes that are read.
        self.clear = replace(self.toxics, loss=0.0, close_ms=0.0) == CLEAR
        self.sieve.set(self.toxics.loss)
        rate = self.toxics.bandwidth_bytes_s
        self.read_bytes = max(1, min(READ_BYTES, int(rate * SLICE_S))) if rate else READ_BYTES
        travelling = self.toxics.latency_ms and not self.toxics.stall
        self.capacity = TRAVELLING_BYTES if travelling else HELD_BYTES
        self._free_at = 0.0

    def passed(self, count: int) -> None:
        """Count bytes that were handed on."""
        if self.direction == "up":
            self.counters.bytes_up += count
        else:
            self.counters.bytes_down += count

    def delay_s(self) -> float:
        """Draw the latency of one piece."""
        toxics = self.toxics
        if not toxics.jitter_ms:
            return toxics.latency_ms / 1e3
        return (toxics.latency_ms + self._random.uniform(-toxics.jitter_ms, toxics.jitter_ms)) / 1e3

    def due(self, count: int, now: float) -> float:
        """Return when a piece of `count` bytes that came in at `now` is to go out, and take its time on the link."""
        leaves, delay_s = now, self.delay_s()
        if self.toxics.bandwidth_bytes_s:
            self._free_at = max(now, self._free_at) + count / self.toxics.bandwidth_bytes_s
            leaves = self._free_at
        if self.toxics.stall:
            self.counters.stalled_bytes += count
        else:
            self.counters.queued_bytes += count if leaves > now else 0
            self.counters.delayed_bytes += count if delay_s > 0 else 0
        return leaves + delay_s

    def readable_at(self) -> float:
        """Return from when on more may be read; a time in the past unless the bandwidth is used up."""
        return self._free_at - SLICE_S

    def busy(self) -> bool:
        """Tell whether the bandwidth is used up for the moment."""
        return self._free_at > 0 and self.readable_at() > time.monotonic()
