"""The page and its files as a browser gets them."""

import re
import shutil
from importlib.resources import files

import pytest

from focus_server import contract
from focus_server.api.page_files import PageFiles

from .conftest import client

pytestmark = pytest.mark.anyio

WEB = files("focus_server") / "web"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


def links(text):
    """Every address that the page names."""
    return re.findall(r'\b(?:src|href)="([^"]+)"', text)


@pytest.fixture(params=["", "/focus-server"])
async def http(request, address):
    async with client(f"{address}{request.param}", follow_redirects=True) as made:
        yield made


async def test_the_page_names_all_its_files_and_they_are_there_to_be_kept(http):
    page = await http.get("/liveView")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    expected = {file.name: file.read_bytes() for file in WEB.iterdir() if file.name != "index.html"}
    named = {link.rpartition("/")[2]: link for link in links(page.text)}
    # Also each module that only modules name: whoever waits for one to learn of the next waits for long.
    assert set(named) == {*expected, "limits.js"}
    assert len({link.rpartition("/")[0] for link in named.values()}) == 1
    for name, link in named.items():
        file = await http.get(page.url.join(link))
        assert file.status_code == 200
        assert file.content == expected.get(name, file.content)
        assert file.headers["Content-Type"].startswith(KINDS["." + name.rpartition(".")[2]])
        assert file.headers["Cache-Control"] == FOR_EVER


async def test_the_page_itself_is_asked_for_each_time_and_sent_when_it_is_another(http):
    page = await http.get("/liveView/")
    assert page.headers["Cache-Control"] == "no-cache"
    again = await http.get("/liveView/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == page.headers["ETag"]
    other = await http.get("/liveView/", headers={"If-None-Match": '"another"'})
    assert (other.status_code, other.content) == (200, page.content)


async def test_other_files_have_another_address_and_the_one_before_has_nothing(http, tmp_path):
    now = PageFiles.read()
    shutil.copytree(WEB, tmp_path / "web")
    assert PageFiles.read(tmp_path / "web") == now
    with (tmp_path / "web/utc.js").open("a") as module:
        module.write("\n")
    later = PageFiles.read(tmp_path / "web")
    assert later.folder != now.folder
    assert later.tag != now.tag
    assert later.folder in later.page.decode()
    assert (await http.get(f"/liveView/{now.folder}/utc.js")).status_code == 200
    assert (await http.get(f"/liveView/{later.folder}/utc.js")).status_code == 404


async def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(http):
    page = await http.get("/liveView")
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|https?://", page.text)


@pytest.mark.parametrize("path", ["..%2fcli.py", "%2e%2e/cli.py", "..%5ccli.py", "nothing.js", "%00"])
async def test_nothing_beside_the_page_can_be_read(http, path):
    for folder in ("", f"{PageFiles.read().folder}/"):
        response = await http.get(f"/liveView/{folder}{path}")
        assert response.status_code == 404
        assert set(response.json()) == {"error", "detail"}


async def test_the_pages_limits_are_the_contracts(http):
    page = await http.get("/liveView/")
    (link,) = (link for link in links(page.text) if link.endswith("/limits.js"))
    module = await http.get(page.url.join(link))
    assert module.headers["Content-Type"].startswith("text/javascript")
    assert module.headers["Content-Security-Policy"]
    assert f"export const NFFT_VALUES = Object.freeze({list(contract.NFFT_VALUES)});" in module.text
    assert f"export const MAX_CHANNELS = {contract.MAX_CHANNELS};" in module.text
    assert f'export const VIEWER = "{contract.VIEWER}";' in module.text
    assert module.text.count("export const ") == 12
