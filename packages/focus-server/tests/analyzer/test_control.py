"""The HTTP interface of the analyzer, in this process, beside a real broker."""

import asyncio
import contextlib

import httpx
import numpy as np
import pytest

from focus_server.analyzer.control import Control
from focus_server.analyzer.intake import Intake
from focus_server.fiber.broker import BrokerAddress

pytestmark = pytest.mark.anyio

NOWHERE = "amqp://focus:s3cret@127.0.0.1:1/"


@pytest.fixture
async def served(bench, unused_site):
    """Serve a bench that reads a broker: `async with served(url) as (made, client)`."""

    @contextlib.asynccontextmanager
    async def serve(url):
        made = await bench()
        intake = Intake(BrokerAddress(url), unused_site, made.feed, made.engine.wake)
        transport = httpx.ASGITransport(Control(made.feed, intake, made.jobs, made.maker).app)
        reading = asyncio.create_task(intake.run())
        async with httpx.AsyncClient(transport=transport, base_url="http://analyzer") as client:
            yield made, client
        reading.cancel()
        await asyncio.wait({reading})

    return serve


async def rabbitmq_is(client, state):
    now = (await client.get("/status")).json()["rabbitmq"]
    return now["state"] == state and now


def check_refused(response, words):
    assert response.status_code == 503
    assert words in response.json()["error"]
    assert int(response.headers["Retry-After"]) > 0


async def test_without_a_fibre_live_is_refused_naming_it(served, rabbitmq, until, body):
    async with served(rabbitmq.amqp_url) as (_, client):
        await until(lambda: rabbitmq_is(client, "up"), "RabbitMQ is up")
        check_refused(await client.post("/jobs", json=body()), "waiting for fiber")
        check_refused(await client.get("/channels"), "waiting for fiber")
        live = (await client.get("/live_metadata")).json()
    assert (live["prr"], live["sw_version"], live["fiber_description"]) == (
        0.0,
        "waiting for fiber",
        "waiting for fiber",
    )
    assert live["fiber_length_meters"] > live["fiber_start_meters"]


async def test_without_a_broker_live_is_refused_naming_it_and_no_password(served, until, body):
    async with served(NOWHERE) as (_, client):
        state = await until(lambda: rabbitmq_is(client, "down"), "RabbitMQ is missed")
        check_refused(await client.post("/jobs", json=body()), "RabbitMQ")
        assert "s3cret" not in state["detail"]


async def test_requests_that_mean_nothing_are_refused(served, rabbitmq, until, source, body):
    async with served(rabbitmq.amqp_url) as (made, client):
        await until(lambda: rabbitmq_is(client, "up"), "RabbitMQ is up")
        fibre = source(np.zeros((4, 4000), np.int16))
        made.announce(fibre)
        made.give(*fibre.blocks())
        assert (await client.get("/channels")).json() == {"lowest_channel": 1, "highest_channel": 4}
        assert (await client.get("/live_metadata")).json()["prr"] == 1000.0
        too_wide = await client.post("/jobs", json=body(channels=(1, 5)))
        assert (too_wide.status_code, "1 to 4" in too_wide.json()["error"]) == (400, True)
        misshapen = await client.post("/jobs", json={"view_type": 1})
        assert misshapen.status_code == 422
        for path in ("/jobs/0-1", "/jobs/0-1/state"):
            assert (await client.get(path)).json()["error"] == "Invalid job_id"
        assert (await client.delete("/jobs/0-1")).status_code == 404
        assert (await client.get("/jobs")).json() == {"jobs": []}
