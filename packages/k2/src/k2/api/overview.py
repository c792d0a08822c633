"""The calls that tell about the whole: symbols, statistics, one day of a symbol, and what the page shows."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from k2.api.refusal import Refusal
from k2.api.service import Service
from k2.lake.candles import day_of
from k2.lake.tables import TRADES
from k2.query.question import micros
from k2.query.tail import Fresh

__all__ = ["freshness", "overview_routes"]

_ISO: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_SHOWN_GAPS: Final = 100


def overview_routes(service: Service) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/v1", tags=["overview"])

    @router.get("/symbols")
    async def symbols(request: Request) -> Response:
        """List what is traded: how many trades are stored, from which number to which, and the newest one."""
        seen = service.view(TRADES.name).seen
        newest = service.tail.newest
        rows = []
        for key in sorted({*seen.keys(), *(f"{exchange}:{symbol}" for exchange, symbol in newest)}):
            exchange, _, symbol = key.partition(":")
            ranges = seen.ranges(key)
            last = newest.get((exchange, symbol))
            rows.append(
                {
                    "symbol": symbol,
                    "exchange": exchange,
                    "trades": sum(end - start + 1 for start, end in ranges),
                    "first_sequence": ranges[0][0] if ranges else None,
                    "last_sequence": ranges[-1][1] if ranges else None,
                    "last_trade": _iso(last.event_us) if last else None,
                }
            )
        return _answer(request, rows, {"pagination": {"count": len(rows), "has_more": False}})

    @router.get("/stats")
    async def stats(request: Request) -> Response:
        """Tell how much there is of everything."""
        tables = {
            view.form.name: {
                "rows": view.rows,
                "files": len(view.files),
                "size_bytes": sum(file.size_bytes for file in view.files),
                "snapshots": len(view.table.metadata.snapshots),
                "first": _iso(min((file.first_us for file in view.files), default=None)),
                "last": _iso(max((file.last_us for file in view.files), default=None)),
                "committed": _iso(view.committed_us),
            }
            for view in service.views.all()
        }
        state = service.live()
        data = {
            "tables": tables,
            "tail_rows": state.rows.num_rows,
            "symbols": len(state.view.seen.keys()),
            "lag_records": dict(service.kafka.lags),
            "open_gaps": len(service.kafka.gaps),
            "dead_letters": dict(service.kafka.dead_letters),
        }
        return _answer(request, data)

    @router.get("/status")
    async def status(request: Request) -> Response:
        """Tell what the page shows: freshness, lag, open gaps, dead letters."""
        gaps = [asdict(gap) for gap in service.kafka.gaps]
        data = {
            "freshness": freshness(service),
            "lag_records": dict(service.kafka.lags),
            "dead_letters": dict(service.kafka.dead_letters),
            "open_gaps": len(gaps),
            "gaps": [{**gap, "opened": _iso(gap["opened"])} for gap in gaps[-_SHOWN_GAPS:]],
            "dependencies": {name: trouble or "up" for name, trouble in service.dependencies().items()},
            "tail_rows": service.live().rows.num_rows,
            "table_rows": service.view(TRADES.name).rows,
        }
        return _answer(request, data)

    @router.get("/summary/{symbol}/{day}")
    async def summary(
        request: Request, symbol: Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,32}$")], day: date
    ) -> Response:
        """Give one UTC day of a symbol, from the trades of the table, exact."""
        view = service.view(TRADES.name)
        start_us = micros(day.isoformat())
        end_us = start_us + 86_400_000_000
        files = [file for file in view.files if file.may_have(symbol.upper(), start_us, end_us)]
        found: list[dict[str, Any]] = []
        if files:
            found = await service.ask(lambda cursor: day_of(cursor, view.table, files, symbol.upper(), start_us))
        if not found:
            raise Refusal(404, f"There is no trade of {symbol.upper()} on {day.isoformat()} (UTC).", "summary")
        rows = [{**{name: _plain(value) for name, value in row.items()}, "date": day.isoformat()} for row in found]
        # A symbol is mostly on one exchange; then its day is the answer itself.
        return _answer(request, rows[0] if len(rows) == 1 else {"symbol": symbol.upper(), "exchanges": rows})

    return router


def freshness(service: Service) -> list[dict[str, Any]]:
    """Tell by symbol how old the newest trade is: seconds since the feed had it, and since its own time."""
    now_us = time.time_ns() // 1000
    return [
        _fresh(it, now_us, service.settings.stale_s)
        for it in sorted(service.tail.newest.values(), key=lambda it: (it.symbol, it.exchange))
    ]


def _fresh(it: Fresh, now_us: int, stale_s: float) -> dict[str, Any]:
    age_s = (now_us - it.received_us) / 1e6
    return {
        "symbol": it.symbol,
        "exchange": it.exchange,
        "age_s": round(age_s, 3),
        "event_age_s": round((now_us - it.event_us) / 1e6, 3),
        "stale": age_s > stale_s,
        "price": it.price,
        "last_trade": _iso(it.event_us),
    }


def _answer(request: Request, data: Any, more: Mapping[str, Any] | None = None) -> Response:
    meta = {"correlation_id": request.scope["correlation"], "timestamp": _iso(time.time_ns() // 1000)}
    body = {"success": True, "data": data, **(more or {}), "meta": meta}
    return Response(json.dumps(body), media_type="application/json")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else str(value)


def _iso(us: int | None) -> str | None:
    """Write a time, microseconds since 1970, UTC, as ISO text."""
    if us is None:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime(_ISO)
