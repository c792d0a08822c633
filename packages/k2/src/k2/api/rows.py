"""The calls that give rows: trades, quotes, the newest trades, candles."""

import json
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from k2.api.figures import Figures
from k2.api.refusal import Refusal
from k2.api.service import Service
from k2.lake.tables import QUOTES, TABLES, TRADES, TableForm, candles_form
from k2.query.answers import Rows
from k2.query.question import Question, micros

__all__ = ["page_response", "row_routes"]

Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,32}$")]
Frame = Literal["1m", "5m", "30m", "1h", "1d"]

_MOST_CANDLES: Final = 20_000


class Asked(BaseModel):
    """What can be asked of the rows of a table."""

    model_config = ConfigDict(extra="ignore")

    symbol: Symbol | None = None
    exchange: Symbol | None = None
    start_time: str | None = None
    end_time: str | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    offset: Annotated[int, Field(ge=0, le=100_000_000)] = 0


class OfOne(Asked):
    """What can be asked of the rows of one symbol."""

    symbol: Symbol


class Sorted(Asked):
    """What can be asked of the rows of a table that is read alone."""

    order_by: str | None = None
    table_type: str | None = None


class Batch(BaseModel):
    """The body of POST /v1/ohlcv/batch: symbols and frames, each with each."""

    model_config = ConfigDict(extra="forbid")

    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=50)]
    timeframe: Frame | None = None
    timeframes: Annotated[list[Frame], Field(min_length=1, max_length=5)] | None = None
    exchange: Symbol | None = None
    start_time: str | None = None
    end_time: str | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100

    def of(self, symbol: str) -> Asked:
        """Return what is asked of one of the symbols."""
        return OfOne(
            symbol=symbol,
            exchange=self.exchange,
            start_time=self.start_time,
            end_time=self.end_time,
            limit=self.limit,
        )


def row_routes(service: Service, figures: Figures) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/v1")

    async def stored(request: Request, form: TableForm, question: Question) -> Response:
        view = service.view(form.name)
        began_s = time.perf_counter()
        rows = await service.rows(view, question)
        meta = {"source": "table", "table": form.identifier, "snapshot_id": _text(view.snapshot)}
        return page_response(request, figures, question, rows, meta, began_s)

    @router.get("/trades", tags=["rows"])
    async def trades(request: Request, asked: Annotated[Sorted, Query()]) -> Response:
        """Give trades of the table, newest first."""
        _check_table(TRADES, asked.table_type)
        return await stored(request, TRADES, _question(TRADES, asked, order_by=asked.order_by))

    @router.get("/quotes", tags=["rows"])
    async def quotes(request: Request, asked: Annotated[Sorted, Query()]) -> Response:
        """Give quotes of the table, newest first."""
        _check_table(QUOTES, asked.table_type)
        return await stored(request, QUOTES, _question(QUOTES, asked, order_by=asked.order_by))

    @router.get("/trades/recent", tags=["rows"])
    async def recent(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Give the newest trades of the table and of the live tail, each once."""
        question = _question(TRADES, asked)
        state = service.live()
        began_s = time.perf_counter()
        rows = await service.rows(state.view, question, state.rows)
        meta = {
            "source": "table+tail",
            "table": TRADES.identifier,
            "snapshot_id": _text(state.view.snapshot),
            "tail_rows": state.rows.num_rows,
            "complete": state.whole and service.tail.trouble is None,
        }
        return page_response(request, figures, question, rows, meta, began_s)

    @router.get("/ohlcv/{timeframe}", tags=["candles"])
    async def candles(request: Request, timeframe: Frame, asked: Annotated[OfOne, Query()]) -> Response:
        """Give candles of a symbol, newest first."""
        form = candles_form(timeframe)
        return await stored(request, TABLES[form.name], _question(form, asked))

    @router.post("/ohlcv/batch", tags=["candles"])
    async def batch(request: Request, body: Batch) -> Response:
        """Give candles of several symbols and frames."""
        frames = body.timeframes or ([body.timeframe] if body.timeframe else list(get_args(Frame)))
        if len(body.symbols) * len(frames) * body.limit > _MOST_CANDLES:
            raise Refusal(422, f"symbols times frames times limit must be at most {_MOST_CANDLES}.", "limit")
        found: dict[str, dict[str, Sequence[Any]]] = {}
        for symbol in dict.fromkeys(each.upper() for each in body.symbols):
            for frame in frames:
                form = TABLES[candles_form(frame).name]
                question = _question(form, body.of(symbol))
                view = service.view(form.name)
                rows = await service.rows(view, question)
                found.setdefault(symbol, {})[frame] = [json.loads(document) for document in rows.documents]
        meta = {"timeframes": frames, "correlation_id": request.scope["correlation"]}
        return Response(json.dumps({"success": True, "data": found, "meta": meta}), media_type="application/json")

    return router


def page_response(
    request: Request, figures: Figures, question: Question, rows: Rows, meta: dict[str, Any], began_s: float
) -> Response:
    """Write rows as the one form of all pages."""
    count = len(rows.documents)
    pagination = {
        "limit": question.limit,
        "offset": question.offset,
        "count": count,
        "has_more": rows.more,
        "next_offset": question.offset + count if rows.more else None,
    }
    took_ms = round((time.perf_counter() - began_s) * 1000, 3)
    meta = {**meta, "query_ms": took_ms, "correlation_id": request.scope["correlation"]}
    figures.rows.labels(request.scope["route"].path).inc(count)
    body = (
        f'{{"success":true,"data":[{",".join(rows.documents)}],'
        f'"pagination":{json.dumps(pagination)},"meta":{json.dumps(meta)}}}'
    )
    return Response(body, media_type="application/json")


def _question(form: TableForm, asked: Asked, *, order_by: str | None = None) -> Question:
    return Question(
        form,
        symbol=None if asked.symbol is None else asked.symbol.upper(),
        exchange=None if asked.exchange is None else asked.exchange.upper(),
        start_us=None if asked.start_time is None else micros(asked.start_time),
        end_us=None if asked.end_time is None else micros(asked.end_time),
        order=_order(order_by),
        limit=asked.limit,
        offset=asked.offset,
    )


def _order(text: str | None) -> tuple[tuple[str, bool], ...]:
    """Read `timestamp`, `-timestamp`, `timestamp desc` or several with commas; True is the largest first."""
    order = []
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, direction = part.partition(" ")
        word = direction.strip().lower()
        if word not in {"", "asc", "desc"}:
            raise Refusal(400, f"order_by is {text!r}; write a column, then asc or desc.", "order_by")
        order.append((name.removeprefix("-"), word == "desc" or name.startswith("-")))
    return tuple(order)


def _check_table(form: TableForm, table_type: str | None) -> None:
    if table_type is not None and table_type.lower() != form.name:
        raise Refusal(400, f"table_type is {table_type!r}; here it can only be {form.name}.", "table_type")


def _text(number: int | None) -> str | None:
    """Write a snapshot's number as text: it has more digits than a reader of JSON may keep."""
    return None if number is None else str(number)
