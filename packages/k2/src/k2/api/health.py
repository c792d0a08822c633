"""Is the process there, is it ready, and what does it count."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from k2 import __version__
from k2.api.figures import Figures
from k2.api.overview import freshness
from k2.api.service import Service

__all__ = ["health_routes"]


def health_routes(service: Service, figures: Figures) -> APIRouter:
    """Make the routes; none of them asks for a key, and none waits for anything."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> Response:
        """Tell how everything is; always 200 while the process answers."""
        found = _dependencies(service)
        whole = all(it["state"] == "up" for it in found.values())
        return _json({"status": "healthy" if whole else "degraded", **_head(), "dependencies": found})

    @router.get("/health/live")
    async def live() -> Response:
        """Answer as long as the process lives."""
        return _json({"status": "alive", **_head()})

    @router.get("/health/ready")
    async def ready() -> Response:
        """503 when no symbol has a fresh trade, or something does not work that is needed for one."""
        found = _dependencies(service)
        symbols = freshness(service)
        broken = [name for name, it in found.items() if it["state"] != "up"]
        stale = all(it["stale"] for it in symbols)
        reasons = [f"{name} does not work: {found[name]['detail']}" for name in broken]
        if stale:
            newest = min((it["age_s"] for it in symbols), default=None)
            since = "no trade has come yet" if newest is None else f"the newest trade came {newest:.1f} s ago"
            reasons.append(f"data are stale: {since}, allowed are {service.settings.stale_s:g} s")
        body = {
            "status": "not ready" if reasons else "ready",
            **_head(),
            "reasons": reasons,
            "dependencies": found,
            "freshness": symbols,
        }
        return _json(body, 503 if reasons else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Give all figures in the text format of Prometheus."""
        return Response(generate_latest(figures.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return router


def _dependencies(service: Service) -> dict[str, dict[str, str]]:
    return {
        name: {"state": "up" if trouble is None else "down", "detail": trouble or "It works."}
        for name, trouble in service.dependencies().items()
    }


def _head() -> dict[str, str]:
    now = datetime.fromtimestamp(time.time(), UTC)
    return {"timestamp": now.isoformat().replace("+00:00", "Z"), "version": __version__}


def _json(body: dict[str, Any], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if status == 503 else {})
    return Response(json.dumps(body), status, headers, "application/json")
