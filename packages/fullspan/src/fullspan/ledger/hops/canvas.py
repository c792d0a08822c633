"""What is on the screen: pixels of one element, from a screenshot and from nothing else."""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from fullspan.errors import Inconclusive
from fullspan.ledger.record import Moment

__all__ = ["CanvasReader", "Shot"]

TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One screenshot: `pixels` [row, column, RGB] uint8, the PNG, and the moments between which it was taken.

    What it shows was on the screen at some time in between; what it does not show was not yet there at `begin`.
    """

    pixels: NDArray[np.uint8]
    png: bytes
    begin: Moment
    end: Moment


class CanvasReader:
    """Takes screenshots of the one element that a CSS selector names, pixel for pixel."""

    def __init__(self, page: Page, selector: str, timeout_s: float = TIMEOUT_S) -> None:
        self._page = page
        self._selector = selector
        self._timeout_ms = timeout_s * 1000

    def read(self) -> Shot:
        """Take a screenshot.

        Raises Inconclusive when the element cannot be seen, or when its pixels are not the screen's pixels.
        """
        x, y, width, height = self._box()
        begin = Moment.now()
        try:
            png = self._page.screenshot(
                clip={"x": x, "y": y, "width": width, "height": height}, timeout=self._timeout_ms
            )
        except PlaywrightError as error:
            raise Inconclusive(f"No screenshot of {self._selector} could be taken: {error.message}") from error
        end = Moment.now()
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        if pixels.shape[:2] != (height, width):
            raise Inconclusive(
                f"The screenshot of {self._selector} is {pixels.shape[1]} x {pixels.shape[0]} pixels but the element "
                f"{width:g} x {height:g}; open the page with a device scale factor of 1."
            )
        return Shot(pixels, png, begin, end)

    def _box(self) -> tuple[float, float, float, float]:
        """Return the element's place on the page, in whole pixels and wholly inside the window."""
        try:
            box = self._page.locator(self._selector).bounding_box(timeout=self._timeout_ms)
        except PlaywrightError as error:
            raise Inconclusive(f"{self._selector} could not be found on the page: {error.message}") from error
        if box is None:
            raise Inconclusive(f"{self._selector} is on the page but cannot be seen.")
        x, y, width, height = box["x"], box["y"], box["width"], box["height"]
        if any(value != round(value) for value in (x, y, width, height)):
            raise Inconclusive(f"{self._selector} lies between pixels ({x:g}, {y:g}, {width:g} x {height:g}).")
        window = self._page.viewport_size
        if window and (x < 0 or y < 0 or x + width > window["width"] or y + height > window["height"]):
            raise Inconclusive(
                f"{self._selector} ({width:g} x {height:g} at {x:g}, {y:g}) reaches beyond the window of "
                f"{window['width']} x {window['height']}; open the page in a larger one."
            )
        return x, y, width, height
