"""Bundles whose observations are lines of JSON are refused by all who read bundles, with what to do instead."""

import pytest

from fullspan.bundle import Bundle
from packages.fullspan.tests.commands import fullspan_here
from packages.fullspan.tests.report.sample import sample_bundle


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle as the previous form left it: beside its report a file of lines per test and hop."""
    bundle = Bundle.create(tmp_path_factory.mktemp("previous"), "focus")
    bundle.write_run(sample_bundle(tmp_path_factory.mktemp("today")).run())
    folder = bundle.observations_of("suites/focus/test_a.py::test_b")
    folder.mkdir(parents=True)
    (folder / "row.jsonl").write_text('{"hop": "row", "key": "1-7/0/345", "sequence": 345}\n')
    return bundle


@pytest.mark.parametrize(
    "words",
    [["report", "{}"], ["diff", "{}", "{}"], ["explain", "1-7/0/345", "--bundle", "{}"]],
    ids=lambda words: words[0],
)
def test_it_is_refused_and_its_own_report_and_a_new_run_are_named(previous: Bundle, words: list[str]):
    previous.report.write_text("as it was")
    done = fullspan_here(previous.path, *(word.format(previous.path) for word in words))
    assert (done.returncode, done.stdout) == (3, "")
    assert "holds a bundle of the previous form" in done.stderr
    assert "run the suite again" in done.stderr
    assert previous.report.read_text() == "as it was"
