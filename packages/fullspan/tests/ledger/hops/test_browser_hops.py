import asyncio
import io
import threading
import time

import numpy as np
import pytest
import websockets
from PIL import Image
from websockets.datastructures import Headers
from websockets.http11 import Response

from fullspan.errors import Inconclusive
from fullspan.ledger import Ledger, Observation
from fullspan.ledger.hops import CanvasReader, HopRunner, PageFrames

WITHIN_S = 10

PAGE = b"""<!doctype html><style>body{margin:0}canvas{display:block;position:absolute;left:7px;top:11px}</style>
<canvas id=picture width=64 height=32></canvas><i id=hidden style="display:none">x</i>
<b id=half style="position:absolute;left:100.5px;top:0;width:10px;height:10px"></b>
<b id=long style="position:absolute;left:0;top:100px;width:10px;height:5000px"></b>
<script>
const pen = document.getElementById("picture").getContext("2d");
const image = pen.createImageData(64, 32);
for (let i = 0; i < 64 * 32; i++) image.data.set([i % 256, (i * 7) % 256, (i >> 3) % 256, 255], 4 * i);
pen.putImageData(image, 0, 0);
window.feed = new WebSocket(`ws://${location.host}/feed`); window.feed.binaryType = "arraybuffer";
window.other = new WebSocket(`ws://${location.host}/other`);
</script>"""


class Site:
    """A real server of one page and of the sockets it opens; `send` says what the page receives on /feed."""

    def __enter__(self):
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(WITHIN_S)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()

    async def _serve(self, ready):
        self._loop, self._stop, self._feeds = asyncio.get_running_loop(), asyncio.Event(), asyncio.Queue()
        async with websockets.serve(
            self._talk, "127.0.0.1", 0, process_request=self._page, compression=None, max_size=None
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._stop.wait()

    def _page(self, _, request):
        if request.path in ("/feed", "/other"):
            return None
        return Response(200, "OK", Headers({"Content-Type": "text/html", "Content-Length": str(len(PAGE))}), PAGE)

    async def _talk(self, socket):
        if socket.request.path == "/feed":
            await self._feeds.put(socket)
        else:
            await socket.send(b"not for the hop")
        await socket.wait_closed()

    def call(self, doing):
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(WITHIN_S)

    def feed(self):
        return self.call(self._feeds.get())

    def send(self, feed, message):
        """Send a message and return when, on the shared clock."""
        self.call(feed.send(message))
        return time.monotonic_ns()


@pytest.fixture(scope="module")
def site():
    with Site() as running:
        yield running


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport={"width": 400, "height": 300}, device_scale_factor=1)
    yield context
    context.close()


@pytest.fixture
def page(context):
    """A page of its own, for a test that listens to it."""
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def shown(context, site):
    """The page as it is, for all who only look at it."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/")
    site.feed()
    return page


def observations(message, moment):
    text = message if isinstance(message, str) else message[:10].decode()
    number = int(text.split()[1])
    kind = "text" if isinstance(message, str) else "binary"
    fields = {"digest": f"{kind} {len(message)}"}
    yield Observation("frame", f"job/0/{number}", number, 0, moment.mono_ns, moment.wall_ns, **fields)


def pump_until(page, condition, what):
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {WITHIN_S} s"
        page.wait_for_timeout(20)


@pytest.mark.timed
def test_frames_are_seen_at_the_browsers_own_time_even_when_the_test_looked_away(page, site):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        frames = runner.start(PageFrames(page, "/feed", observations))
        page.goto(f"http://127.0.0.1:{site.port}/")
        feed = site.feed()
        sent = [time.monotonic_ns()]
        big = b"row 2     " + bytes(300_000)
        for message in ("row 0", b"row 1", big):
            site.send(feed, message)
            time.sleep(0.1)  # audit: sleep because the messages must be told apart by their times
            sent.append(time.monotonic_ns())
        time.sleep(0.5)  # audit: sleep because the test is busy with something else; the frames are long in the browser
        pump_until(page, lambda: len(ledger) == 3, "three frames were seen")
        wall = time.time_ns() - time.monotonic_ns()

    seen = ledger.observations("frame")
    assert [o.sequence for o in seen] == [0, 1, 2]
    assert [o.digest for o in seen] == ["text 5", "binary 5", f"binary {len(big)}"]
    for number, observation in enumerate(seen):
        assert sent[number] < observation.seen_ns < sent[number + 1]
        assert abs(observation.seen_wall_ns - observation.seen_ns - wall) < 5_000_000
    assert frames.failed is None


def test_a_closed_socket_is_an_interruption_until_the_page_opens_another(page, site):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        frames = runner.start(PageFrames(page, "/feed", observations))
        page.goto(f"http://127.0.0.1:{site.port}/")
        site.call(site.feed().close())
        pump_until(page, lambda: frames.is_interrupted, "the end of the socket was noticed")
        page.reload()
        feed = site.feed()
        site.send(feed, "row 4")
        pump_until(page, lambda: len(ledger) == 1, "the new socket's frame was seen")
        assert not frames.is_interrupted
    assert frames.failed is None
    assert frames.interruptions[0].cause == "the page's WebSocket was closed"


def test_a_frame_that_cannot_be_read_ends_the_hop_with_its_reason(page, site):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        frames = runner.start(PageFrames(page, "/feed", observations))
        page.goto(f"http://127.0.0.1:{site.port}/")
        feed = site.feed()
        site.send(feed, "row x")
        site.send(feed, "row 1")
        pump_until(page, lambda: frames.failed is not None, "the hop failed")
        page.wait_for_timeout(100)  # audit: sleep because a message that must not be seen has this long to come
    assert "ValueError: invalid literal for int()" in frames.failed
    assert len(ledger) == 0


def test_a_stopped_hop_sees_no_more_and_a_closed_page_does_no_harm(page, site):
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        frames = runner.start(PageFrames(page, "/feed", observations))
        page.goto(f"http://127.0.0.1:{site.port}/")
        feed = site.feed()
        frames.stop()
        site.send(feed, "row 1")
        page.wait_for_timeout(100)  # audit: sleep because a message that must not be seen has this long to come
        assert len(ledger) == 0
        runner.start(PageFrames(page, "/feed", observations))
        page.close()


def test_the_pixels_are_those_that_the_page_drew(shown):
    before = time.monotonic_ns()
    shot = CanvasReader(shown, "#picture").read()
    after = time.monotonic_ns()

    i = np.arange(64 * 32).reshape(32, 64)
    drawn = np.stack([i % 256, (i * 7) % 256, (i >> 3) % 256], axis=-1)
    assert shot.pixels.dtype == np.uint8
    np.testing.assert_array_equal(shot.pixels, drawn)
    assert before < shot.begin.mono_ns < shot.end.mono_ns < after
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shot.png)).convert("RGB")), drawn)


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("#absent", "could not be found"),
        ("#hidden", "cannot be seen"),
        ("#half", "lies between pixels"),
        ("#long", "reaches beyond the window"),
    ],
)
def test_what_cannot_be_read_is_inconclusive(shown, selector, reason):
    # Only what is absent is waited for to the end; the others may take a busy machine a while.
    with pytest.raises(Inconclusive, match=reason):
        CanvasReader(shown, selector, timeout_s=0.5 if selector == "#absent" else 10.0).read()


def test_a_scaled_page_is_inconclusive(browser, site):
    context = browser.new_context(viewport={"width": 400, "height": 300}, device_scale_factor=2)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/")
    with pytest.raises(Inconclusive, match="device scale factor of 1"):
        CanvasReader(page, "#picture").read()
    context.close()
