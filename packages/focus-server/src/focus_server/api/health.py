"""Is the server there, what is it, and does everything it depends on work."""

from fastapi import APIRouter
from starlette.responses import Response

from focus_server import __version__
from focus_server.api.responses import ERRORS, json_response
from focus_server.contract import Dependency, Health, Refusal, Version
from focus_server.jobs import Orchestrator

_NO_CATALOGUE = Dependency(
    state="not configured", detail="This server has no catalogue of recordings; live views need none."
)
_UNKNOWN = Dependency(state="unknown", detail="Only the analyzer knows, and it does not answer.")


def health_routes(orchestrator: Orchestrator) -> APIRouter:
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
        dependencies = await _dependencies(orchestrator)
        broken = [f"{name} is {it.state}" for name, it in dependencies.items() if it.state not in _FINE]
        if not broken:
            return json_response(Health(status="healthy", dependencies=dependencies))
        detail = " ".join(it.detail for it in dependencies.values() if it.state not in _FINE)
        sentence = f"Live views do not work now: {', '.join(broken)}."
        body = Health(status="unhealthy", dependencies=dependencies, error=sentence, detail=detail)
        return json_response(body, 503, {"Retry-After": "2"})

    return router


_FINE = frozenset({"up", "live", _NO_CATALOGUE.state})


async def _dependencies(orchestrator: Orchestrator) -> dict[str, Dependency]:
    try:
        status = await orchestrator.status()
    except Refusal as refusal:
        down = Dependency(state="down", detail=refusal.error)
        return {"mongodb": _NO_CATALOGUE, "rabbitmq": _UNKNOWN, "analyzer": down, "live_feed": _UNKNOWN}
    return {
        "mongodb": _NO_CATALOGUE,
        "rabbitmq": status.rabbitmq,
        "analyzer": Dependency(state="up", detail=f"{status.jobs} jobs."),
        "live_feed": status.feed,
    }
