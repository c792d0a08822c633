"""Rows for a question: from as few files as can hold them, with those of the live tail among them when asked for.

Files say between which times their rows lie. The newest hundred rows are in the newest files, so these are read first,
and further ones only while one of them could hold a row that belongs to the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from duckdb import DuckDBPyConnection

from k2.lake.duck import relation
from k2.lake.files import LakeFile
from k2.query.newest import MOST_ROWS, Newest, Ranked
from k2.query.question import Question, column_of
from k2.query.views import TableView
from k2.schema import Column, Kind

__all__ = ["Rows", "answer", "as_arrow", "completed", "held", "ranked"]

_FIRST_FILES: Final = 4
_FEW_ROWS: Final = 2000
"""So few rows are read at once, without a look at their times before."""
_AHEAD: Final = 4
_FURTHER: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as JSON objects, one text each, and whether there are more."""

    documents: tuple[str, ...]
    more: bool


def held(view: TableView, question: Question) -> Rows | None:
    """Give the rows of a question to the table alone from memory; None when they must be searched for."""
    found = None if view.newest is None else view.newest.answer(question)
    return None if found is None else _rows(found, question)


def answer(cursor: DuckDBPyConnection, view: TableView, question: Question, tail: pa.Table | None = None) -> Rows:
    """Give the rows of a question as JSON: decimals and times as text; `tail` are rows beside the table's.

    Raises QueryError.
    """
    newest = view.newest
    if newest is not None:
        others = ranked(cursor, replace(view, files=()), question, tail) if tail is not None and tail.num_rows else ()
        found = newest.answer(question, others)
        if found is not None:
            return _rows(found, question)
    sql, parameters = _sql(cursor, view, question, _document(question), tail, question.limit + 1)
    return _rows([row[0] for row in cursor.execute(sql, parameters).fetchall()], question)


def completed(
    cursor: DuckDBPyConnection, view: TableView, before: TableView | None, most: int = MOST_ROWS
) -> TableView:
    """Return a view with its newest rows, at most so many.

    Where no file of the view before it is gone they are its rows and those of the files that came. Raises QueryError.
    """
    known = None if before is None else before.newest
    paths = [file.path for file in view.files]
    everything = Question(view.form, limit=most)
    if known is None or not known.paths <= set(paths):
        return replace(view, newest=Newest.of(ranked(cursor, view, everything), paths, most, whole=True))
    edge_us = known.edge_us
    came = tuple(file for file in view.files if file.path not in known.paths and file.may_have(None, edge_us, None))
    rows = ranked(cursor, replace(view, files=came), replace(everything, start_us=edge_us)) if came else []
    return replace(view, newest=known.and_then(rows, paths))


def ranked(
    cursor: DuckDBPyConnection, view: TableView, question: Question, tail: pa.Table | None = None
) -> list[Ranked]:
    """Give rows from the first that the order has to one behind the last that is asked for, with what ranks them.

    The table is one that Kafka feeds. Raises QueryError.
    """
    first = replace(question, offset=0, limit=question.offset + question.limit)
    chosen = f"epoch_us({_key(view.form.time)}), source_sequence, symbol, exchange, {_document(question)}"
    sql, parameters = _sql(cursor, view, first, chosen, tail, first.limit + 1)
    return [
        Ranked(time_us, number is not None, number or 0, symbol, exchange, document)
        for time_us, number, symbol, exchange, document in cursor.execute(sql, parameters).fetchall()
    ]


def _rows(found: Sequence[str], question: Question) -> Rows:
    """Make rows of so many texts as were asked for, and one more where there are more."""
    return Rows(tuple(found[: question.limit]), len(found) > question.limit)


def _document(question: Question) -> str:
    """Write what makes a row a JSON object."""
    names = question.columns or tuple(column.name for column in question.form.record.columns)
    columns = [column_of(question.form, name) for name in names]
    fields = [f"{_key(column.name)}: {_told(column)}" for column in columns]
    if not question.columns or question.form.time in names:
        fields.append(f"event_time: {_naive(question.form.time)}")
    return f"to_json({{{', '.join(fields)}}})::VARCHAR"


def as_arrow(cursor: DuckDBPyConnection, view: TableView, question: Question, *, text: bool = False) -> pa.Table:
    """Give the rows of a question as an Arrow table, with `text` all of it text, as in JSON. Raises QueryError."""
    names = question.columns or tuple(column.name for column in question.form.record.columns)
    columns = [column_of(question.form, name) for name in names]
    # Under their own names the texts would be what is sorted by.
    chosen = ", ".join(f"{_text(it)} AS _{place}" if text else _key(it.name) for place, it in enumerate(columns))
    sql, parameters = _sql(cursor, view, question, chosen, None, question.limit)
    rows = cursor.sql(sql, params=parameters).to_arrow_table()
    # The engine has another name for the same zone.
    return (
        rows.rename_columns(list(names))
        if text
        else rows.cast(pa.schema([question.form.record.arrow().field(name) for name in names]))
    )


def _sql(
    cursor: DuckDBPyConnection, view: TableView, question: Question, chosen: str, tail: pa.Table | None, limit: int
) -> tuple[str, list[Any]]:
    where, parameters = question.where()
    order = question.ordered()
    source, edge = _source(cursor, view, question, tail, limit)
    if edge is not None:
        where = f"({where}) AND {_key(order[0][0])} {'>=' if order[0][1] else '<='} ?"
        parameters = [*parameters, edge]
    by = ", ".join(f"{_key(name)} {'DESC' if down else 'ASC'}" for name, down in order)
    rows = f"SELECT * FROM {source} WHERE {where} ORDER BY {by} LIMIT {limit} OFFSET {question.offset}"  # noqa: S608 - names are checked, values are parameters
    # What is chosen is worked out for the rows of the answer only.
    return f"SELECT {chosen} FROM ({rows}) AS found ORDER BY {', '.join(_sorted(order))}", parameters  # noqa: S608


def _sorted(order: Sequence[tuple[str, bool]]) -> list[str]:
    return [f'found."{name}" {"DESC" if down else "ASC"}' for name, down in order]


def _source(
    cursor: DuckDBPyConnection, view: TableView, question: Question, tail: pa.Table | None, limit: int
) -> tuple[str, datetime | None]:
    """Choose the files that can hold rows of the answer.

    Returns what stands after FROM, and the time of the answer's last row where it is known: with it the engine reads
    of each file only the part that it needs.
    """
    files = [file for file in view.files if file.may_have(question.symbol, question.start_us, question.end_us)]
    column, down = question.ordered()[0]
    needed = question.offset + limit
    if column != question.form.time or sum(file.rows for file in files) <= max(needed, _FEW_ROWS):
        return _from(cursor, view, files, tail), None
    files.sort(key=lambda file: file.last_us if down else -file.first_us, reverse=True)
    taken = _enough(files, needed)
    while True:
        edge = _edge(cursor, _from(cursor, view, files[:taken], tail), files[:taken], question, needed)
        if edge is not None:
            reach = [file for file in files if (file.last_us >= edge if down else file.first_us <= edge)]
            return _from(cursor, view, reach, tail), _EPOCH + timedelta(microseconds=edge)
        if taken == len(files):
            return _from(cursor, view, files, tail), None
        taken = min(len(files), taken * 4)


def _edge(
    cursor: DuckDBPyConnection, source: str, files: Sequence[LakeFile], question: Question, needed: int
) -> int | None:
    """Find the time of the last row that the answer would have from a source; None when that has too few rows.

    It looks back only as far as so many rows may need, judged by how dense they lie, and further when they do not.
    """
    where, parameters = question.where()
    column, down = question.ordered()[0]
    first, last = min(file.first_us for file in files), max(file.last_us for file in files)
    begin = min(last, question.end_us or last) if down else max(first, question.start_us or first)
    span = last - first + 1
    width = span * needed * _AHEAD // sum(file.rows for file in files)
    while True:
        whole = width >= span
        bound = [] if whole else [_EPOCH + timedelta(microseconds=begin - width if down else begin + width)]
        near = "true" if whole else f"{_key(column)} {'>=' if down else '<='} ?"
        sql = (
            f"SELECT {'min' if down else 'max'}(epoch_us(t)), count(*) FROM (SELECT {_key(column)} AS t FROM {source} "  # noqa: S608
            f"WHERE {where} AND {near} ORDER BY t {'DESC' if down else 'ASC'} LIMIT {needed})"
        )
        edge, count = cursor.execute(sql, [*parameters, *bound]).fetchall()[0]
        if count >= needed:
            return int(edge)
        if whole:
            return None
        width *= _FURTHER


def _enough(files: Sequence[LakeFile], rows: int) -> int:
    """Count the files from the start that have so many rows together."""
    total = 0
    for number, file in enumerate(files, 1):
        total += file.rows
        if total >= rows:
            return max(number, _FIRST_FILES)
    return len(files)


def _from(cursor: DuckDBPyConnection, view: TableView, files: Sequence[LakeFile], tail: pa.Table | None) -> str:
    parts = []
    if files:
        parts.append(relation(cursor, view.table, files, "fetched"))
    if tail is not None or not files:
        cursor.register("tail", view.form.record.arrow().empty_table() if tail is None else tail)
        parts.append("tail")
    if len(parts) == 1:
        return parts[0]
    return f"(SELECT * FROM {parts[0]} UNION ALL BY NAME SELECT * FROM {parts[1]})"  # noqa: S608


def _key(name: str) -> str:
    return f'"{name}"'


def _naive(name: str) -> str:
    """Write a time without its zone; the engine's own zones would need an extension."""
    return f"strftime(make_timestamp(epoch_us({_key(name)})), '{_TIME}')"


def _told(column: Column) -> str:
    match column.kind:
        case Kind.MICROS:
            return f"{_naive(column.name)} || 'Z'"
        case Kind.DECIMAL:
            return f"{_key(column.name)}::VARCHAR"
        case _:
            return _key(column.name)


def _text(column: Column) -> str:
    if column.kind in {Kind.MAP, Kind.TEXTS}:
        return f"to_json({_key(column.name)})::VARCHAR"
    return f"({_told(column)})::VARCHAR"
