"""The stack that a benchmark measures: one of its own, or one that runs already."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fullspan.clients import FocusClient, Wishes
from fullspan.stack import Stack, open_stack

NAME = "focus"
FED_WITHIN_S = 60.0


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a running stack."""
    parser.add_argument("--stack", metavar="NAME", help="measure this running stack, as it is, instead of one's own")


@contextmanager
def the_stack(named: str | None, profile: str | None = None, *, of: str = NAME) -> Iterator[Stack]:
    """Attach to a running stack, or bring one up in a profile and take it down."""
    if named is None:
        with open_stack(of, profile) as stack:
            yield stack
    else:
        with Stack.attach(named) as stack:
            yield stack


def wait_until_fed(client: FocusClient, channels: int | tuple[int, int], wishes: Wishes) -> None:
    """Wait until such a live job has its first row at once."""
    deadline = time.monotonic() + FED_WITHIN_S
    while time.monotonic() < deadline:
        if not client.live_metadata().waiting:
            job = client.configure(channels, **wishes)
            client.cancel(job.job_id)
            if job.ready_in_s == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the analyzer had no window of the fibre within {FED_WITHIN_S:g} s")
