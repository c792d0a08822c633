"""Every fault is registered under its kind, so that a schedule can name it."""

import pytest

from fullspan import faults
from fullspan.faults import Evidence, Fault
from fullspan.stack.kinds import find_kind, kinds_of
from fullspan.verdict import Verdict

GROUP = "fullspan.faults"


def test_all_public_faults_are_registered_under_their_kind():
    public = {name for name in faults.__all__ if issubclass(getattr(faults, name), Fault)} - {"Fault"}
    found = {kind: find_kind(GROUP, kind, Fault) for kind in kinds_of(GROUP)}
    assert {kind: cls.kind for kind, cls in found.items()} == {kind: kind for kind in found}
    assert {cls.__name__ for cls in found.values()} >= public


@pytest.mark.parametrize(
    ("bit", "healed", "verdict", "words"),
    [
        (True, True, Verdict.PASS, "bit (it stood) and healed after 0.25 s (it moved)"),
        (False, True, Verdict.INCONCLUSIVE, "did not bite: it stood"),
        (True, False, Verdict.INCONCLUSIVE, "was not seen to heal: it moved"),
        (False, False, Verdict.INCONCLUSIVE, "did not bite: it stood"),
    ],
)
def test_only_a_fault_that_bit_and_healed_proves_anything(bit, healed, verdict, words):
    evidence = Evidence("hang", "web", bit, healed, "it stood", "it moved", 1, 2, 0.25)
    assert evidence.verdict is verdict
    assert words in evidence.reason


def test_exported_names_exist():
    assert set(faults.__all__) <= set(vars(faults))
