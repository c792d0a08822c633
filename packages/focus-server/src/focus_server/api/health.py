"""Is the server there, what is it, and does everything it depends on work."""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from focus_server import __version__
from focus_server.api.archive import Archive
from focus_server.api.responses import ERRORS, json_response
from focus_server.contract import Dependency, Health, Refusal, Version
from focus_server.jobs import Orchestrator

_UNKNOWN = Dependency(state="unknown", detail="Only the analyzer knows, and it does not answer.")


def health_routes(orchestrator: Orchestrator, archive: Archive) -> APIRouter:
    """Make the routes `/ack`, `/info` and `/health`."""
    router = APIRouter(tags=["health"])

    @router.get("/ack")
    async def ack() -> Response:
        """Answer as long as the server lives; touches nothing else."""
        return Response("{}", media_type="application/json")

    @router.get("/info", response_model=Version)
    async def info() -> Response:
        """Give the version."""
        return json_response(Version(version=__version__))

    @router.get("/health", response_model=Health, responses=ERRORS)
    async def health() -> Response:
        """Tell the state of each dependency; 503 when one that live views need does not work."""
        found = await dependencies(orchestrator, archive)
        broken = {name: it for name, it in found.items() if it.state not in WORKING | {"not configured"}}
        if not broken:
            return json_response(Health(status="healthy", dependencies=found))
        live_works = broken.keys() <= _ONLY_HISTORIC
        words = ", ".join(f"{name} is {it.state}" for name, it in broken.items())
        body = Health(
            status="degraded" if live_works else "unhealthy",
            dependencies=found,
            error=f"{'Historic' if live_works else 'Live'} views do not work now: {words}.",
            detail=" ".join(it.detail for it in broken.values()),
        )
        # A 503 would take the server out of service, and with it the live views that work.
        return json_response(body) if live_works else json_response(body, 503, {"Retry-After": "2"})

    return router


_ONLY_HISTORIC: Final = frozenset({"mongodb"})
"""What live views do without."""
WORKING: Final = frozenset({"up", "live"})
"""States of a dependency that does what it is there for."""


async def dependencies(orchestrator: Orchestrator, archive: Archive) -> dict[str, Dependency]:
    """Tell how everything is that the server depends on."""
    return {"mongodb": archive.state, **await _live_dependencies(orchestrator)}


async def _live_dependencies(orchestrator: Orchestrator) -> dict[str, Dependency]:
    try:
        status = await orchestrator.status()
    except Refusal as refusal:
        down = Dependency(state="down", detail=refusal.error)
        return {"rabbitmq": _UNKNOWN, "analyzer": down, "live_feed": _UNKNOWN}
    return {
        "rabbitmq": status.rabbitmq,
        "analyzer": Dependency(state="up", detail=f"{status.jobs} jobs."),
        "live_feed": status.feed,
    }
