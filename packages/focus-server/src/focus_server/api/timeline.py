"""The page that draws recordings in time: one SVG and one table, in itself, without a script."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

_NS: Final = 1_000_000_000
_WIDTH: Final = 1000
_BAR_TOP: Final = 12
_BAR_HEIGHT: Final = 48
_NARROWEST: Final = 1.5
"""Units of the drawing; a shorter recording would not be seen."""
_TICKS: Final = 6
_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
    *(2 * 86400, 7 * 86400, 30 * 86400, 365 * 86400, 3650 * 86400, 36500 * 86400, 365000 * 86400),
)
_LISTED: Final = 200
"""Ranges in the table, the newest ones; the drawing has all."""

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --soft: #5c6670; --line: #d0d7de; --bar: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --back: #0d1117; --soft: #8b949e; --line: #30363d; --bar: #58a6ff; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
p, caption, .tick text { color: var(--soft); }
svg { width: 100%; height: auto; display: block; }
.ground { fill: none; stroke: var(--line); }
.bar { fill: var(--bar); }
.tick line { stroke: var(--line); }
.tick text { fill: var(--soft); font-size: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: 1rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; }
th, td { text-align: left; padding: 0.2rem 1.2rem 0.2rem 0; border-bottom: 1px solid var(--line); }
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Nothing may be loaded or run; the page's own style is allowed by its hash."""


def timeline_page(ranges: Sequence[tuple[int, int]], begin_ns: int, end_ns: int, now_ns: int) -> str:
    """Draw ranges, sorted by start, on an axis from `begin_ns` to `end_ns`; all in ns since 1970, shown in UTC."""
    shown = [(max(start, begin_ns), min(end, end_ns)) for start, end in ranges]
    total_s = sum(end - start for start, end in shown) / _NS
    summary = f"{len(shown)} range{'' if len(shown) == 1 else 's'}, {_duration(total_s)} in all" if shown else "None"
    title = f"Recordings from {_stamp(begin_ns)} to {_stamp(end_ns)} UTC"
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>Recordings</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n",
            f"<h1>{escape(title)}</h1>\n<p>{escape(summary)}; as of {_stamp(now_ns)} UTC.</p>\n",
            _drawing(shown, begin_ns, end_ns, title),
            _table(ranges),
            "</body>\n</html>\n",
        )
    )


def _drawing(shown: Sequence[tuple[int, int]], begin_ns: int, end_ns: int, title: str) -> str:
    def x(time_ns: int) -> float:
        return (time_ns - begin_ns) / (end_ns - begin_ns) * _WIDTH

    bars = []
    for start_ns, stop_ns in shown:
        width = max(x(stop_ns) - x(start_ns), _NARROWEST)
        left = min(x(start_ns), _WIDTH - width)
        words = escape(f"{_stamp(start_ns)} to {_stamp(stop_ns)} UTC, {_duration((stop_ns - start_ns) / _NS)}")
        bars.append(
            f'<rect class="bar" x="{left:.2f}" y="{_BAR_TOP}" width="{width:.2f}" height="{_BAR_HEIGHT}">'
            f"<title>{words}</title></rect>\n"
        )
    bottom = _BAR_TOP + _BAR_HEIGHT
    ticks = [
        f'<g class="tick"><line x1="{x(at):.2f}" x2="{x(at):.2f}" y1="{bottom}" y2="{bottom + 8}"/>'
        f'<text x="{x(at):.2f}" y="{bottom + 22}" text-anchor="{_anchor(x(at))}">{escape(label)}</text></g>\n'
        for at, label in _ticks(begin_ns, end_ns)
    ]
    ground = f'<rect class="ground" x="0" y="{_BAR_TOP}" width="{_WIDTH}" height="{_BAR_HEIGHT}"/>\n'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 28}" role="img" aria-label="{escape(title)}">\n'
        f"{ground}{''.join(bars)}{''.join(ticks)}</svg>\n"
    )


def _table(ranges: Sequence[tuple[int, int]]) -> str:
    if not ranges:
        return "<p>There is no recording in this time.</p>\n"
    rows = "".join(
        f"<tr><td>{_stamp(start)}</td><td>{_stamp(end)}</td><td>{_duration((end - start) / _NS)}</td></tr>\n"
        for start, end in reversed(ranges[-_LISTED:])
    )
    older = f", the newest {_LISTED} of {len(ranges)}" if len(ranges) > _LISTED else ""
    return (
        f'<div class="scroll"><table><caption>Newest first{older}</caption>\n'
        f"<tr><th>Start (UTC)</th><th>End (UTC)</th><th>Duration</th></tr>\n{rows}</table></div>\n"
    )


def _ticks(begin_ns: int, end_ns: int) -> list[tuple[int, str]]:
    span_s = (end_ns - begin_ns) / _NS
    step_s = next((step for step in _STEPS_S if span_s / step <= _TICKS), _STEPS_S[-1])
    step_ns = step_s * _NS
    first = -(-begin_ns // step_ns) * step_ns
    form = (
        "%H:%M:%S" if step_s < 60 else "%H:%M" if span_s <= 86_400 else "%m-%d %H:%M" if step_s < 86_400 else "%Y-%m-%d"
    )
    return [(at, _date(at).strftime(form)) for at in range(first, end_ns + 1, step_ns)]


def _anchor(x: float) -> str:
    return "start" if x < 20 else "end" if x > _WIDTH - 20 else "middle"


def _date(time_ns: int) -> datetime:
    return datetime.fromtimestamp(min(time_ns // _NS, 253_402_300_799), UTC)


def _stamp(time_ns: int) -> str:
    return _date(time_ns).strftime("%Y-%m-%d %H:%M:%S")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
