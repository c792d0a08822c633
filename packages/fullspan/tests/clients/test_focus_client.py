"""Both clients against a server whose answers the test decides: what is typed, what is repeated, what is raised."""

import http.server
import inspect
import json
import socket
import ssl
import threading
from datetime import UTC, datetime

import anyio
import pytest

from fullspan.clients import (
    AsyncFocusClient,
    ClientError,
    FocusClient,
    Job,
    NotUnderstood,
    OlderWishes,
    OutcomeUnknown,
    Refused,
    Unreachable,
    Wishes,
    configure_document,
    older_document,
)
from fullspan.clients.call import http_options
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
SUMMARY = {
    "job_id": "0-1",
    "view_type": 1,
    "mode": "live",
    "state": "ready",
    "channels": {"min": 7, "max": 9},
    "nfft": 256,
    "viewers": 2,
    "created": "2026-01-01T00:00:00+00:00",
    "last_activity": "2026-01-01T00:00:01+00:00",
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
        self.headers = []
        self.let_go = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((f"{self.command} {self.path}", json.loads(body) if body else None))
        self.server.headers.append(self.headers)
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
        self.send_header("Connection", "close")  # said, or a client may send its next request into the closing
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

    def connected(url=server.url, **options):
        made.append(request.param(url, **options))
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
        (200, {"jobs": [SUMMARY, {**SUMMARY, "nfft": None}]}),
        (200, {"version": "0.1.0"}),
        (200, {"sensors": [0, 1, 2]}),
        (200, {"openapi": "3.1.0"}),
        (200, b'# HELP x y\nfocus_jobs{mode="live"} 3\n'),
        (200, b"<html>"),
        (200, b"<html>"),
    ]
    assert client.ack() is None
    assert client.channels().highest == 2222
    live = client.live_metadata()
    assert (live.prr, live.number_of_channels, live.fiber_source, live.waiting) == (1000.0, 500, {"seed": 1}, False)
    first, second = client.jobs()
    assert (first.job_id, first.mode, first.state, first.channels, first.nfft) == ("0-1", "live", "ready", (7, 9), 256)
    assert (first.viewers, first.created, second.nfft) == (2, datetime(2026, 1, 1, tzinfo=UTC), None)
    assert client.info() == "0.1.0"
    assert client.sensors() == (0, 1, 2)
    assert client.openapi() == {"openapi": "3.1.0"}
    assert client.metrics().value("focus_jobs", mode="live") == 3
    assert client.recordings_page() == client.recordings_page((1.5, 2.5)) == "<html>"
    assert [asked for asked, _ in server.requests[-3:]] == [
        "GET /metrics",
        "GET /get_recordings_timeline",
        "GET /get_recordings_timeline?start_time=1.5&end_time=2.5",
    ]


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


def test_a_refusal_keeps_status_sentence_and_when_to_try_again(connect, server):
    body = {"error": "waiting for fiber: no live block has arrived.", "detail": "feed"}
    server.replies = [(503, body, ("Retry-After", "7"))]
    with pytest.raises(Refused) as caught:
        connect(retries=0).configure((1, 5), view=0)
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


@pytest.mark.parametrize("reply", ["cut", (502, {}), (503, {}), (429, {})], ids=["cut", "502", "503", "429"])
def test_a_job_is_asked_for_again_with_the_same_key(connect, server, reply):
    server.replies = [reply, (200, JOB), (200, JOB), (200, JOB)]
    client = connect(viewer="me")
    assert client.configure(7).job_id == "3-14"
    client.configure(7)
    client.configure(7, key="mine")
    first, again, other, own = [headers["Idempotency-Key"] for headers in server.headers]
    assert first == again != other
    assert (len(first), own) == (32, "mine")
    assert {headers["X-Viewer"] for headers in server.headers} == {"me"}
    assert len({json.dumps(document) for _, document in server.requests}) == 1


@pytest.mark.parametrize("reply", ["cut", "hang"])
def test_the_outcome_may_be_unknown_after_all_attempts(connect, server, reply):
    server.replies = [reply] * 3
    client = connect(timeout_s=0.5, retries=1)
    with pytest.raises(OutcomeUnknown, match="POST /configure was sent but not answered"):
        client.configure(7)
    assert len(server.requests) == 2


def test_a_job_that_is_gone_after_an_unknown_outcome_was_ended(client, server):
    server.replies = ["cut", (404, {"error": "Invalid job_id"}), (404, {"error": "Invalid job_id"})]
    assert client.cancel("0-1") is None
    with pytest.raises(Refused, match="Invalid job_id"):
        client.cancel("0-1")
    assert len(server.requests) == 3


def test_rows_that_may_have_been_given_are_not_asked_for_again(client, server):
    server.replies = ["cut", (502, {}), (503, {}), (200, [])]
    with pytest.raises(OutcomeUnknown, match="GET /waterfall/0-1/5 was sent but not answered"):
        client.pull("0-1", 5)
    with pytest.raises(Refused, match="502"):
        client.pull("0-1", 5)
    assert client.pull("0-1", 5).blocks == ()
    assert len(server.requests) == 4


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
        members = inspect.getmembers(client, inspect.isfunction)
        return {n: inspect.signature(f).parameters.keys() for n, f in members if not n.startswith("_")}

    sync, asynchronous = calls(FocusClient), calls(AsyncFocusClient)
    assert sync.pop("close") == asynchronous.pop("aclose")
    assert sync == asynchronous


def test_errors_are_a_tree_and_jobs_read_what_they_need():
    assert all(issubclass(kind, ClientError) for kind in (Refused, Unreachable, OutcomeUnknown, NotUnderstood))
    with pytest.raises(KeyError):
        Job.read({key: value for key, value in JOB.items() if key != "metadata"})


@pytest.mark.parametrize(
    ("wishes", "document"),
    [
        ({"view": 0}, {"view_type": 0}),
        ({"view": 2, "lines_per_second": 20.5}, {"view_type": 2, "lines_per_second": 20.5}),
        ({"duration_s": 4, "overlap": 0.5}, {"displayTimeAxisDuration": 4, "overlap": 0.5}),
        ({"between": (1.5, 2.5), "playrate": 2}, {"start_time": 1.5, "end_time": 2.5, "playrate": 2}),
        ({"nfft": 512, "band": (1, 9)}, {"nfftSelection": 512, "frequencyRange": {"min": 1, "max": 9}}),
    ],
)
def test_every_wish_has_its_field(wishes, document):
    always = {"view_type": 1, "channels": {"min": 3, "max": 5}, "displayInfo": {"height": 9}}
    assert configure_document((3, 5), height=9, **wishes) == {**always, **document}
    assert wishes.keys() <= Wishes.__annotations__.keys()


def test_wishes_name_every_parameter():
    assert list(inspect.signature(configure_document).parameters)[1:] == list(Wishes.__annotations__)
    assert list(inspect.signature(older_document).parameters)[1:] == list(OlderWishes.__annotations__)


def test_the_older_form_is_written_in_its_own_names_and_times(client, server):
    server.replies = ["cut", (200, {"status": "success", "task_id": "a_1"})]
    between = (
        datetime(2025, 12, 31, 23, 59, 58, 900_000, UTC).timestamp(),
        datetime(2026, 1, 2, tzinfo=UTC).timestamp(),
    )
    assert client.config("a_1", (0, 4), height=50, nfft=512, band=(0, 100), duration_s=20, between=between) == "a_1"
    body = {
        "displayTimeAxisDuration": 20,
        "nfftSelection": 512,
        "canvasInfo": {"height": 50},
        "sensors": {"min": 0, "max": 4},
        "frequencyRange": {"min": 0, "max": 100},
        "start_time": "251231235958",
        "end_time": "260102000000",
    }
    assert server.requests == [("POST /config/a_1", body)] * 2
    live = older_document(3)
    assert (live["sensors"], live["start_time"], live["end_time"]) == ({"min": 3, "max": 3}, None, None)


def test_recordings_are_asked_for_again_because_asking_changes_nothing(server):
    server.replies = [(503, {"error": "MongoDB is down."}), (200, [[1.5, 2.5], [3, 4]])]
    with FocusClient(server.url) as client:
        assert client.recordings(1, 5) == [(1.5, 2.5), (3, 4)]
    assert server.requests == [("POST /recordings_in_time_range", {"start_time": 1, "end_time": 5})] * 2


def test_without_encryption_nobody_is_trusted():
    """So that no address that a caller gives is read unchecked, and none of all the certificates is loaded."""
    trust = http_options("http://127.0.0.1:1", 1.0, {})["verify"]
    assert (trust.verify_mode, trust.check_hostname, trust.cert_store_stats()["x509"]) == (ssl.CERT_REQUIRED, True, 0)
    assert http_options("https://127.0.0.1:1", 1.0, {})["verify"] is True
