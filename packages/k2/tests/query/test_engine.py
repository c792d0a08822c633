"""Questions at once, each within its time."""

import threading
from contextlib import ExitStack, closing, suppress

import pytest

from k2.errors import QueryError
from k2.query.engine import Engine

from ..programs import LONGEST_S, until  # noqa: TID252

FOR_EVER = "SELECT count(*) FROM range(1000000000000) AS a(n) WHERE n % 7 = 3"


@pytest.fixture
def engine(tmp_path):
    """Makes engines with a limit in seconds."""
    with ExitStack() as stack:

        def made(limit_s):
            return stack.enter_context(closing(Engine(str(tmp_path), 64, 2, limit_s)))

        yield made


def asked(sql):
    return lambda cursor: cursor.execute(sql).fetchall()


def test_what_takes_too_long_is_ended_and_the_next_is_answered(engine):
    hurried = engine(0.2)
    endless = [hurried.submit(asked(FOR_EVER)) for _ in range(2)]
    for each in endless:
        with pytest.raises(QueryError, match=r"longer than 0\.2 s") as raised:
            each.result(LONGEST_S)
        assert raised.value.reason == "time"

    def seven():
        with suppress(QueryError):  # on a busy machine this may take too long as well
            return hurried.run(asked("SELECT 7")) == [(7,)]

    until(seven, "the next question is answered")


def test_the_time_counts_between_two_statements_too(engine):
    def slowly(cursor):
        threading.Event().wait(0.5)  # it is the time itself that is asked about
        return cursor.execute(FOR_EVER).fetchall()

    with pytest.raises(QueryError, match="longer than"):
        engine(0.2).run(slowly)


def test_a_file_that_is_not_there_is_told(engine, tmp_path):
    with pytest.raises(QueryError, match="cannot be read") as raised:
        engine(60).run(asked(f"FROM read_parquet('{tmp_path}/none.parquet')"))
    assert raised.value.reason == "files"
