"""The page and its files as a browser gets them."""

import re
from importlib.resources import files

import pytest

from focus_server import contract

from .conftest import client

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["", "/focus-server"])
async def http(request, address):
    async with client(f"{address}{request.param}", follow_redirects=True) as made:
        yield made


async def test_the_page_and_all_its_files_are_there_with_their_types(http):
    page = await http.get("/liveView")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    names = [file.name for file in (files("focus_server") / "web").iterdir() if file.is_file()]
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) <= set(names)
    for name in names:
        file = await http.get(f"/liveView/{name}")
        assert file.status_code == 200
        assert file.headers["Content-Type"].startswith(kinds["." + name.rpartition(".")[2]])


async def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(http):
    page = await http.get("/liveView")
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|https?://", page.text)


@pytest.mark.parametrize("path", ["..%2fcli.py", "%2e%2e/cli.py", "..%5ccli.py", "nothing.js", "%00"])
async def test_nothing_beside_the_page_can_be_read(http, path):
    response = await http.get(f"/liveView/{path}")
    assert response.status_code == 404
    assert set(response.json()) == {"error", "detail"}


async def test_the_pages_limits_are_the_contracts(http):
    module = await http.get("/liveView/limits.js")
    assert module.headers["Content-Type"].startswith("text/javascript")
    assert module.headers["Content-Security-Policy"]
    assert f"export const NFFT_VALUES = Object.freeze({list(contract.NFFT_VALUES)});" in module.text
    assert f"export const MAX_CHANNELS = {contract.MAX_CHANNELS};" in module.text
    assert f'export const VIEWER = "{contract.VIEWER}";' in module.text
    assert module.text.count("export const ") == 12
