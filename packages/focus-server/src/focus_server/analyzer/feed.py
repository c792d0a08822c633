"""What arrives from the fibre becomes samples in a ring: late blocks in order, doubles and strangers counted and left.

Nothing here waits or knows the broker: announcements and blocks are given to it with the time of a monotonic clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.frontier import Frontier
from focus_server.analyzer.grid import NS_PER_S
from focus_server.analyzer.ring import Ring
from focus_server.contract import WAITING_FOR_FIBER
from focus_server.contract import Feed as FeedState
from focus_server.errors import BlockError
from focus_server.fiber import Block, FiberAnnouncement, group_count, group_range
from focus_server.fiber.blocks import GROUP_CHANNELS

STALE_S: Final = 5.0
"""A fibre that is silent for so long does not count as a feed any more; its jobs go on waiting for it."""

_log = structlog.get_logger()

_HELD_BLOCKS: Final = 1024
"""Blocks kept until the announcement of their fibre comes; that is due within a second."""
_REMEMBERED_BLOCKS: Final = 2048
"""Blocks of one group whose numbers are remembered: more than two minutes."""


@dataclass(slots=True)
class Counts:
    """What became of the blocks that arrived."""

    taken: int = 0
    duplicate: int = 0
    too_late: int = 0
    foreign: int = 0
    given_up_samples: int = 0


class _Seen:
    """The newest (epoch, seq) of one group."""

    def __init__(self) -> None:
        self._order: deque[tuple[int, int]] = deque()
        self._set: set[tuple[int, int]] = set()

    def add(self, epoch: int, seq: int) -> bool:
        """Remember a block; False when it was seen before."""
        key = (epoch, seq)
        if key in self._set:
            return False
        self._set.add(key)
        self._order.append(key)
        if len(self._order) > _REMEMBERED_BLOCKS:
            self._set.discard(self._order.popleft())
        return True


class FibreSamples:
    """The samples of one fibre: the ring and how far each group of channels has come."""

    def __init__(self, fibre: Fibre, ring_samples: int, give_up_s: float) -> None:
        self.fibre = fibre
        self.ring = Ring(fibre.channels, ring_samples, fibre.sample_type)
        groups = range(group_count(fibre.channels))
        self._give_up_samples = round(give_up_s * fibre.fs)
        self.frontiers = [Frontier(self.ring.coverage(group), give_up_s, self._give_up_samples) for group in groups]
        self._seen = [_Seen() for _ in groups]

    def take(self, block: Block, now_s: float, counts: Counts) -> bool:
        """Store a block of this fibre; False when it brought nothing new or came too late."""
        if not self._seen[block.group].add(block.epoch, block.seq):
            counts.duplicate += 1
            return False
        frontier = self.frontiers[block.group]
        begin, end = block.first_sample, block.first_sample + block.samples
        wanted = begin if frontier.sample is None else max(begin, frontier.sample)
        if wanted >= end or self.ring.holds(block.group, wanted, end):
            counts.too_late += 1
            return False
        self.ring.write(block.group, wanted, block.data[wanted - begin :])
        frontier.arrived(wanted, now_s)
        counts.taken += 1
        return True

    def frontier(self, first_channel: int, last_channel: int, now_s: float) -> int | None:
        """Give the sample up to which nothing is waited for in a range of channels; None while a group has none.

        A group that is silent while another one goes on is not waited for longer than a hole would be.
        """
        groups = _groups(first_channel, last_channel)
        frontiers = self.frontiers[groups.start : groups.stop]
        here = [frontier.sample for frontier in frontiers if frontier.sample is not None]
        if not here:
            return None
        settled = [sample for frontier in frontiers if (sample := frontier.settled(now_s)) is not None]
        without_silent = min(max(settled, default=0), max(here) - self._give_up_samples)
        return max(min(here), without_silent) if len(here) == len(frontiers) else without_silent

    def begin(self, first_channel: int, last_channel: int) -> int:
        """Give the sample from which on all channels of a range that have any have some; 0 when none has."""
        return max(self._begins(first_channel, last_channel), default=0)

    def oldest(self, first_channel: int, last_channel: int) -> int:
        """Give the oldest sample that is still there of any channel of a range; 0 when there is none."""
        return min(self._begins(first_channel, last_channel), default=0)

    def _begins(self, first_channel: int, last_channel: int) -> list[int]:
        coverages = map(self.ring.coverage, _groups(first_channel, last_channel))
        return [coverage.begin for coverage in coverages if coverage]

    @property
    def end(self) -> int:
        """The sample after the newest one of any channel; 0 when there is none."""
        coverages = map(self.ring.coverage, range(len(self.frontiers)))
        return max((coverage.end for coverage in coverages if coverage), default=0)


def _groups(first_channel: int, last_channel: int) -> range:
    return range((first_channel - 1) // GROUP_CHANNELS, (last_channel - 1) // GROUP_CHANNELS + 1)


class Feed:
    """The live fibre as it is now. `on_fibre` is called when a fibre, or another one, begins."""

    def __init__(self, ring_samples: int, give_up_s: float, on_fibre: Callable[[Fibre], None]) -> None:
        self._ring_samples = ring_samples
        self._give_up_s = give_up_s
        self._on_fibre = on_fibre
        self._held: deque[Block] = deque(maxlen=_HELD_BLOCKS)
        self.announcement: FiberAnnouncement | None = None
        self.samples: FibreSamples | None = None
        self.counts = Counts()
        self.last_block_s: float | None = None

    def announced(self, announcement: FiberAnnouncement, now_s: float) -> None:
        """Take note of what the fibre is; another fibre than before starts with an empty ring."""
        self.announcement = announcement
        fibre = Fibre.of(announcement)
        if self.samples is not None and self.samples.fibre == fibre:
            return
        self.samples = None  # so that two rings are never there at the same time
        self.last_block_s = None
        self._on_fibre(fibre)
        try:
            self.samples = FibreSamples(fibre, self._ring_samples, self._give_up_s)
        except MemoryError:
            size = fibre.channels * self._ring_samples * fibre.sample_type.itemsize / 2**20
            sentence = f"{fibre.channels} channels need {size:.0f} MiB, which there are not; lower ring_samples."
            raise BlockError(sentence) from None
        _log.info("fibre.announced", channels=fibre.channels, fs=float(fibre.fs), dtype=fibre.dtype, t0_ns=fibre.t0_ns)
        held, self._held = self._held, deque(maxlen=_HELD_BLOCKS)
        for block in held:
            self.arrived(block, now_s)

    def input_changed(self) -> None:
        """Forget how the fibre was described, until it is announced again; samples, and jobs, go on."""
        self.announcement = None

    def arrived(self, block: Block, now_s: float) -> bool:
        """Take a block; False when it brought nothing that can be used now."""
        samples = self.samples
        if samples is None or not samples.fibre.matches(block):
            self._held.append(block)
            self.counts.foreign += 1
            return False
        if (block.ch_first, block.ch_last) != group_range(block.group, samples.fibre.channels):
            self.counts.foreign += 1
            return False
        self.last_block_s = now_s
        return samples.take(block, now_s, self.counts)

    def give_up(self, now_s: float) -> bool:
        """Pass over holes that were waited for long enough; True when that made lines complete."""
        if self.samples is None:
            return False
        given_up = sum(frontier.give_up(now_s) for frontier in self.samples.frontiers)
        if given_up:
            self.counts.given_up_samples += given_up
            _log.warning("fibre.hole", given_up_samples=given_up)
        return given_up > 0

    def state(self, now_s: float, wall_ns: int) -> FeedState:
        """Tell whether samples come: live, or stale after a silence, or waiting while none has come yet."""
        samples = self.samples
        if samples is None or self.last_block_s is None:
            return FeedState(state="waiting", detail=f"The analyzer is {WAITING_FOR_FIBER}.")
        age_s = (wall_ns - samples.fibre.clock.time_ns(samples.end)) / NS_PER_S
        silent_s = now_s - self.last_block_s
        if silent_s > STALE_S:
            detail = f"No block has arrived for {silent_s:.0f} s; {WAITING_FOR_FIBER}."
            return FeedState(state="stale", detail=detail, newest_sample_age_s=age_s)
        return FeedState(state="live", detail="Blocks arrive.", newest_sample_age_s=age_s)
