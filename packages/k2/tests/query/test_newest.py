"""What is answered from memory is what a plain search through all rows finds, whatever the table went through."""

import json
import random
from dataclasses import replace
from decimal import Decimal

import pytest

from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.lake.compaction import compact
from k2.query import newest
from k2.query.answers import answer, completed, held
from k2.query.engine import Engine
from k2.query.newest import Newest, Ranked
from k2.query.question import Condition, Question
from k2.query.views import Views
from k2.settings import LakeSettings

from ..lake.conftest import MIDNIGHT_US, Filler, table_of, trade  # noqa: TID252

MOST = 60
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
OLDEST_FIRST = (("timestamp", False),)


class Model:
    """All rows that there are, made by number; a few come late, share a moment, or have no number."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.count = 0

    def rows(self, count):
        return [self._row() for _ in range(count)]

    def _row(self):
        number = self.count = self.count + 1
        late_us = self.rng.choice([0, 0, 0, 0, 3000, 40_000])
        row = trade(
            number,
            symbol=SYMBOLS[number % 3],
            at_us=MIDNIGHT_US - 150_000 + (number // 3) * 1000 - late_us,  # some before midnight, others after
            price=f"{self.rng.randrange(1, 100)}.5",
        )
        return row | {"source_sequence": None if number % 11 == 0 else number // 3}

    def question(self):
        rng = self.rng
        first_us, last_us = MIDNIGHT_US - 200_000, MIDNIGHT_US - 150_000 + self.count * 334
        some_us, late_us = rng.randrange(first_us, last_us), last_us - rng.randrange(60_000)
        return Question(
            TRADES,
            symbol=rng.choice([None, None, *SYMBOLS, "NOTHING"]),
            exchange=rng.choice([None, None, "BINANCE", "NOWHERE"]),
            start_us=rng.choice([None, None, some_us, late_us]),
            end_us=rng.choice([None, None, some_us, late_us]),
            conditions=rng.choice([(), (), (), [Condition("price", ">=", "50")]]),
            order=rng.choice([(), (), (("timestamp", True),), OLDEST_FIRST]),
            limit=rng.choice([1, 5, MOST // 4, MOST - 1, 2 * MOST]),
            offset=rng.choice([0, 0, 3, MOST]),
        )


def plain(rows, question):
    """The ids of a question's rows by a plain search, and whether there are more."""
    chosen = [
        row
        for row in rows
        if question.symbol in {None, row["symbol"]}
        and question.exchange in {None, row["exchange"]}
        and (question.start_us is None or row["timestamp"] >= question.start_us)
        and (question.end_us is None or row["timestamp"] < question.end_us)
        and all(row[each.column] >= Decimal(each.value) for each in question.conditions)
    ]
    up = question.order == OLDEST_FIRST
    sign = 1 if up else -1
    chosen.sort(key=lambda row: row["symbol"], reverse=not up)
    chosen.sort(key=lambda row: (sign * row["timestamp"], *_number(row, sign)))
    ids = [row["message_id"] for row in chosen[question.offset :]]
    return ids[: question.limit], len(ids) > question.limit


def _number(row, sign):
    """Whatever the order, rows without a number come last."""
    number = row["source_sequence"]
    return (True, 0) if number is None else (False, sign * number)


def told(rows):
    return [json.loads(document)["message_id"] for document in rows.documents], rows.more


class Watched:
    """A lake that is filled, with a view of it that is brought forward as the API does it."""

    def __init__(self, folder, most):
        settings = LakeSettings(catalog_uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder / "warehouse"))
        self.table = LakeTable(open_catalog(settings), TRADES)
        self.fill = Filler(self.table)
        self.engine = Engine(settings.warehouse, 256, 1, 60)
        self.views = Views(settings, 1, [TRADES])
        self.views.completed = lambda view, before: self.engine.run(lambda duck: completed(duck, view, before, most))

    def view(self):
        self.views.look()
        return self.views[TRADES.name]

    def ask(self, view, question, tail=None):
        return self.engine.run(lambda duck: answer(duck, view, question, tail))


@pytest.fixture
def watched(tmp_path):
    lake = Watched(tmp_path, MOST)
    yield lake
    lake.engine.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_answers_are_those_of_a_plain_search_after_every_commit(watched, seed):
    model = Model(seed)
    stored, from_memory, searched = [], 0, 0
    for step in range(8):
        view = watched.view()
        tail = model.rows(model.rng.choice([0, 3, 90]))
        for _ in range(10):
            question = model.question()
            found = held(view, question)
            from_memory += found is not None
            searched += found is None
            assert found is None or told(found) == plain(stored, question), (step, question)
            assert told(watched.ask(view, question)) == plain(stored, question), (step, question)
            with_tail = watched.ask(view, question, table_of(tail))
            assert told(with_tail) == plain([*stored, *tail], question), (step, question)
        if step in {3, 6}:
            compact(watched.table)
        else:
            fresh = [*tail, *model.rows(model.rng.choice([1, 20, 3 * MOST]))]
            model.rng.shuffle(fresh)
            watched.fill(fresh)
            stored += fresh
    assert (from_memory >= 10, searched >= 10) == (True, True), (from_memory, searched)


def test_what_is_in_memory_needs_no_file(watched):
    rows = [trade(number) for number in range(1, 201)]
    watched.fill(rows[:150])
    watched.view()
    watched.fill(rows[150:])
    view = watched.view()
    gone = replace(view, files=tuple(replace(file, path="/gone") for file in view.files))
    tail = table_of([trade(201), trade(202)])
    newest_first = [f"BINANCE:BTCUSDT:{number}" for number in range(202, 0, -1)]
    assert told(held(gone, Question(TRADES, limit=MOST - 1))) == (newest_first[2 : MOST + 1], True)
    assert held(gone, Question(TRADES, limit=MOST)) is None, "whether there are more is not known"
    assert told(watched.ask(gone, Question(TRADES, limit=MOST), tail)) == (newest_first[:MOST], True)
    since = Question(TRADES, start_us=MIDNIGHT_US + 190_000, limit=MOST)
    assert told(held(gone, since)) == (newest_first[2:13], False)
    assert held(gone, replace(since, columns=("price",))) is None


def test_a_document_has_every_field_as_the_search_tells_it(watched):
    odd = trade(7, price="0.10000000", quantity="12345678901234567890.00000003")
    watched.fill([odd | {"trade_conditions": ["a", 'q"\n'], "vendor_data": [("M", "é"), ("n", "")]}])
    view = watched.view()
    for question in (Question(TRADES), Question(TRADES, symbol="BTCUSDT")):
        assert held(view, question) == watched.ask(replace(view, newest=None), question)
    document = json.loads(held(view, Question(TRADES)).documents[0])
    assert (document["quantity"], document["vendor_data"]) == ("12345678901234567890.00000003", {"M": "é", "n": ""})
    assert document["event_time"] == "2026-01-01T00:00:00.007000"


def row(number, document="{}"):
    return Ranked(number, True, number, "BTCUSDT", "BINANCE", document)


def test_a_commit_costs_what_it_brings(watched, monkeypatch):
    from k2.query import answers

    watched.fill([trade(number) for number in range(1, 200)])
    watched.view()
    read, once = [], answers.ranked
    monkeypatch.setattr(answers, "ranked", lambda *args: read.append(once(*args)) or read[-1])
    watched.fill([trade(200), trade(201), trade(1000, at_us=MIDNIGHT_US)])
    view = watched.view()
    assert [[each.number for each in rows] for rows in read] == [[201, 200]]
    assert [each.number for each in view.newest.rows] == list(range(201, 201 - MOST, -1))
    compact(watched.table)
    assert watched.view().newest.rows == view.newest.rows
    assert [len(rows) for rows in read] == [2, MOST + 1]


def test_rows_are_held_as_far_as_there_is_room(monkeypatch):
    monkeypatch.setattr(newest, "MOST_CHARACTERS", 100)
    rows = [row(number, "x" * 30) for number in range(9, 0, -1)]
    few = Newest.of(rows, ["file"], whole=True)
    assert ([each.number for each in few.rows], few.whole, few.edge_us) == ([9, 8, 7], False, 7)
    assert few.answer(Question(TRADES, limit=2)) == ["x" * 30] * 3
    assert few.answer(Question(TRADES, limit=3)) is None
    later = few.and_then([row(10, "y" * 50)], ["file", "more"])
    assert ([each.number for each in later.rows], later.paths) == ([10, 9], {"file", "more"})
    none = Newest.of([row(1, "x" * 101)], ["file"], whole=True)
    assert none.answer(Question(TRADES)) is None
    assert none.answer(Question(TRADES, limit=1), [row(3), row(2)]) is None


def test_all_rows_of_a_small_table_are_held():
    every = Newest.of([row(2), row(1)], ["file"], 2, whole=True)
    assert (every.whole, every.edge_us) == (True, None)
    assert every.answer(Question(TRADES, limit=10)) == ["{}"] * 2
    assert every.answer(Question(TRADES, symbol="ETHUSDT")) == []
    assert not Newest.of([row(3), row(2), row(1)], ["file"], 2, whole=True).whole
