"""The fibres that were announced, kept on the disk: blocks that wait with the broker outlive their announcement."""

import json
import re
from pathlib import Path
from typing import Final

import structlog

from focus_server.errors import BlockError, FocusError
from focus_server.fiber import Block, FiberAnnouncement
from focus_server.recordings.recorder.fibre import RecordedFibre

__all__ = ["Fibres"]

_log = structlog.get_logger()

_REMEMBERED: Final = 8
_SITE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Fibres:
    """The last announcements of a site. Raises FocusError when the folder's files are of another length."""

    def __init__(self, base: Path, site: str, recording_s: int) -> None:
        if not _SITE.fullmatch(site):
            raise FocusError(f"The site {site!r} cannot be part of a file's name.")
        self._path = base / f".{site}.fibres.json"
        self._folder = base / site
        self._recording_s = recording_s
        self._announcements: list[FiberAnnouncement] = []
        self._fibres: dict[int, RecordedFibre] = {}
        self._load()

    def _load(self) -> None:
        try:
            content = json.loads(self._path.read_bytes())
            length, texts = int(content["recording_s"]), list(content["announcements"])
            announcements = [FiberAnnouncement.from_json(json.dumps(text).encode()) for text in texts]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, BlockError) as error:
            _log.warning("recorder.unreadable", cause=f"{self._path.name} cannot be read: {type(error).__name__}")
            return
        if length != self._recording_s:
            if self._folder.is_dir() and next(self._folder.rglob("*.h5"), None) is not None:
                raise FocusError(
                    f"The recordings in {self._folder} are {length} s long, not {self._recording_s} s;"
                    f" set recording_s to {length}, or choose another folder."
                )
            return
        for announcement in announcements:
            self._add(announcement)

    def announced(self, announcement: FiberAnnouncement) -> bool:
        """Take note of an announcement; True when it is a new one. Raises BlockError when it cannot be recorded."""
        if self._announcements and self._announcements[-1] == announcement:
            return False
        self._add(announcement)
        self._save()
        return True

    def _add(self, announcement: FiberAnnouncement) -> None:
        fibre = RecordedFibre.of(announcement, self._recording_s)
        self._announcements = [*self._announcements, announcement][-_REMEMBERED:]
        self._fibres[announcement.epoch] = fibre
        remembered = {known.epoch for known in self._announcements}
        self._fibres = {epoch: known for epoch, known in self._fibres.items() if epoch in remembered}

    def _save(self) -> None:
        content = {
            "recording_s": self._recording_s,
            "announcements": [json.loads(announcement.to_json()) for announcement in self._announcements],
        }
        part = self._path.with_name(f"{self._path.name}.part")
        try:
            part.write_text(json.dumps(content), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            _log.warning("recorder.not_saved", cause=f"{self._path.name} cannot be written: {error.strerror}")

    def of(self, block: Block) -> RecordedFibre | None:
        """Return the fibre of a block: the one of its own epoch, else the newest that fits; None when none does."""
        fibre = self._fibres.get(block.epoch)
        if fibre is not None and fibre.carries(block):
            return fibre
        for announcement in reversed(self._announcements):
            fibre = self._fibres[announcement.epoch]
            if fibre.carries(block) and _fits(fibre, block):
                return fibre
        return None

    def source(self, fibre: RecordedFibre) -> FiberAnnouncement | None:
        """Return the newest announcement of a fibre."""
        found = (one for one in reversed(self._announcements) if self._fibres[one.epoch].key == fibre.key)
        return next(found, None)


def _fits(fibre: RecordedFibre, block: Block) -> bool:
    try:
        fibre.number(block)
    except BlockError:
        return False
    return True
