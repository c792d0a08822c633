"""Defects of the self-test, planted into the running Focus: those of its wire to the page, and of a request."""

from collections.abc import Iterator

import pytest

from fullspan.selftest.focus_catalogue import FOCUS
from fullspan.selftest.focus_slice import FocusSlice, focus_attached
from fullspan.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.own_processors]

QUICK = ("frame-altered", "wrong-channel")


@pytest.fixture(scope="module")
def focus_slice(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FocusSlice]:
    with focus_attached(stack, tmp_path_factory.mktemp("slice")) as attached:
        yield attached


@pytest.mark.parametrize("name", QUICK)
def test_a_defect_is_found_in_the_running_system(focus_slice: FocusSlice, name: str) -> None:
    [planted] = [one for one in FOCUS if one.defect.name == name]
    result = focus_slice.plant(planted)
    assert result.right, f"{result.found}: {result.detail}"
