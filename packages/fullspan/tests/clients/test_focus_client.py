"""Both clients against a server whose answers the test decides: what is typed, what is repeated, what is raised."""

import http.server
import inspect
import json
import socket
import threading

import anyio
import pytest

from fullspan.clients import (
    AsyncFocusClient,
    ClientError,
    FocusClient,
    Job,
    NotUnderstood,
    OutcomeUnknown,
    Refused,
    Unreachable,
    configure_document,
)
from fullspan.errors import FullspanError

JOB = {
    "status": "success",
    "job_id": "3-14",
    "stream_url": "http://127.0.0.1",
    "stream_port": 12301,
    "stream_amount": 1,
    "channel_to_stream_index": {"7": 0},
    "channel_amount": 1,
    "frequencies_list": [0.0, 3.90625],
    "frequencies_amount": 2,
    "lines_dt": 0.05,
    "view_type": 1,
    "metadata": {
        "units": "counts",
        "ready_in_s": 0.25,
        "grid": {"t0_ns": 5, "fs_num": 249997, "fs_den": 125, "first_line": 9, "hop": 50, "nfft": 256},
    },
}
LIVE = {
    "prr": 1000.0,
    "dtype": "int16",
    "dx": 1.5,
    "number_of_channels": 500,
    "fiber_start_meters": 0.0,
    "fiber_length_meters": 750.0,
    "fiber_description": "a fibre",
    "fiber_source": {"seed": 1},
}


class Server(http.server.ThreadingHTTPServer):
    """Answers with the next of `replies` (status, document, headers), "cut" or "hang"; keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = []
        self.requests = []
        self.let_go = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((f"{self.command} {self.path}", json.loads(body) if body else None))
        reply = self.server.replies.pop(0)
        self.close_connection = True
        if reply == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if reply == "hang":
            self.server.let_go.wait(10)
            return
        status, document, *headers = reply
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        self.do_GET()

    def do_DELETE(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join(10)


class Blocking:
    """The asynchronous client, called as if it blocked, so that one test serves both."""

    def __init__(self, *arguments, **options):
        self.make = lambda: AsyncFocusClient(*arguments, **options)

    def __getattr__(self, name):
        async def call(arguments, options):
            async with self.make() as client:
                return await getattr(client, name)(*arguments, **options)

        return lambda *arguments, **options: anyio.run(call, arguments, options)


@pytest.fixture(params=[FocusClient, Blocking], ids=["sync", "async"])
def connect(request, server):
    """Makes clients of both kinds, with the deadline that the test needs."""
    made = []

    def connected(url=server.url, timeout_s=10.0):
        made.append(request.param(url, timeout_s=timeout_s))
        return made[-1]

    yield connected
    for client in made:
        if isinstance(client, FocusClient):
            client.close()


@pytest.fixture
def client(connect):
    return connect()


def test_answers_are_typed(client, server):
    server.replies = [
        (200, {}),
        (200, {"lowest_channel": 1, "highest_channel": 2222}),
        (200, LIVE),
        (200, {"jobs": [{}]}),
    ]
    assert client.ack() is None
    assert client.channels().highest == 2222
    live = client.live_metadata()
    assert (live.prr, live.number_of_channels, live.fiber_source, live.waiting) == (1000.0, 500, {"seed": 1}, False)
    assert client.jobs() == [{}]


def test_a_job_is_typed_and_its_document_kept(client, server):
    server.replies = [(200, JOB), (200, JOB), (200, {"status": "success", "job_id": "3-14"})]
    job = client.configure(7, nfft=256, lines_per_second=20, band=(0, 500))
    assert client.metadata(job.job_id) == job
    assert client.cancel(job.job_id) is None
    assert (job.host, job.stream_port, job.serial, job.channel_to_stream) == ("127.0.0.1", 12301, 14, {7: 0})
    assert (job.grid.fs.numerator, job.grid.fs.denominator, job.grid.hop, job.ready_in_s) == (249997, 125, 50, 0.25)
    assert job.document == JOB
    assert server.requests == [
        (
            "POST /configure",
            {
                "view_type": 1,
                "channels": {"min": 7, "max": 7},
                "displayInfo": {"height": 200},
                "nfftSelection": 256,
                "frequencyRange": {"min": 0, "max": 500},
                "lines_per_second": 20,
            },
        ),
        ("GET /metadata/3-14", None),
        ("DELETE /job/3-14", None),
    ]


@pytest.mark.parametrize("status", [200, 503])
def test_being_unhealthy_is_an_answer_with_its_status(client, server, status):
    server.replies = [(status, {"status": "x", "dependencies": {"rabbitmq": {"state": "down", "detail": ""}}})]
    health = client.health()
    assert (health.status, health.healthy, health.dependencies) == (status, status == 200, {"rabbitmq": "down"})
    assert len(server.requests) == 1


def test_a_refusal_keeps_status_sentence_and_when_to_try_again(client, server):
    body = {"error": "waiting for fiber: no live block has arrived.", "detail": "feed"}
    server.replies = [(503, body, ("Retry-After", "7"))]
    with pytest.raises(Refused) as caught:
        client.configure((1, 5), view=0)
    refused = caught.value
    assert (refused.status, refused.error, refused.detail, refused.retry_after_s) == (503, *body.values(), 7.0)
    assert str(refused) == f"POST /configure was answered with 503: {body['error']}"
    assert isinstance(refused, FullspanError)
    assert server.requests[0][1]["channels"] == {"min": 1, "max": 5}


def test_a_refusal_without_the_one_body_is_still_a_refusal(client, server):
    server.replies = [(404, b"<html>"), (404, [])]
    for _ in range(2):
        with pytest.raises(Refused, match="404: no reason given"):
            client.metadata("0-1")


def test_reading_is_repeated_until_it_passes(client, server):
    server.replies = ["cut", (503, {}, ("Retry-After", "0")), (200, {"lowest_channel": 1, "highest_channel": 9})]
    assert client.channels().highest == 9
    assert len(server.requests) == 3


def test_reading_is_given_up_after_its_attempts(client, server):
    server.replies = [(502, {"error": "no"})] * 5
    with pytest.raises(Refused) as caught:
        client.live_metadata()
    assert caught.value.status == 502
    assert len(server.requests) == 3


def test_what_cannot_pass_is_not_repeated(client, server):
    server.replies = [(404, {"error": "Invalid job_id", "detail": ""})]
    with pytest.raises(Refused, match="Invalid job_id"):
        client.metadata("0-1")
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", ["cut", "hang"])
@pytest.mark.parametrize("call", [lambda c: c.configure(7), lambda c: c.cancel("0-1")], ids=["configure", "cancel"])
def test_what_changes_something_is_sent_once_and_its_outcome_may_be_unknown(connect, server, call, reply):
    server.replies = [reply] * 2
    with pytest.raises(OutcomeUnknown, match="was sent but not answered"):
        call(connect(timeout_s=1.0))
    assert len(server.requests) == 1


def test_nothing_sent_is_unreachable(connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match="POST /configure could not be sent"):
        connect(nobody).configure(7)


@pytest.mark.parametrize("document", [b"no JSON", {}, [], {"lowest_channel": 1}])
def test_an_answer_of_another_shape_is_not_understood(client, server, document):
    server.replies = [(200, document)]
    with pytest.raises(NotUnderstood, match="GET /channels"):
        client.channels()


def test_anything_can_be_sent_as_it_is(client, server):
    server.replies = [(418, {"error": "x"})]
    response = client.raw("POST", "/configure", json={"view_type": "?"})
    assert (response.status_code, server.requests) == (418, [("POST /configure", {"view_type": "?"})])


def test_a_job_id_cannot_leave_its_place_in_the_path(client, server):
    server.replies = [(404, {})]
    with pytest.raises(Refused):
        client.cancel("../jobs?x")
    assert server.requests == [("DELETE /job/..%2Fjobs%3Fx", None)]


def test_a_historic_request_names_both_ends():
    document = configure_document((1, 3), view=2, height=5, between=(10.0, 20.0))
    assert (document["start_time"], document["end_time"], document["view_type"]) == (10.0, 20.0, 2)
    assert "nfftSelection" not in document


def test_both_clients_have_the_same_calls():
    def calls(client):
        return {n: inspect.signature(f).parameters.keys() for n, f in vars(client).items() if not n.startswith("_")}

    sync, asynchronous = calls(FocusClient), calls(AsyncFocusClient)
    assert sync.pop("close") == asynchronous.pop("aclose")
    assert sync == asynchronous


def test_errors_are_a_tree_and_jobs_read_what_they_need():
    assert all(issubclass(kind, ClientError) for kind in (Refused, Unreachable, OutcomeUnknown, NotUnderstood))
    with pytest.raises(KeyError):
        Job.read({key: value for key, value in JOB.items() if key != "metadata"})


def test_recordings_are_asked_for_again_because_asking_changes_nothing(server):
    server.replies = [(503, {"error": "MongoDB is down."}), (200, [[1.5, 2.5], [3, 4]])]
    with FocusClient(server.url) as client:
        assert client.recordings(1, 5) == [(1.5, 2.5), (3, 4)]
    assert server.requests == [("POST /recordings_in_time_range", {"start_time": 1, "end_time": 5})] * 2
