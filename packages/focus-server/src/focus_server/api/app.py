"""The server put together: routes, error bodies, checks in front, and what lives as long as the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

from focus_server import __version__
from focus_server.api.archive import Archive
from focus_server.api.bridge import Bridge
from focus_server.api.errors import install_error_bodies
from focus_server.api.fiber import fiber_routes
from focus_server.api.figures import Figures
from focus_server.api.health import health_routes
from focus_server.api.jobs import job_routes
from focus_server.api.liveview import install_liveview
from focus_server.api.measuring import Measure
from focus_server.api.metrics import metric_routes
from focus_server.api.openapi import openapi_routes
from focus_server.api.prefix import Prefix
from focus_server.api.pull import pull_routes
from focus_server.api.pullers import Pullers
from focus_server.api.recordings import recording_routes
from focus_server.api.security import Guard
from focus_server.api.streams import stream_routes
from focus_server.jobs import LocalAnalyzer
from focus_server.settings import ServeSettings

if TYPE_CHECKING:
    from focus_server.recordings.catalogue import Catalogue

_CATALOGUE_ANSWER_S: Final = 0.95
"""The driver looks every half second whether it is over, so one second tells that MongoDB is down. This leaves what a
busy machine needs of the two seconds that clients may wait, and lies apart from when a call is cut off."""


def create_app(settings: ServeSettings, figures: Figures | None = None) -> FastAPI:
    """Make the application; it holds no job, only connections. What it does is counted in `figures`."""
    analyzer = LocalAnalyzer(settings.analyzer_socket)
    archive = Archive(_catalogue(settings))
    bridge = Bridge(analyzer)
    figures = figures or Figures()
    pullers = Pullers(analyzer, bridge)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with analyzer, archive, bridge, pullers:
            yield

    app = FastAPI(
        title="Focus Server",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_bodies(app)
    for routes in (
        health_routes(analyzer, archive),
        metric_routes(analyzer, archive, figures),
        fiber_routes(analyzer),
        recording_routes(archive),
        job_routes(analyzer, archive, pullers),
        pull_routes(pullers),
        stream_routes(bridge, settings.max_viewers),
    ):
        app.include_router(routes)
    app.include_router(openapi_routes(app))
    install_liveview(app)
    app.add_middleware(
        Guard,
        hosts=settings.allowed_hosts,
        origins=settings.allowed_origins,
        max_body_bytes=settings.max_body_bytes,
    )
    app.add_middleware(Measure, figures=figures)
    app.add_middleware(Prefix)
    return app


def _catalogue(settings: ServeSettings) -> "Catalogue | None":
    if settings.mongo_url is None:
        return None
    # MongoDB's driver is not loaded where there is no MongoDB.
    from focus_server.recordings.address import MongoAddress
    from focus_server.recordings.catalogue import Catalogue

    return Catalogue(MongoAddress(settings.mongo_url.get_secret_value()), _CATALOGUE_ANSWER_S)
