"""One lane of a picture: bars, dots and lines, and what names them."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["CHARACTER", "PAD", "ROW", "Bar", "Dot", "Key", "Lane", "Line", "Rule"]

ROW: Final = 20.0
PAD: Final = 5.0
CHARACTER: Final = 5.9  # mean width of one at the labels' size


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted: its place, its look, and what it says when pointed at."""

    x: float
    y: float
    width: float
    look: str
    label: str
    title: str
    height: float = 16.0


@dataclass(frozen=True, slots=True)
class Dot:
    """Something that happened; the label is empty where there is no room for it."""

    x: float
    y: float
    look: str
    label: str
    anchor: str
    title: str
    lift: float = -4.0
    """How far above the dot's middle the label stands; the usual one is beside it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A measured value in time: the path of an SVG, from the top of its lane, and what it says when pointed at."""

    path: str
    look: str
    title: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of a scale and its value; the label is empty where there is no room for it."""

    y: float
    label: str
    lift: float = 0.0
    """How far above the line the value stands: the one of a row of its own is that of its top."""


@dataclass(frozen=True, slots=True)
class Key:
    """The name of a line or a row, beside a sample of its look."""

    x: float
    y: float
    look: str
    label: str


@dataclass(slots=True)
class Lane:
    """One lane of the picture, `height` high; all places in it are counted from its top."""

    name: str
    y: float = 0.0
    height: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
