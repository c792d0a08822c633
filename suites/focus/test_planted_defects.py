"""Six defects planted into the running system, each found with its kind and its first bad hop.

The tests pass when the proof fails, or cannot tell, for the right reason: they are the check on the checker.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Route

from fullspan.clients import DataStream, LiveMetadata
from fullspan.faults import Faults, Latency
from fullspan.ledger import Kind, Ledger, Reconciliation
from fullspan.stack import Stack
from fullspan.stack.proxy import LinkProxy
from fullspan.verdict import Verdict
from suites.focus.block_thief import steal_one_block
from suites.focus.grid import group_of
from suites.focus.picture import LivePicture
from suites.focus.proof import ON_SCREEN_WITHIN_NS, Window, examine
from suites.focus.websocket_tamper import WebSocketTamper

pytestmark = [pytest.mark.e2e, pytest.mark.own_processors]

WATCH_S = 4.0

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


def watch(picture: LivePicture, ledger: Ledger, live: LiveMetadata, seconds: float = WATCH_S) -> Reconciliation:
    until = time.time_ns() + int(seconds * 1e9)
    picture.watch(lambda: time.time_ns() > until + ON_SCREEN_WITHIN_NS, seconds + 10)
    # Lateness is not what is planted here; a busy machine must not hide the defect behind it.
    return examine(picture, ledger, live.number_of_channels, Window.of(picture, until), late_after_ns=None)


def test_no_defect_no_alarm(picture: LivePicture, ledger: Ledger, live: LiveMetadata) -> None:
    picture.open()
    examined = watch(picture, ledger, live)
    assert examined.first_bad_hop is None, examined.violations[:3]
    assert examined.totals["pixel"].observed >= 50


def test_dropped_block_is_missing_from_the_row_on(
    stack: Stack, picture: LivePicture, ledger: Ledger, live: LiveMetadata
) -> None:
    picture.open()
    picture.watch(lambda: len(picture.screen.codes) > 0, 5)
    group = group_of(picture.view.channel)
    with start_blocking_portal() as portal:
        stolen = portal.start_task_soon(
            steal_one_block, stack.endpoint("rabbitmq.amqp"), f"analyzer.{picture.site}", group
        )
        picture.watch(stolen.done, 10)
    sequence = stolen.result(0)
    # The analyzer gives a block up after two seconds; until then its lines wait.
    examined = watch(picture, ledger, live, 5.0)
    block = f"{picture.site}/{group}/{sequence}"
    missing = [violation for violation in examined.of(Kind.MISSING) if violation.is_root]
    assert examined.totals["block"].missing == 0, "the broker's exchange saw every block"
    assert examined.first_bad_hop == "row"
    assert {violation.hop for violation in missing} == {"row"}
    rows = {int(violation.key.rpartition("/")[2]) for violation in missing}
    hit = {row for row in Window.of(picture, time.time_ns()).rows if block in row_blocks(picture, ledger, row)}
    assert rows == hit, f"missing rows {sorted(rows)}, rows made of the stolen block {block}: {sorted(hit)}"


def row_blocks(picture: LivePicture, ledger: Ledger, row: int) -> set[str]:
    """Return the blocks of a row by what the block hop saw of their samples."""
    start, end = picture.grid.samples(row)
    group = group_of(picture.view.channel)
    return {
        seen.key
        for seen in ledger.observations("block")
        if seen.key.split("/")[1] == str(group)
        and int(str(seen.attributes["first_sample"])) < end
        and int(str(seen.attributes["first_sample"])) + int(str(seen.attributes["samples"])) > start
    }


class RowSwap:
    """Exchange the data of two neighbouring rows in one message, once, after `after` messages."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.rows: tuple[int, int] | None = None

    def __call__(self, payload: bytes) -> bytes:
        self._left -= 1
        message = DataStream.FromString(payload)
        if self.rows is not None or self._left > 0 or len(message.main_data) < 2:
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


def test_swapped_rows_are_found_at_the_frame(
    stack: Stack, picture: LivePicture, ledger: Ledger, live: LiveMetadata
) -> None:
    swap = RowSwap(after=20)
    with tampered(stack.endpoint("focus.http"), swap) as address:
        picture.open(address)
        examined = watch(picture, ledger, live)
        picture.page.close()
    assert swap.rows is not None, "no message with two rows came by"
    first, second = (picture.key(row) for row in swap.rows)
    found = {(v.hop, v.key, v.swapped_with) for v in examined.of(Kind.SWAPPED) if v.is_root}
    assert found == {("frame", first, second), ("frame", second, first)}
    assert examined.first_bad_hop == "frame"


def test_shifted_channel_is_found_at_the_row(picture: LivePicture, ledger: Ledger, live: LiveMetadata) -> None:
    def shift(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        body["channels"] = {"min": body["channels"]["min"] + 1, "max": body["channels"]["max"] + 1}
        route.continue_(post_data=json.dumps(body))

    picture.page.route("**/configure", shift)
    picture.open()
    examined = watch(picture, ledger, live)
    assert examined.first_bad_hop == "row"
    assert examined.totals["row"].altered == examined.totals["row"].expected
    assert examined.totals["frame"].altered == 0, "the frames carry what the rows carried"


def test_frozen_canvas_is_found_at_the_pixel(picture: LivePicture, ledger: Ledger, live: LiveMetadata) -> None:
    picture.open()
    picture.watch(lambda: len(picture.screen.codes) > 20, 10)
    picture.page.evaluate("WebGL2RenderingContext.prototype.drawArrays = () => {}")
    picture.page.evaluate("window.requestAnimationFrame = () => 0")
    examined = watch(picture, ledger, live)
    assert examined.first_bad_hop == "pixel"
    assert examined.totals["frame"].missing == 0
    assert examined.totals["pixel"].missing >= 50


def test_wrong_colour_table_is_found_at_the_pixel(picture: LivePicture, ledger: Ledger, live: LiveMetadata) -> None:
    picture.page.add_init_script(REVERSED_TABLE)
    picture.open()
    until = time.time_ns() + int(WATCH_S * 1e9)
    picture.watch(lambda: time.time_ns() > until + ON_SCREEN_WITHIN_NS, WATCH_S + 10)
    window = Window.of(picture, until)
    examined = examine(picture, ledger, live.number_of_channels, window, late_after_ns=None)
    assert examined.first_bad_hop == "pixel"
    assert examined.totals["pixel"].altered >= 0.9 * examined.totals["pixel"].expected
    assert examined.totals["frame"].altered == 0


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
