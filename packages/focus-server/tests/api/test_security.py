"""What the guard in front lets through and what not, for requests and WebSockets."""

import asyncio
import contextlib
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from focus_server.api import create_app
from focus_server.settings import ServeSettings

from .conftest import client

pytestmark = pytest.mark.anyio

BODY = {"view_type": "1", "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}


async def ask(address, method="GET", path="/ack", **options):
    async with client(address) as http:
        return await http.request(method, path, **options)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:5000", "127.0.0.1:1"])
async def test_known_hosts_are_answered(address, host):
    assert (await ask(address, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "[", "a@localhost", "localhost@a", "localhost/a", "0.0.0.0", "::1"],
)
async def test_other_hosts_are_not(address, host):
    response = await ask(address, headers={"Host": host})
    assert response.status_code == 403
    assert response.json()["detail"] == "Host"


async def test_two_hosts_are_none(address):
    reader, writer = await asyncio.open_connection(*address.split(":"))
    with contextlib.closing(writer):
        writer.write(b"GET /ack HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
    assert status.split()[1] in {b"400", b"403"}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{}", "http://{}.evil"]
)
async def test_another_origin_may_read_but_not_change(analyzer, address, origin):
    headers = {"Origin": origin.format(address)}
    assert (await ask(address, path="/channels", headers=headers)).status_code == 200
    for method, path in (("POST", "/configure"), ("DELETE", "/job/0-1")):
        response = await ask(address, method, path, headers=headers, json=BODY)
        assert response.status_code == 403
        assert response.json()["detail"] == "Origin"
    assert [call for call, _ in analyzer.calls] == ["GET /channels"]


async def test_the_servers_own_origin_may_change(analyzer, address):
    response = await ask(address, "POST", "/configure", headers={"Origin": f"http://{address}"}, json=BODY)
    assert response.status_code == 200


async def test_an_origin_that_the_settings_name_may_change(tmp_path):
    settings = ServeSettings(analyzer_socket=tmp_path / "none.sock", allowed_origins="https://viewer.example")
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        accepted = await client.post("/configure", json=BODY, headers={"Origin": "https://viewer.example"})
        refused = await client.post("/configure", json=BODY, headers={"Origin": "https://other.example"})
    assert (accepted.status_code, refused.status_code) == (503, 403)


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_a_body_must_say_that_it_is_json(analyzer, address, media_type):
    headers = {} if media_type is None else {"Content-Type": media_type}
    response = await ask(address, "POST", "/configure", content=json.dumps(BODY), headers=headers)
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]
    assert analyzer.calls == []


async def test_json_may_name_its_charset(analyzer, address):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await ask(address, "POST", "/configure", content=json.dumps(BODY), headers=headers)).status_code == 200


async def chunks(n):
    for _ in range(n):
        yield b" " * 1024


async def test_a_large_body_is_refused_whether_it_says_its_length_or_not(analyzer, address):
    headers = {"Content-Type": "application/json"}
    for content in (b" " * 65537, chunks(65)):
        response = await ask(address, "POST", "/configure", content=content, headers=headers)
        assert response.status_code == 413
        assert "65536" in response.json()["error"]
    assert analyzer.calls == []


async def test_a_body_that_never_comes_is_given_up(address, monkeypatch):
    monkeypatch.setattr("focus_server.api.security._BODY_DEADLINE_S", 0.2)
    reader, writer = await asyncio.open_connection(*address.split(":"))
    head = (
        b"POST /configure HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    with contextlib.closing(writer):
        writer.write(head)
        async with asyncio.timeout(60):
            status = await reader.readline()
    assert status.split()[1] == b"408"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
async def test_a_websocket_of_another_origin_or_host_is_refused_with_a_sentence(analyzer, address, headers):
    analyzer.add_job()
    origin = headers.get("Origin")
    target = f"ws://{headers.get('Host', address)}/ws/jobs/0-1/streams/0"
    host, port = address.split(":")
    with pytest.raises(InvalidStatus) as caught:
        async with connect(target, origin=origin, host=host, port=int(port), compression=None, proxy=None):
            pass
    assert caught.value.response.status_code == 403
    assert set(json.loads(caught.value.response.body)) == {"error", "detail"}
    assert analyzer.calls == []


async def test_a_page_of_the_server_may_open_a_websocket(analyzer, address):
    analyzer.add_job()
    target = f"ws://{address}/focus-server/ws/jobs/0-1/streams/0"
    async with connect(target, origin=f"http://{address}", compression=None, proxy=None):
        await analyzer.wait_for_streams()
