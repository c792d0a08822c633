"""How LiveView keeps up: first paint, frames, the main thread's work, line latency on the screen, and its heap.

Claims: first paint under 1 s after the page was asked for; on a waterfall of 2222 columns at 20 lines/s at least 20
frames/s in software GL with the main thread busy less than half of the time, and lines on the screen with p95 under
400 ms; the heap grows by less than 0.5 MB/min (`--minutes 10` watches it for longer than a break allows). The whole
stack runs. The peer, measured in the same run, is the page's own way without WebGL (`draw=plain`), which paints the
same picture on a 2D canvas.
"""

import argparse
import re
import time
from typing import Any

from _figures import options, percentile, print_claim, read, show
from _stack import add_option, the_stack, wait_until_fed
from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from fullspan.clients import FocusClient, Wishes
from fullspan.stack.services.chromium import launch_options

FRAMES_S = 10.0
HEAP_MINUTES = 2.5
HEAPS_PER_MINUTE = 4
PAINT_MS = 1000.0
FRAMES_PER_S = 20.0
BUSY = 0.5
LATENCY_MS = 400.0
HEAP_MB_MIN = 0.5
LINES_WITHIN_MS = 20_000
SIZE = (1366, 768)

# After each frame: how late the newest line on it is, by the page's own grid and the wall clock that it shares with us.
WATCH = """() => {
  const canvas = document.getElementById("canvas");
  const newest = document.getElementById("newest");
  window.seen = { frames: 0, pictures: Number(canvas.dataset.frames), began: performance.now(), late: [] };
  const count = () => {
    window.seen.frames += 1;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
  let before = "";
  new MutationObserver(() => {
    const text = newest.textContent;
    if (text === before) return;
    before = text;
    requestAnimationFrame(() => window.seen.late.push(Date.now() - Date.parse(text.replace(" ", "T") + "Z")));
  }).observe(newest, { childList: true, characterData: true, subtree: true });
}"""
READ = """() => {
  const seconds = (performance.now() - window.seen.began) / 1000;
  const pictures = Number(document.getElementById("canvas").dataset.frames) - window.seen.pictures;
  return { frames: window.seen.frames / seconds, pictures: pictures / seconds, late: window.seen.late };
}"""


# The first paint may have been, or be still to come.
PAINTED = """() => new Promise((found) => {
  new PerformanceObserver((list) => {
    for (const entry of list.getEntriesByName("first-contentful-paint")) found(entry.startTime);
  }).observe({ type: "paint", buffered: true });
})"""


def metrics(session: CDPSession) -> dict[str, float]:
    """Return what the browser counts for a page, by name."""
    return {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}


def open_page(browser: Browser, base: str, query: str) -> tuple[Page, CDPSession]:
    """Open LiveView, and wait for its first line."""
    context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, device_scale_factor=1)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    page.goto(f"{base}/liveView/?auto=1&lps=20&{query}")
    expect(page.locator("#newest")).to_have_text(re.compile("...."), timeout=LINES_WITHIN_MS)
    return page, session


def first_paint_ms(browser: Browser, base: str) -> float:
    """Return the time from the navigation's beginning to the page's first contentful paint, ms."""
    context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
    page = context.new_page()
    page.goto(f"{base}/liveView/")
    painted: float = page.evaluate(PAINTED)
    context.close()
    return painted


def keeps_up(browser: Browser, base: str, query: str, seconds: float, half_line_ms: float) -> dict[str, Any]:
    """Watch a page: frames/s, pictures drawn/s, the main thread's share, and the latency of lines on the screen, ms."""
    page, session = open_page(browser, base, query)
    page.wait_for_timeout(1000)
    before = metrics(session)
    page.evaluate(WATCH)
    page.wait_for_timeout(1000 * seconds)
    seen = page.evaluate(READ)
    after = metrics(session)
    page.context.close()
    busy = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
    # The page names a line by its centre; latency counts from its end, half a line later.
    late = [ms - half_line_ms for ms in seen["late"]]
    return {"frames": seen["frames"], "pictures": seen["pictures"], "busy": busy, "late": late}


def heap_slope(browser: Browser, base: str, query: str, minutes: float) -> tuple[float, list[float]]:
    """Return by how many MB a live page's heap grows each minute (least squares), and its sizes after garbage, MB."""
    page, session = open_page(browser, base, query)
    times, sizes = [], []
    steps = max(4, round(HEAPS_PER_MINUTE * minutes))
    for _ in range(steps + 1):
        session.send("HeapProfiler.collectGarbage")
        sizes.append(session.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
        times.append(time.monotonic() / 60)
        page.wait_for_timeout(60_000 * minutes / steps)
    page.context.close()
    at = sum(times) / len(times)
    mean = sum(sizes) / len(sizes)
    spread = sum((moment - at) ** 2 for moment in times)
    return sum((t - at) * (s - mean) for t, s in zip(times, sizes, strict=True)) / spread, sizes


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, 5, "page loads, and watches of each way to draw")
    parser.add_argument("--minutes", type=float, default=HEAP_MINUTES, help="of the heap's watch (default %(default)g)")
    add_option(parser)
    measure(read(parser))


def measure(given: argparse.Namespace) -> None:
    """Measure on a stack of one's own or on the one that was named."""
    with (
        the_stack(given.stack) as stack,
        FocusClient(stack.endpoint("focus.http")) as client,
        sync_playwright() as playwright,
    ):
        base = stack.endpoint("focus.http")
        wait_until_fed(client, 1, Wishes(nfft=256, height=64))
        fibre = client.live_metadata()
        waterfall = f"view=2&cmin=1&cmax={fibre.number_of_channels}"
        browser = playwright.chromium.launch(**launch_options())
        paints = [first_paint_ms(browser, base) for _ in range(given.n)]
        seconds = 0.5 if given.quick else FRAMES_S
        rounds = 1 if given.quick else given.n
        ways: dict[str, list[dict[str, Any]]] = {"WebGL2": [], "Canvas2D": []}
        for _ in range(rounds):
            for way, option in (("WebGL2", ""), ("Canvas2D", "&draw=plain")):
                ways[way].append(keeps_up(browser, base, waterfall + option, seconds, 25.0))
        slope, sizes = heap_slope(browser, base, waterfall, 0.01 if given.quick else given.minutes)
        browser.close()
    show("first contentful paint", paints, "ms")
    print_claim(f"first paint under {PAINT_MS:g} ms", max(paints) < PAINT_MS, quick=given.quick)
    print(f"waterfall of {fibre.number_of_channels} columns at 20 lines/s, software GL, {seconds:g} s each")
    for way, watched in ways.items():
        frames = show(f"{way}: frames", [one["frames"] for one in watched], "/s")
        # Lines come two at a time, ten times a second; a frame between draws nothing, for nothing is new.
        show(f"{way}: pictures drawn", [one["pictures"] for one in watched], "/s")
        busy = show(f"{way}: main thread busy", [one["busy"] for one in watched], "of 1")
        late = [ms for one in watched for ms in one["late"]]
        p95 = percentile(late, 95) if late else float("nan")
        print(f"{way}: line latency on the screen: p95 {p95:.1f} ms, n {len(late)}")
        if way == "WebGL2":
            print_claim(f"at least {FRAMES_PER_S:g} frames/s", frames >= FRAMES_PER_S, quick=given.quick)
            print_claim(f"main thread busy under {100 * BUSY:g} %", busy < BUSY, quick=given.quick)
            print_claim(f"line latency p95 under {LATENCY_MS:g} ms", p95 < LATENCY_MS, quick=given.quick)
    print(f"heap: {slope:.3f} MB/min over {given.minutes:g} min; sizes {' '.join(f'{size:.2f}' for size in sizes)} MB")
    print_claim(f"heap grows under {HEAP_MB_MIN:g} MB/min", slope < HEAP_MB_MIN, quick=given.quick)


if __name__ == "__main__":
    main()
