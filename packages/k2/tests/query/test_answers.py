"""Answers from few files are those of a plain search through all rows, whatever is asked of however many files."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from k2.lake import TRADES
from k2.lake.compaction import compact
from k2.query.answers import answer
from k2.query.engine import Engine
from k2.query.question import Condition, Question
from k2.query.views import Views

from ..lake.conftest import MIDNIGHT_US, Filler, table_of, trade  # noqa: TID252


def plain(rows, question):
    """The numbers of a question's rows by a plain search."""
    symbols = [row for row in rows if question.symbol in {None, row["symbol"]}]
    chosen = [
        row
        for row in symbols
        if (question.start_us is None or row["timestamp"] >= question.start_us)
        and (question.end_us is None or row["timestamp"] < question.end_us)
        and all(row[each.column] >= Decimal(each.value) for each in question.conditions)
    ]
    down = question.order[0][1] if question.order else True
    chosen.sort(key=lambda row: (row["timestamp"], row["source_sequence"], row["symbol"]), reverse=down)
    part = chosen[question.offset : question.offset + question.limit]
    return [(row["symbol"], row["source_sequence"]) for row in part], len(chosen) > question.offset + question.limit


def told(rows):
    import json

    documents = [json.loads(document) for document in rows.documents]
    return [(row["symbol"], row["source_sequence"]) for row in documents], rows.more


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """3,000 trades in 12 commits, some late, some at the same moment; and 200 more that no table has."""
    from k2.lake import LakeTable
    from k2.lake.catalog import open_catalog
    from k2.settings import LakeSettings

    folder = tmp_path_factory.mktemp("lake")
    settings = LakeSettings(catalog_uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder / "warehouse"))
    table = LakeTable(open_catalog(settings), TRADES)
    rng = random.Random(5)
    rows = [
        trade(
            number,
            symbol=rng.choice(["BTCUSDT", "ETHUSDT", "RARE" if number % 97 == 0 else "SOLUSDT"]),
            at_us=MIDNIGHT_US - 1_000_000 + number * 1000 - rng.choice([0, 0, 0, 500_000]) - number % 3,
            price=f"{rng.randrange(1, 1000)}.5",
        )
        for number in range(3200)
    ]
    fill = Filler(table)
    for first in range(0, 3000, 250):
        fill(rows[first : first + 250])
    return settings, table, rows


QUESTIONS = [
    Question(TRADES, limit=1),
    Question(TRADES, limit=100),
    Question(TRADES, limit=100, offset=1500),
    Question(TRADES, limit=7, symbol="RARE"),
    Question(TRADES, limit=7, symbol="RARE", offset=5, order=(("timestamp", False),)),
    Question(TRADES, limit=50, symbol="ETHUSDT", end_us=MIDNIGHT_US),
    Question(TRADES, limit=50, start_us=MIDNIGHT_US - 500_000, order=(("timestamp", False),)),
    Question(TRADES, limit=10, conditions=[Condition("price", ">=", "990")]),
    Question(TRADES, limit=10_000),
    Question(TRADES, limit=10, symbol="NOTHING"),
    Question(TRADES, limit=10, end_us=MIDNIGHT_US - 10_000_000),
]


def test_a_question_of_few_rows_reads_few_files(filled):
    settings, _, rows = filled
    views = Views(settings, 1)
    views.look()
    view = views[TRADES.name]
    late = replace(view, files=tuple(replace(file, path="/gone") if _old(file, rows) else file for file in view.files))
    engine = Engine(settings.warehouse, 256, 1, 30)
    found = engine.run(lambda cursor: answer(cursor, late, Question(TRADES, limit=5)))
    assert told(found) == plain(rows[:3000], Question(TRADES, limit=5))
    engine.close()


def _old(file, rows):
    middle = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=rows[1500]["timestamp"])
    return file.last_us < middle.timestamp() * 1e6


@pytest.mark.parametrize("joined", [False, True], ids=["many files", "joined files"])
def test_answers_are_those_of_a_plain_search(filled, joined):
    settings, table, rows = filled
    if joined:
        compact(table)
    views = Views(settings, 1)
    views.look()
    view = views[TRADES.name]
    assert (len(view.files) <= 6) is joined
    engine = Engine(settings.warehouse, 256, 1, 30)
    tail = table_of(rows[3000:])
    for question in QUESTIONS:
        for known, of in ((None, rows[:3000]), (tail, rows)):
            found = engine.run(lambda cursor, q=question, t=known: answer(cursor, view, q, t))
            assert told(found) == plain(of, question), question
