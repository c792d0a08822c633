"""The screenshots of a bundle, as part of the page, at their own size or at a whole multiple of it."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fullspan.bundle import Attachment

__all__ = ["Picture", "pictures"]

ROOM: Final = 400  # pixels that a picture may be wide after zooming
LARGEST_ZOOM: Final = 3
MOST_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its address is its content."""

    name: str
    address: str
    width: int
    height: int
    zoom: int


def pictures(folder: Path, attachments: Iterable[Attachment]) -> list[Picture]:
    """Return the PNG files among the attachments of a bundle; what is no picture or too large is left to its link."""
    found = (_picture(folder, attachment) for attachment in attachments if attachment.path.lower().endswith(".png"))
    return [picture for picture in found if picture is not None]


def _picture(folder: Path, attachment: Attachment) -> Picture | None:
    file = (folder / attachment.path).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file() or file.stat().st_size > MOST_BYTES:
        return None
    from PIL import Image  # most reports have no picture

    try:
        with Image.open(file) as image:
            width, height = image.size
    except OSError:
        return None
    zoom = max(1, min(LARGEST_ZOOM, ROOM // width))
    address = "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
    return Picture(attachment.name, address, width * zoom, height * zoom, zoom)
