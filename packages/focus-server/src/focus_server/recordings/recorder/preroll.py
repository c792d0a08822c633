"""What a replayed fibre would have sent before it began: written once per fibre, in the background, by its formula."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from focus_server.errors import FocusError
from focus_server.fiber import FiberAnnouncement
from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.grid import BLOCKS_PER_SECOND
from focus_server.fiber.recording import Recording
from focus_server.recordings.recorder.disk import Disk
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.shelf import Shelf, Stored
from focus_server.recordings.recorder.slot import Slot

__all__ = ["PreRoll"]

_log = structlog.get_logger()

_LOWEST_PRIORITY: Final = 19


class PreRoll:
    """Writes the slots before a fibre's first block, newest first.

    A marker beside the recordings says where live began, so that a run that was cut short is finished by the next one,
    and so that a gap that came later is never filled with what nobody sent. `written` and `part` are called from this
    class's own thread: with each file, and with the beginning of the slot in which live began.
    """

    def __init__(
        self,
        recording: Path,
        seconds: float,
        shelf: Shelf,
        disk: Disk,
        written: Callable[[Stored], object],
        part: Callable[[Slot], object],
    ) -> None:
        self._recording = recording
        self._blocks = round(seconds * BLOCKS_PER_SECOND)
        self._shelf = shelf
        self._disk = disk
        self._written = written
        self._part = part
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def begins(self, fibre: RecordedFibre, announcement: FiberAnnouncement, first_block: int) -> None:
        """Take note of the first block of a fibre in this run; a fibre that was recorded before is left alone."""
        marker = self._shelf.base / f".{fibre.site}-{fibre.uuid(0)}.preroll.json"
        try:
            state = json.loads(marker.read_bytes())
            first_block, done = int(state["first_block"]), bool(state["done"])
        except FileNotFoundError:
            done = self._shelf.has_any_of(fibre)
        except (OSError, ValueError, KeyError, TypeError):
            done = True
        if done:
            return
        try:
            _mark(marker, first_block, done=False)
        except OSError as error:
            _log.warning("preroll.failed", cause=f"{marker.name} cannot be written: {error.strerror}")
            return
        # Not a daemon: a process must not end while HDF5 writes.
        thread = threading.Thread(target=self._run, args=(fibre, announcement, first_block, marker), name="preroll")
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Let the file that is being written be finished, and write nothing else; returns when it is."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, fibre: RecordedFibre, announcement: FiberAnnouncement, first_block: int, marker: Path) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        try:
            files = self._write_all(fibre, _formula(self._recording, announcement), first_block)
            if files is not None:
                _mark(marker, first_block, done=True)
                _log.info("preroll.done", files=files)
        except (FocusError, OSError) as error:
            _log.warning("preroll.failed", cause=str(error))

    def _write_all(self, fibre: RecordedFibre, formula: ReplayFormula, first_block: int) -> int | None:
        """Return how many files were written; None when that was cut short."""
        begin = max(0, first_block - self._blocks)
        live_slot, lead = divmod(first_block, fibre.slot_blocks)
        if lead:
            self._part(_slot_of(fibre, formula, live_slot, max(begin, live_slot * fibre.slot_blocks), first_block))
        files = 0
        for number in range(live_slot - 1, begin // fibre.slot_blocks - 1, -1):
            if self._stop.is_set():
                return None
            if not self._disk.allows(fibre.slot_bytes):
                raise FocusError("There is too little free disk for the rest of the pre-roll; the next start goes on.")
            if self._shelf.table(fibre, number) is None:
                end = (number + 1) * fibre.slot_blocks
                slot = _slot_of(fibre, formula, number, max(begin, number * fibre.slot_blocks), end)
                self._written(self._shelf.store(slot))
                files += 1
        return files


def _slot_of(fibre: RecordedFibre, formula: ReplayFormula, number: int, begin: int, end: int) -> Slot:
    """Return the blocks [begin, end) of a slot as the formula gives them."""
    slot = Slot(fibre, number, None, 0.0)
    first, after = fibre.grid.first_sample(begin), fibre.grid.first_sample(end)
    slot.data[first - slot.first_sample : after - slot.first_sample] = formula.samples(first, after - first)
    origin = number * fibre.slot_blocks
    slot.have[begin - origin : end - origin] = True
    return slot


def _formula(path: Path, announcement: FiberAnnouncement) -> ReplayFormula:
    """Return the formula that a fibre announces. Raises FocusError when it is not one of this recording."""
    source: dict[str, Any] = announcement.fiber_source
    recording = Recording.load(path)
    if source.get("sha256") != recording.sha256:
        raise FocusError(f"The fibre does not replay {path.name}; without its recording there is no pre-roll.")
    try:
        options = ReplayOptions(
            channels=announcement.number_of_channels,
            seed=int(source["seed"]),
            dtype=announcement.dtype,
            dc=float(source["dc"]),
            nan_channels=tuple(int(channel) for channel in source["nan_channels"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FocusError(f"The fibre announces a formula that cannot be used: {error}.") from None
    formula = ReplayFormula(recording, options)
    if formula.scale != announcement.scale:
        raise FocusError("The fibre announces another scale than its formula gives; there is no pre-roll.")
    return formula


def _mark(marker: Path, first_block: int, *, done: bool) -> None:
    part = marker.with_name(f"{marker.name}.part")
    part.write_text(json.dumps({"first_block": first_block, "done": done}), encoding="utf-8")
    part.replace(marker)
