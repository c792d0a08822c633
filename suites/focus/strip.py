"""Reads proof pictures: the row number in the strip at the left of each line, and the codes beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIP = 32
WHITE, BLACK = 255, 0


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One line as read from the screen."""

    row_index: int
    codes: NDArray[np.uint8]  # [bin], the gray value that was shown
    colours_differ: bool  # a pixel whose red, green and blue are not equal is not a gray of the proof table


def read_rows(picture: NDArray[np.uint8]) -> list[PictureRow]:
    """Return the lines of a proof picture [y, x, rgb], top to bottom; a line with an invalid strip is left out."""
    strip, body = picture[:, :STRIP, :], picture[:, STRIP:, :]
    white, black = (strip == WHITE).all(axis=2), (strip == BLACK).all(axis=2)
    valid = (white | black).all(axis=1) & (white.sum(axis=1) % 2 == 1)
    weights = 1 << np.arange(30, -1, -1, dtype=np.int64)
    numbers = (white[:, :31] * weights).sum(axis=1)
    return [
        PictureRow(int(numbers[y]), body[y, :, 0], bool((body[y] != body[y, :, :1]).any()))
        for y in np.flatnonzero(valid)
    ]
