"""Six defects planted into the running system, each found with its kind and its first bad hop.

The tests pass when the proof fails, or cannot tell, for the right reason: they are the check on the checker. What goes
wrong while a picture runs is planted into one and the same picture, one defect after the other.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, Route

from fullspan.clients import DataStream, FocusClient, LiveMetadata
from fullspan.faults import Faults, Latency
from fullspan.ledger import Kind, Ledger, Reconciliation
from fullspan.ledger.hops import HopRunner
from fullspan.stack import Stack
from fullspan.stack.proxy import LinkProxy
from fullspan.timeline import Timeline
from fullspan.verdict import Verdict
from suites.focus.block_thief import steal_one_block
from suites.focus.feed import fibre_of, metadata_of
from suites.focus.grid import group_of
from suites.focus.picture import CHANNEL, LivePicture, choose_view, page_in, site_of
from suites.focus.proof import ON_SCREEN_WITHIN_NS, Window, examine
from suites.focus.websocket_tamper import WebSocketTamper

pytestmark = [pytest.mark.e2e, pytest.mark.own_processors]

WATCH_S = 3.2
GLANCE_S = 1.6
"""Enough for a defect that shows in every line."""
WITHIN_S = 60.0
SHOT_EVERY_S = 0.5
"""Each line stays on the screen for seconds."""
GIVEN_UP_AFTER_S = 3.0
"""Rows that are due so long after a block was stolen are drawn before the proof ends: it is waited for for 2 s."""

# Every texture of 256 x 1 texels is a colour table: turn it round before it reaches the graphics card.
REVERSED_TABLE = """
for (const name of ['texImage2D', 'texSubImage2D', 'texStorage2D']) {
  const real = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    const data = given[given.length - 1];
    if (data instanceof Uint8Array && (data.length === 1024 || data.length === 768)) {
      const width = data.length / 256;
      const turned = new Uint8Array(data.length);
      for (let i = 0; i < 256; i += 1) {
        turned.set(data.subarray(i * width, (i + 1) * width), (255 - i) * width);
      }
      given[given.length - 1] = turned;
    }
    return real.apply(this, given);
  };
}
"""


class Scene:
    """A live picture with its observers, into which defects are planted; the server is at `base`, if not as usual."""

    def __init__(self, picture: LivePicture, ledger: Ledger, live: LiveMetadata, base: str | None = None) -> None:
        self.picture = picture
        self.ledger = ledger
        self._live = live
        self._base = base
        self._since_ns = 0

    def open(self) -> None:
        """Show the picture, unless it is there; what is due from now on is examined."""
        if self.picture.ready is None:
            # Only the blocks that the picture is made of: observing all would take the processor from the rest.
            self.picture.open(self._base, blocks=str(group_of(self.picture.view.channel)))
        self._since_ns = time.time_ns()

    def watch(self, seconds: float = WATCH_S) -> Reconciliation:
        """Watch the picture until what is due within some seconds must be on the screen; examine it."""
        until = time.time_ns() + int(seconds * 1e9)
        self.picture.watch(lambda: time.time_ns() > until + ON_SCREEN_WITHIN_NS, seconds + 10, SHOT_EVERY_S)
        # Lateness is not what is planted here; a busy machine must not hide the defect behind it.
        window, groups = self.rows_until(until), self.picture.view.groups
        return examine(self.picture, self.ledger, self._live.number_of_channels, window, None, groups)

    def rows_until(self, wall_ns: int) -> Window:
        """Return the rows due between `open` and a moment."""
        return Window.of(self.picture, wall_ns, self._since_ns)


@pytest.fixture
def scene(picture: LivePicture, ledger: Ledger, live: LiveMetadata) -> Scene:
    """A picture for one test alone."""
    return Scene(picture, ledger, live)


@pytest.mark.soak  # `test_selftest_slice.py` plants a wrong channel into a request, too
def test_shifted_channel_is_found_at_the_row(scene: Scene) -> None:
    def shift(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        body["channels"] = {"min": body["channels"]["min"] + 1, "max": body["channels"]["max"] + 1}
        route.continue_(post_data=json.dumps(body))

    scene.picture.page.route("**/configure", shift)
    scene.open()
    examined = scene.watch(GLANCE_S)
    assert examined.first_bad_hop == "row"
    assert examined.totals["row"].altered == examined.totals["row"].expected >= 20
    assert examined.totals["frame"].altered == 0, "the frames carry what the rows carried"


def test_wrong_colour_table_is_found_at_the_pixel(scene: Scene) -> None:
    scene.picture.page.add_init_script(REVERSED_TABLE)
    scene.open()
    examined = scene.watch(GLANCE_S)
    assert examined.first_bad_hop == "pixel"
    assert examined.totals["pixel"].altered >= 0.9 * examined.totals["pixel"].expected >= 18
    assert examined.totals["frame"].altered == 0


class RowSwap:
    """Exchange the data of two neighbouring rows in one message, once it is told from which row on."""

    def __init__(self) -> None:
        self.begin: int | None = None
        self.rows: tuple[int, int] | None = None

    def __call__(self, payload: bytes) -> bytes:
        if self.begin is None or self.rows is not None:
            return payload
        message = DataStream.FromString(payload)
        if len(message.main_data) < 2 or message.row_index[0] < self.begin:
            return payload
        self.rows = (message.row_index[0], message.row_index[1])
        message.main_data[0], message.main_data[1] = message.main_data[1], message.main_data[0]
        return message.SerializeToString()


@contextmanager
def tampered(address: str, swap: RowSwap) -> Iterator[str]:
    """Put a proxy in front of an HTTP address that edits its WebSocket messages; give the proxy's address."""
    parts = urlsplit(address)

    async def begin() -> LinkProxy:
        proxy = LinkProxy("planted", parts.hostname or "", parts.port or 80, tamper_down=lambda: WebSocketTamper(swap))
        await proxy.start()
        return proxy

    with start_blocking_portal() as portal:
        proxy = portal.call(begin)
        host, port = proxy.address
        try:
            yield f"http://{host}:{port}"
        finally:
            portal.call(proxy.aclose)


@pytest.fixture(scope="module")
def swap() -> RowSwap:
    return RowSwap()


@pytest.fixture(scope="module")
def tampering(stack: Stack, swap: RowSwap) -> Iterator[str]:
    """The server's address, on the way from which rows can be swapped."""
    with tampered(stack.endpoint("focus.http"), swap) as address:
        yield address


@pytest.fixture(scope="module")
def running(stack: Stack, focus: FocusClient, browser: Browser, timeline: Timeline, tampering: str) -> Iterator[Scene]:
    """A picture that goes on from test to test."""
    live = metadata_of(focus)
    fibre = fibre_of(stack, live)
    with HopRunner(Ledger(), timeline) as hops, page_in(browser) as page:
        picture = LivePicture(stack, page, hops, fibre, site_of(live), choose_view(fibre, CHANNEL, live))
        yield Scene(picture, hops.ledger, live, tampering)
        page.close()


@pytest.mark.soak  # pictures without a defect pass their proofs, and a defect raises no alarm but its own
def test_no_defect_no_alarm(running: Scene) -> None:
    running.open()
    examined = running.watch()
    assert examined.first_bad_hop is None, examined.violations[:3]
    assert examined.totals["pixel"].observed >= 50


def test_dropped_block_is_missing_from_the_row_on(stack: Stack, running: Scene) -> None:
    running.open()
    picture = running.picture
    group = group_of(picture.view.channel)
    # A block stolen before the first examined row has all its samples would be missing from no examined row.
    picture.watch(lambda: len(running.rows_until(time.time_ns()).rows) > 0, WITHIN_S)
    with start_blocking_portal() as portal:
        stolen = portal.start_task_soon(
            steal_one_block, stack.endpoint("rabbitmq.amqp"), f"analyzer.{picture.site}", group
        )
        picture.watch(stolen.done, WITHIN_S)
    block = f"{picture.site}/{group}/{stolen.result(0)}"
    examined = running.watch(GIVEN_UP_AFTER_S)
    missing = [violation for violation in examined.of(Kind.MISSING) if violation.is_root]
    assert examined.totals["block"].missing == 0, "the broker's exchange saw every block"
    assert examined.first_bad_hop == "row"
    assert {violation.hop for violation in missing} == {"row"}
    rows = {int(violation.key.rpartition("/")[2]) for violation in missing}
    hit = {row for row in running.rows_until(time.time_ns()).rows if block in row_blocks(running, row)}
    assert rows == hit, f"missing rows {sorted(rows)}, rows made of the stolen block {block}: {sorted(hit)}"


def row_blocks(running: Scene, row: int) -> set[str]:
    """Return the blocks of a row by what the block hop saw of their samples."""
    start, end = running.picture.grid.samples(row)
    return {
        seen.key
        for seen in running.ledger.observations("block")
        if int(str(seen.attributes["first_sample"])) < end
        and int(str(seen.attributes["first_sample"])) + int(str(seen.attributes["samples"])) > start
    }


def test_swapped_rows_are_found_at_the_frame(running: Scene, swap: RowSwap) -> None:
    running.open()
    picture = running.picture
    swap.begin = running.rows_until(time.time_ns()).first
    examined = running.watch(GLANCE_S)
    assert swap.rows is not None, "no message with two rows came by"
    first, second = (picture.key(row) for row in swap.rows)
    found = {(v.hop, v.key, v.swapped_with) for v in examined.of(Kind.SWAPPED) if v.is_root}
    assert found == {("frame", first, second), ("frame", second, first)}
    assert examined.first_bad_hop == "frame"


def test_frozen_canvas_is_found_at_the_pixel(running: Scene) -> None:
    running.open()
    page = running.picture.page
    running.picture.watch(lambda: len(running.picture.screen.codes) > 20, WITHIN_S)
    page.evaluate("WebGL2RenderingContext.prototype.drawArrays = () => {}")
    page.evaluate("window.requestAnimationFrame = () => 0")
    examined = running.watch()
    assert examined.first_bad_hop == "pixel"
    assert examined.totals["frame"].missing == 0
    assert examined.totals["pixel"].missing >= 50


def test_fault_that_does_nothing_is_inconclusive(stack: Stack, faults: Faults) -> None:
    """Latency on a link that nothing uses."""
    address = urlsplit(stack.endpoint("focus.http"))
    stack.via("unused", address.hostname or "", address.port or 80)
    with faults.active(Latency("unused", 200)):
        threading.Event().wait(1.0)  # the length of the fault: nothing is waited for
    evidence = faults.evidence[-1]
    assert not evidence.bit
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert "unused" in evidence.bit_detail
