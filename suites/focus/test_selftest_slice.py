"""Defects of the self-test, planted into the running Focus: on its wire to the page, into requests, and into calls."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fullspan.selftest.defect import Result
from fullspan.selftest.focus_calls import CALLED, CLEAN_CALLS
from fullspan.selftest.focus_catalogue import FOCUS
from fullspan.selftest.focus_slice import FocusSlice, focus_attached
from fullspan.selftest.focus_views import CLEAN_VIEW, VIEWS
from fullspan.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.own_processors]

QUICK = ("frame-altered", "wrong-channel")
CASES = [
    *(pytest.param(FocusSlice.plant, one, id=name) for one in FOCUS if (name := one.defect.name) in QUICK),
    *(pytest.param(FocusSlice.call, one, id=f"{one.defect.name}-calls") for one in (CLEAN_CALLS, *CALLED)),
    # The fibre is silent for seconds in most of these.
    *(
        pytest.param(FocusSlice.look, one, id=f"{one.defect.name}-view", marks=pytest.mark.soak)
        for one in (CLEAN_VIEW, *VIEWS)
    ),
]


@pytest.fixture(scope="module")
def focus_slice(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FocusSlice]:
    with focus_attached(stack, tmp_path_factory.mktemp("slice")) as attached:
        yield attached


@pytest.mark.parametrize(("look", "planted"), CASES)
def test_a_defect_is_found_in_the_running_system(
    focus_slice: FocusSlice, look: Callable[[FocusSlice, Any], Result], planted: object
) -> None:
    result = look(focus_slice, planted)
    assert result.right, f"{result.found}: {result.detail}"
