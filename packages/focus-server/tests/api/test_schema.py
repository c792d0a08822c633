"""What /openapi.json says is true, of what each route allows and of what it forbids."""

import asyncio
import contextlib

import anyio
import pytest
import requests
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from focus_server.api import create_app
from focus_server.api.openapi import describe
from focus_server.api.server import Server, listen
from focus_server.settings import ServeSettings

WAIT_S = 60
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.negative_data_rejection,
]
"""Those that hold for what is refused, too: what is allowed field by field may be refused as a whole."""
FAILURES = {500, 501, 502}
"""503 is none: a route may say that something it depends on is away."""

DESCRIPTION = describe(create_app(ServeSettings(analyzer_socket="nowhere.sock")))
OPERATIONS = [(method.upper(), path) for path, item in DESCRIPTION["paths"].items() for method in item]


def takes_anything(operation):
    method, path = operation
    described = DESCRIPTION["paths"][path][method.lower()]
    return "requestBody" in described or "parameters" in described


@contextlib.asynccontextmanager
async def serving_a_fibre(folder, make_plant):
    """The real server in front of a real analyzer with a fibre; gives its address."""
    async with make_plant(folder, "1000", 70, 1000).running() as plant:
        with listen("127.0.0.1", 0, no_auth=False) as listener:
            server = Server(ServeSettings(analyzer_socket=plant.socket), listener)
            server.capture_signals = contextlib.nullcontext
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                with anyio.fail_after(WAIT_S):
                    while not server.started:  # noqa: ASYNC110 - it has nothing to wait for
                        await asyncio.sleep(0.01)
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                await task


@pytest.fixture(scope="module")
def address(tmp_path_factory, make_plant):
    with start_blocking_portal() as portal:
        made = serving_a_fibre(tmp_path_factory.mktemp("schema"), make_plant)
        with portal.wrap_async_context_manager(made) as found:
            yield found


@pytest.fixture(scope="module")
def schema(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def ask_everything(schema, address, operation, mode):
    """Ask a route what its description makes up; gives the statuses."""
    method, path = operation
    met = []

    @settings(deadline=None, derandomize=True, max_examples=5, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call(timeout=WAIT_S)
        met.append(response.status_code)
        assert response.status_code not in FAILURES
        case.validate_response(response, checks=CHECKS)
        if path == "/configure" and response.status_code == 200:
            requests.delete(f"{address}/job/{response.json()['job_id']}", timeout=WAIT_S)  # room for the next

    ask()
    return met


def test_the_served_description_is_that_of_every_route(address):
    served = requests.get(f"{address}/openapi.json", timeout=WAIT_S).json()
    assert served == DESCRIPTION
    assert len(OPERATIONS) >= 17
    for method, path in OPERATIONS:
        refused = served["paths"][path][method.lower()]["responses"]["4XX"]
        assert refused["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
        assert "Retry-After" in refused["headers"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_a_route_answers_what_it_allows_as_described(schema, address, operation):
    assert ask_everything(schema, address, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", list(filter(takes_anything, OPERATIONS)), ids=" ".join)
def test_a_route_answers_what_it_forbids_as_described(schema, address, operation):
    met = ask_everything(schema, address, operation, GenerationMode.NEGATIVE)
    assert {400, 403, 404, 405, 413, 415, 422} & set(met)
