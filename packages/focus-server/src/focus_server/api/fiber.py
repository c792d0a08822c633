"""What the live fibre is."""

from fastapi import APIRouter
from starlette.responses import Response

from focus_server.api.responses import ERRORS, json_response
from focus_server.contract import ChannelRange, LiveMetadata, SensorList
from focus_server.jobs import Orchestrator


def fiber_routes(orchestrator: Orchestrator) -> APIRouter:
    """Make the routes `/channels`, `/sensors`, `/live_metadata` and `/metadata`."""
    router = APIRouter(tags=["fibre"], responses=ERRORS)

    @router.get("/channels", response_model=ChannelRange)
    async def channels() -> Response:
        """Give the channel numbers of the fibre."""
        return json_response(await orchestrator.channels())

    @router.get("/sensors", response_model=SensorList)
    async def sensors() -> Response:
        """List the sensors, counted from 0."""
        channels = await orchestrator.channels()
        amount = channels.highest_channel - channels.lowest_channel + 1
        return json_response(SensorList(sensors=list(range(amount))))

    @router.get("/metadata", response_model=LiveMetadata)
    @router.get("/live_metadata", response_model=LiveMetadata)
    async def live_metadata() -> Response:
        """Describe the live fibre; `prr` is 0 while it is waited for."""
        return json_response(await orchestrator.live_metadata())

    return router
