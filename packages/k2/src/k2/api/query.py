"""POST /v1/query: a question as a structured body, never SQL, answered as JSON, CSV, Parquet or an Arrow stream."""

import io
import time
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from duckdb import DuckDBPyConnection
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from k2.api.figures import Figures
from k2.api.rows import page_response
from k2.api.service import Service
from k2.lake.tables import TABLES
from k2.query.answers import as_arrow
from k2.query.question import Condition, Operator, Question
from k2.query.views import TableView

__all__ = ["query_routes"]

_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


class Filter(BaseModel):
    """One condition: a column, how it is compared, and to what; decimals and times are text."""

    model_config = ConfigDict(extra="forbid")

    column: str
    op: Operator
    value: str | int | list[str | int]


class Order(BaseModel):
    """One column to sort by."""

    model_config = ConfigDict(extra="forbid")

    column: str
    direction: Literal["asc", "desc"] = "asc"


class Body(BaseModel):
    """The whole question; without an order the newest rows come first."""

    model_config = ConfigDict(extra="forbid")

    table: Literal["trades", "quotes", "ohlcv_1m", "ohlcv_5m", "ohlcv_30m", "ohlcv_1h", "ohlcv_1d"]
    columns: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None
    filters: Annotated[list[Filter], Field(max_length=50)] = []
    order_by: Annotated[list[Order], Field(max_length=10)] = []
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    offset: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    format: Literal["json", "csv", "parquet", "arrow"] = "json"


def query_routes(service: Service, figures: Figures) -> APIRouter:
    """Make the route."""
    router = APIRouter(prefix="/v1", tags=["query"])

    @router.post("/query")
    async def query(request: Request, body: Body) -> Response:
        """Answer a question; the engine reads the tables' files and can do nothing else."""
        view = service.view(body.table)
        question = _question(body)
        began_s = time.perf_counter()
        if body.format == "json":
            rows = await service.rows(view, question)
            meta = {"source": "table", "table": view.form.identifier}
            return page_response(request, figures, question, rows, meta, began_s)
        content = await service.ask(lambda cursor: _file(cursor, view, question, body.format))
        headers = {"Content-Disposition": f'attachment; filename="{body.table}.{body.format}"'}
        return Response(content, headers=headers, media_type=_TYPES[body.format])

    return router


def _question(body: Body) -> Question:
    equal = {each.column: each.value for each in body.filters if each.op == "=" and isinstance(each.value, str)}
    return Question(
        TABLES[body.table],
        columns=tuple(dict.fromkeys(body.columns or ())),
        symbol=_str(equal.get("symbol")),  # so that only files that can have it are read
        conditions=[Condition(each.column, each.op, each.value) for each in body.filters],
        order=tuple((each.column, each.direction == "desc") for each in body.order_by),
        limit=body.limit,
        offset=body.offset,
    )


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _file(cursor: DuckDBPyConnection, view: TableView, question: Question, form: str) -> bytes:
    rows = as_arrow(cursor, view, question, text=form == "csv")
    out = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(rows, out)
    elif form == "parquet":
        pyarrow.parquet.write_table(rows, out, compression="zstd")
    else:
        with pa.ipc.new_stream(out, rows.schema) as writer:
            writer.write_table(rows)
    return out.getvalue()
