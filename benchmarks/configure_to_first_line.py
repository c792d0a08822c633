"""How long a user waits from configuring a live view to the first line on the screen.

Claim: p95 under 1 s with a filled ring. The whole stack runs (broker, fibre of 2222 channels at 1000 samples/s,
analyzer, server); the time runs from the moment the page sends POST /configure to the end of the first screenshot that
shows a line. Beside it, as the limit that no page can beat: the same request and the first row over gRPC, no browser.
"""

import time

from _figures import options, percentile, print_claim, read, show
from _stack import add_option, the_stack, wait_until_fed
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Page, sync_playwright

from fullspan.clients import FocusClient, Wishes, open_stream
from fullspan.ledger.hops import CanvasReader
from fullspan.stack import Stack
from fullspan.stack.services.chromium import launch_options
from suites.focus.picture import View
from suites.focus.strip import read_rows

LINES_PER_SECOND = 20
NFFT = 256
DRAWN_WITHIN_S = 15.0
DRAWN_MS = 1000.0
VIEW = View(channel=111, low_db=-250.0, high_db=-100.0, nfft=NFFT, lines_per_second=LINES_PER_SECOND, height=64)


def page_ms(page: Page, base: str) -> float:
    """Return the time from POST /configure, as the browser noted it, to the end of a screenshot with a line, ms."""
    with page.expect_response(lambda response: response.url.endswith("/configure")) as answered:
        page.goto(VIEW.address(base), wait_until="commit")
    sent_ms = answered.value.request.timing["startTime"]
    canvas = CanvasReader(page, '[data-testid="canvas"]')
    deadline = time.monotonic() + DRAWN_WITHIN_S
    while time.monotonic() < deadline:
        shot = canvas.read()
        if read_rows(shot.pixels):
            return shot.end.wall_ns / 1e6 - sent_ms
    raise TimeoutError(f"no line was drawn within {DRAWN_WITHIN_S:g} s")


def stream_ms(client: FocusClient, portal: BlockingPortal) -> float:
    """Return the time from POST /configure to the first row over gRPC, ms; the job is ended afterwards."""
    began = time.monotonic()
    job = client.configure(VIEW.channel, nfft=NFFT, lines_per_second=LINES_PER_SECOND, height=VIEW.height)

    async def first_row() -> float:
        async with open_stream(job.host, job.stream_port) as call:
            async for _ in call:
                return time.monotonic()
        raise ConnectionError("the stream ended before its first row")

    elapsed = (portal.call(first_row) - began) * 1e3
    client.cancel(job.job_id)
    return elapsed


def measure(stack: Stack, n: int) -> tuple[list[float], list[float]]:
    """Take n samples of each kind in turn; a sample before the first only warms up."""
    base = stack.endpoint("focus.http")
    pages, streams = [], []
    with FocusClient(base) as client, start_blocking_portal() as portal, sync_playwright() as playwright:
        wait_until_fed(client, VIEW.channel, Wishes(nfft=NFFT, height=VIEW.height))
        browser = playwright.chromium.launch(**launch_options())
        for index in range(n + 1):
            context = browser.new_context(viewport={"width": 640, "height": 400}, device_scale_factor=1)
            drawn, row = page_ms(context.new_page(), base), stream_ms(client, portal)
            context.close()
            if index:
                pages.append(drawn)
                streams.append(row)
        browser.close()
    return pages, streams


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 30, "samples of each kind")
    add_option(parser)
    given = read(parser)
    print(f"n: {given.n} of each kind, in turn; NFFT {NFFT}, {LINES_PER_SECOND} lines/s, one channel, software GL")
    with the_stack(given.stack) as stack:
        pages, streams = measure(stack, given.n)
    drawn = show("configure to first drawn line", pages, "ms")
    row = show("configure to first row over gRPC", streams, "ms")
    print(f"ratio page / gRPC: {drawn / row:.2f}")
    print_claim(f"p95 on the page under {DRAWN_MS:g} ms", percentile(pages, 95) < DRAWN_MS, quick=given.quick)


if __name__ == "__main__":
    main()
