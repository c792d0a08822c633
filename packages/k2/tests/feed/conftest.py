"""The local exchange, as whoever drives a test commands it."""

import json
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect


@pytest.fixture
def control():
    """Connect to the control of a local exchange by its port; call it with a method and its parameters."""

    @contextmanager
    def to(port):
        with connect(f"ws://127.0.0.1:{port}/control", proxy=None) as connection:

            def call(method, **params):
                connection.send(json.dumps({"method": method, "params": params, "id": 1}))
                answer = json.loads(connection.recv(30))
                assert "error" not in answer, answer
                return answer["result"]

            yield call

    return to
