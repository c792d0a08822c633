"""A capture of an exchange's frames as truth: what was traded, before any program of the pipeline saw it."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from suites.k2.records import trade_frame, trade_of


def trades_of(capture: Path) -> Iterator[dict[str, Any]]:
    """Yield the trades of a capture: a frame a line, after the time of its receipt in ns and a blank; .gz or plain."""
    with gzip.open(capture, "rt") if capture.suffix == ".gz" else capture.open() as lines:
        for line in lines:
            frame = trade_frame(line.partition(" ")[2])
            if frame is not None:
                yield trade_of(frame)
