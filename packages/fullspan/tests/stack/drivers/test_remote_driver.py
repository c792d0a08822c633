"""The remote driver: a component that somebody else runs, with its ports, its links and its refusals."""

import http.server
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fullspan.errors import Inconclusive, StackError
from fullspan.faults import Faults, Hang, Latency
from fullspan.stack import open_stack
from fullspan.stack.drivers import Launch
from fullspan.stack.drivers.remote import RemoteDriver
from fullspan.stack.ports import hold_free_port
from fullspan.testing import check_driver
from fullspan.timeline import Timeline
from fullspan.verdict import Verdict

STACK = """
schema: fullspan/stack/1
name: small
components:
  shop:
    driver: remote
    with: {{at: {{http: "127.0.0.1:{port}"}}}}
    ports: {{http: }}
    ready: {{http: "http://127.0.0.1:${{self.http}}/", timeout_s: 10}}
links: {{suite-shop: {{from: suite, to: shop.http, proxy: true}}}}
endpoints: {{shop.http: "http://127.0.0.1:${{shop.http}}/"}}
"""


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from elsewhere")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A server that no stack has started; its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Quiet) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def launch_to(folder: Path, at: dict[str, str]) -> Launch:
    port = hold_free_port().release()
    return Launch("shop", "run", (), folder, folder / "shop.log", ports={"http": port}, options={"at": at})


@pytest.mark.anyio
async def test_the_remote_driver_does_what_drivers_must(tmp_path: Path, elsewhere: int):
    launch = launch_to(tmp_path, {"http": f"127.0.0.1:{elsewhere}"})
    await check_driver(RemoteDriver(), launch)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{elsewhere}/")
    assert answer.status_code == 200, "stop() and kill() left it alone"


@pytest.mark.anyio
async def test_the_check_finds_a_driver_that_promises_what_it_cannot_do(tmp_path: Path, elsewhere: int):
    class Boastful(RemoteDriver):
        acts = frozenset({"kill"})

    with pytest.raises(AssertionError, match="what can be ended can be started again"):
        await check_driver(Boastful(), launch_to(tmp_path, {"http": f"127.0.0.1:{elsewhere}"}))


@pytest.mark.anyio
async def test_who_is_not_there_is_named_and_nothing_listens(tmp_path: Path):
    nobody = hold_free_port().release()
    launch = launch_to(tmp_path, {"http": f"127.0.0.1:{nobody}"})
    with pytest.raises(StackError, match=rf"'shop' is not there: 127\.0\.0\.1:{nobody}: .*connect"):
        await RemoteDriver().start(launch)
    for wrong, words in (
        (replace(launch, ports={}), r"`ports` has no 'http'"),
        (replace(launch, ports={**launch.ports, "admin": 1}), r"`with\.at` has no 'admin'"),
    ):
        with pytest.raises(StackError, match=words):
            RemoteDriver().check(wrong)


def test_a_system_that_somebody_else_runs_is_tested_through_a_link(tmp_path: Path, elsewhere: int, monkeypatch):
    monkeypatch.delenv("FULLSPAN_VAR", raising=False)
    file = tmp_path / "stacks" / "small.yaml"
    file.parent.mkdir()
    file.write_text(STACK.format(port=elsewhere))
    with open_stack(file) as stack:
        url = stack.endpoint("shop.http")
        assert httpx.get(url).text == "from elsewhere"
        with Faults(stack, Timeline(tmp_path / "timeline.jsonl")) as faults:
            with faults.active(Latency("suite-shop", 300)):
                assert httpx.get(url).elapsed.total_seconds() > 0.3
                later = threading.Timer(0.3, httpx.get, [url])
                later.start()  # a sign of life after the fault
            later.join()
            with faults.active(Hang("shop")):
                assert httpx.get(url).status_code == 200
            assert [evidence.verdict for evidence in faults.evidence] == [Verdict.PASS, Verdict.INCONCLUSIVE]
        with pytest.raises(
            Inconclusive, match=r"driver 'remote' of component 'shop' cannot hang it\. Put the fault on"
        ):
            stack.component("shop").hang()
        with pytest.raises(Inconclusive, match="cannot kill it"):
            stack.component("shop").kill()
        assert stack.components["shop"].state == "ready"
