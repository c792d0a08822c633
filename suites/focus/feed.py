"""The fibre that is sent right now: its metadata once blocks arrive, and the oracle of its samples."""

import time
from pathlib import Path

from fullspan.clients import FocusClient, LiveMetadata
from fullspan.errors import Inconclusive
from fullspan.stack import Stack
from suites.focus.oracle import Fibre

FEED_WITHIN_S = 60.0


def metadata_of(focus: FocusClient) -> LiveMetadata:
    """Return the fibre's metadata, once blocks arrive."""
    deadline = time.monotonic() + FEED_WITHIN_S
    while (metadata := focus.live_metadata()).waiting:
        if time.monotonic() > deadline:
            raise Inconclusive(f"No live block arrived within {FEED_WITHIN_S:g} s; see the log of `interrogator`.")
        time.sleep(0.1)
    return metadata


def fibre_of(stack: Stack, live: LiveMetadata) -> Fibre:
    """Return the oracle of the fibre whose metadata these are."""
    return Fibre.from_metadata(dict(live.fiber_source), sample_file(stack))


def sample_file(stack: Stack) -> Path:
    """Return the recording that the stack replays."""
    file = Path(stack.var) / "data" / "sample.npy"
    if not file.exists():
        raise Inconclusive(f"The sample recording {file.name} is not there; run `make setup`.")
    return file
