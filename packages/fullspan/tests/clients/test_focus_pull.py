"""Pulling rows, by both clients, from a server whose answers the test decides."""

import math
from itertools import islice

import anyio
import httpx
import pytest

from fullspan.clients import AsyncFocusClient, FocusClient, NothingCame, NotUnderstood, Refused

GONE = (404, {"error": "Invalid job_id", "detail": "gone"})


def row(number, intensity):
    stamps = {"startTimestamp": 1000 * number, "endTimestamp": 1000 * number + 50}
    return {"canvasId": number, **stamps, "sensors": [{"id": 4, "intensity": intensity}]}


def block(*rows, most=9.5, least=None):
    return {"rows": list(rows), "current_max_amp": most, "current_min_amp": least}


@pytest.fixture(params=["sync", "async"])
def pulling(request, monkeypatch):
    """Gives a client, or the asynchronous one in its place, whose server gives the answers it is told, in order."""

    class Pulling:
        def __init__(self, *answers):
            self.answers = list(answers)
            self.asked = []

        def answer(self, asked):
            self.asked.append(asked.url.path)
            status, document = self.answers.pop(0)
            return httpx.Response(status, json=document)

        def pull(self, *arguments):
            if request.param == "sync":
                with FocusClient("http://focus") as client:
                    return self.of(client).pull(*arguments)
            return anyio.run(self._pull, *arguments)

        def rows(self, count, silence_s=20.0):
            if request.param == "sync":
                with FocusClient("http://focus") as client:
                    return list(islice(self.of(client).waterfall("0-1", 7, silence_s), count))
            return anyio.run(self._rows, count, silence_s)

        async def _pull(self, *arguments):
            async with AsyncFocusClient("http://focus") as client:
                return await self.of(client).pull(*arguments)

        async def _rows(self, count, silence_s):
            found = []
            async with AsyncFocusClient("http://focus") as client:
                async for pulled in self.of(client).waterfall("0-1", 7, silence_s):
                    found.append(pulled)
                    if len(found) == count:
                        break
            return found

        def of(self, client):
            monkeypatch.setattr(client._http, "_transport", httpx.MockTransport(self.answer))
            return client

    return Pulling


def test_blocks_are_typed(pulling):
    server = pulling((201, [block(row(3, [1, None, 2.5]), row(4, 7.0)), block(row(5, [None]), least=0.25)]))
    pulled = server.pull("0-1", 5)
    first, second = pulled.blocks
    assert (pulled.complete, first.largest, second.smallest) == (False, 9.5, 0.25)
    assert math.isnan(first.smallest)
    assert [(r.number, r.start_ms, r.end_ms) for r in first.rows] == [(3, 3000, 3050), (4, 4000, 4050)]
    low, missing, high = first.rows[0].sensors[4]
    assert (low, high, first.rows[1].sensors) == (1.0, 2.5, {4: (7.0,)})
    assert math.isnan(missing)
    assert server.asked == ["/waterfall/0-1/5"]


def test_rows_are_pulled_until_a_recording_was_given(pulling):
    server = pulling((200, []), (201, [block(row(1, 1))]), (200, {}), (201, [block(row(2, 1), row(4, 1))]), (208, []))
    assert [r.number for r in server.rows(99)] == [1, 2, 4]
    assert server.asked == ["/waterfall/0-1/7"] * 5


def test_a_reader_may_stop_between_rows(pulling):
    server = pulling((201, [block(row(1, 1), row(2, 1))]))
    assert [r.number for r in server.rows(1)] == [1]


def test_silence_and_a_job_that_ends_are_errors(pulling):
    with pytest.raises(NothingCame, match=r"job 0-1 gave no row for 0\.1 s"):
        pulling(*[(200, [])] * 50).rows(1, 0.1)
    with pytest.raises(Refused, match="Invalid job_id"):
        pulling((201, [block(row(1, 1))]), GONE).rows(2)


@pytest.mark.parametrize("document", [{}, [{"rows": [{}]}], [block({**row(1, 1), "sensors": None})]])
def test_blocks_of_another_shape_are_not_understood(pulling, document):
    if document == {}:
        document = {"rows": []}
    with pytest.raises(NotUnderstood, match="GET /waterfall/0-1/5"):
        pulling((201, document)).pull("0-1", 5)
