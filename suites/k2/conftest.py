"""What the suites on K2 share: the pipeline with its observers."""

from collections.abc import Iterator

import pytest

from fullspan.ledger import Ledger
from fullspan.ledger.hops import HopRunner
from fullspan.stack import Stack
from fullspan.timeline import Timeline
from suites.k2.pipeline import Pipeline


@pytest.fixture
def pipeline(stack: Stack, ledger: Ledger, timeline: Timeline) -> Iterator[Pipeline]:
    """The pipeline, watched by this test's own observers."""
    with HopRunner(ledger, timeline) as runner:
        watched = Pipeline(stack, runner)
        try:
            yield watched
        finally:
            watched.close()
