import pytest

from fullspan.verdict import EXIT_CODE, Verdict, combine

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([PASS, PASS], PASS),
        ([PASS, INCONCLUSIVE], INCONCLUSIVE),
        ([INCONCLUSIVE, FAIL, PASS], FAIL),
        ([], INCONCLUSIVE),
    ],
)
def test_several_verdicts_become_one(verdicts, together):
    assert combine(iter(verdicts)) is together


def test_exit_codes_are_the_published_ones():
    assert {verdict.value: code for verdict, code in EXIT_CODE.items()} == {"pass": 0, "fail": 1, "inconclusive": 2}
