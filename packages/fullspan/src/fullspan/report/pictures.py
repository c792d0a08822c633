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
MOST_BYTES: Final = 3_500_000
"""What all pictures of a report together may take, bytes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its address is its content."""

    name: str
    address: str
    width: int
    height: int
    zoom: int


def pictures(folder: Path, attachments: Iterable[Attachment], room: list[int] | None = None) -> list[Picture]:
    """Return the PNG files among the attachments of a bundle.

    What is no picture is left to its link, and so is what no longer fits into `room`: the bytes that are left for
    pictures, from which each that is shown is taken.
    """
    left = [MOST_BYTES] if room is None else room
    found = []
    for attachment in attachments:
        picture = _picture(folder, attachment, left[0]) if attachment.path.lower().endswith(".png") else None
        if picture is not None:
            left[0] -= len(picture.address)
            found.append(picture)
    return found


def _picture(folder: Path, attachment: Attachment, most_bytes: int) -> Picture | None:
    file = (folder / attachment.path).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file() or file.stat().st_size * 4 / 3 > most_bytes:
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
