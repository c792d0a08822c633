"""What a watched picture proves: the journeys of its blocks and rows, and the findings on them."""

import zlib
from dataclasses import dataclass

import numpy as np

from fullspan.errors import Inconclusive
from fullspan.invariants import Finding, freshness, integrity, no_duplicate, no_loss, order
from fullspan.ledger import Journey, Ledger, Observation, Reconciliation, Stage, reconcile
from fullspan.verdict import Verdict
from suites.focus.grid import GROUP_SIZE, Grid, group_of
from suites.focus.oracle import TOLERANCE_DB
from suites.focus.picture import LivePicture

CODE_TOLERANCE = 1.0
CODES_EQUAL = 0.99
CODES_INSIDE = 0.95
CODES_DIFFERENT = 64
LATE_AFTER_NS = 1_000_000_000
ON_SCREEN_WITHIN_NS = 1_500_000_000
MIN_BLOCKS, MIN_ROWS = 3_000, 200


@dataclass(frozen=True, slots=True)
class Window:
    """The rows that a proof is about: due after every observer was ready, and early enough to be on the screen."""

    first: int
    last: int

    @property
    def rows(self) -> range:
        """Return the rows, both ends included."""
        return range(self.first, self.last + 1)

    @classmethod
    def of(cls, picture: LivePicture, until_wall_ns: int, since_wall_ns: int = 0) -> "Window":
        """Return the rows due between the observers' readiness, or a later moment, and another moment."""
        if picture.ready is None:
            raise Inconclusive("The picture was never opened.")
        grid = picture.grid
        # The blocks of the first row must have been published after the observers were ready, so one window later.
        first = grid.row_at(max(picture.ready.wall_ns, since_wall_ns)) + 2 + grid.nfft // grid.hop
        return cls(first, grid.row_at(until_wall_ns))


def examine(
    picture: LivePicture,
    ledger: Ledger,
    channels: int,
    window: Window,
    late_after_ns: int | None = LATE_AFTER_NS,
    groups: range | None = None,
) -> Reconciliation:
    """Follow every block of the window (of some groups, or of all), and every row from its blocks to the screen.

    Rows of a recording begin where they are streamed: their blocks passed long ago.
    """
    if len(window.rows) == 0:
        raise Inconclusive("No row was due while every observer was looking.")
    numbering: dict[int, int] = {}
    digests: dict[str, str] = {}
    if picture.view.between is None:
        numbering = _numbering(ledger, picture.grid)
        digests = _block_digests(picture, numbering, channels, window, groups or range(group_of(channels) + 1))
    journeys = [Journey(key, [Stage("block", [key], digest=digest)]) for key, digest in digests.items()]
    for row in window.rows:
        stages = [
            Stage("row", picture.keys(row), tolerance=TOLERANCE_DB),
            # One stream's frames must equal its rows, whatever these are; several are judged by their own values.
            Stage("frame", picture.keys(row), tolerance=TOLERANCE_DB if picture.job.stream_amount > 1 else None),
            Stage("pixel", [picture.key(row)], tolerance=CODE_TOLERANCE),
        ]
        if numbering:
            blocks = [
                f"{picture.site}/{group}/{numbering[group] + block}"
                for group in picture.view.groups
                for block in picture.grid.blocks(row)
            ]
            stages.insert(0, Stage("block", blocks, digest={block: digests[block] for block in blocks}))
        journeys.append(Journey(picture.key(row), stages))
    return reconcile(ledger, journeys, late_after_ns)


def _numbering(ledger: Ledger, grid: Grid) -> dict[int, int]:
    """Return for each group the sequence number of block 0: blocks are numbered without holes within an epoch."""
    epochs: set[object] = set()
    numbering: dict[int, int] = {}
    for block in ledger.observations("block"):
        epochs.add(block.attributes["epoch"])
        first = block.attributes["first_sample"]
        if not isinstance(first, int):
            raise TypeError(f"first_sample of block {block.key} is {first!r}")
        numbering.setdefault(int(block.key.split("/")[1]), block.sequence - grid.block_of(first))
    if len(epochs) != 1:
        raise Inconclusive(f"Blocks of {len(epochs)} epochs were seen; the proof needs one.")
    return numbering


def _block_digests(
    picture: LivePicture, numbering: dict[int, int], channels: int, window: Window, groups: range
) -> dict[str, str]:
    """Return the key of every block that the window's rows need, of all groups, with the formula's digest."""
    grid = picture.grid
    blocks = range(grid.blocks(window.first).start, grid.blocks(window.last).stop)
    start = grid.block_start(blocks.start)
    digests = {}
    for group in groups:
        if group not in numbering:
            raise Inconclusive(f"No block of group {group} was seen at all.")
        low, high = group * GROUP_SIZE + 1, min((group + 1) * GROUP_SIZE, channels)
        samples = picture.fibre.window(start, grid.block_start(blocks.stop) - start, low, high)
        for block in blocks:
            body = samples[grid.block_start(block) - start : grid.block_start(block + 1) - start].tobytes()
            digests[f"{picture.site}/{group}/{numbering[group] + block}"] = f"{zlib.crc32(body):08x}"
    return digests


def findings(
    picture: LivePicture,
    examined: Reconciliation,
    window: Window,
    *,
    fresh: bool = True,
    blocks: int = MIN_BLOCKS,
    rows: int = MIN_ROWS,
) -> list[Finding]:
    """Return what the window shows: loss, duplicates, order, integrity, freshness, and if the screen could tell.

    `blocks` and `rows` are how many must have been followed at least.
    """
    enough = {"row": rows, "frame": rows, "pixel": rows} | ({"block": blocks} if blocks else {})
    found = [
        no_loss.check(examined, enough),
        no_duplicate.check(examined, enough),
        order.check(examined, enough),
        integrity.check(examined, enough),
    ]
    if fresh:
        found.append(freshness.check(examined, enough))
    return [*found, codes_agree(picture, window, rows), picture_can_tell(picture, window), drawn_once(picture, window)]


def codes_agree(picture: LivePicture, window: Window, enough: int = MIN_ROWS) -> Finding:
    """Check that at least 99 % of the read codes equal the expected ones; the rest may be off by one (integrity)."""
    rows = [row for row in window.rows if row in picture.screen.codes]
    name = "codes equal"
    if len(rows) < enough:
        return Finding(name, Verdict.INCONCLUSIVE, f"only {len(rows)} of {enough} lines were read", len(rows))
    equal = total = 0
    for row in rows:
        read, wanted = picture.screen.codes[row], picture.expected_codes(row)
        total += max(len(read), len(wanted))
        equal += int((read == wanted).sum()) if read.shape == wanted.shape else 0
    share = equal / total
    verdict = Verdict.PASS if share >= CODES_EQUAL else Verdict.FAIL
    summary = f"{100 * share:.3f} % of {total:,} pixels have exactly the expected code, at least 99 % must"
    return Finding(name, verdict, summary, total, first_bad_hop=None if verdict is Verdict.PASS else "pixel")


def picture_can_tell(picture: LivePicture, window: Window) -> Finding:
    """Check that a wrong picture would show: codes inside the table, many different ones, no two lines equal."""
    rows = [picture.expected_codes(row) for row in window.rows]
    codes = np.stack(rows)
    inside = float(((codes >= 1) & (codes <= 254)).mean())
    different = len(np.unique(codes))
    twins = len(rows) - len({row.tobytes() for row in rows})
    good = inside >= CODES_INSIDE and different >= CODES_DIFFERENT and twins == 0
    summary = (
        f"{100 * inside:.1f} % of the expected codes lie in 1..254 (at least 95), {different} different ones occur "
        f"(at least {CODES_DIFFERENT}), {twins} lines equal another"
    )
    return Finding("picture can tell", Verdict.PASS if good else Verdict.INCONCLUSIVE, summary, len(rows))


def drawn_once(picture: LivePicture, window: Window) -> Finding:
    """Check that a line on the screen never changed while it was there, and is gray."""
    screen = picture.screen
    wrong = sorted((screen.changed | screen.coloured) & set(window.rows))
    summary = f"{len(wrong)} lines changed after they were drawn or have coloured pixels, in {screen.shots} screenshots"
    verdict = Verdict.FAIL if wrong else Verdict.PASS
    return Finding("lines stay as drawn", verdict, summary, len(screen.codes), first_bad_hop="pixel" if wrong else None)


def line_latencies_ms(ledger: Ledger, hop: str, picture: LivePicture, window: Window) -> list[float]:
    """Return the line latency of the window's rows at a hop, ms: from their last sample's due time on."""
    keys = {picture.key(row) for row in window.rows}
    return [latency_ms(seen) for seen in ledger.observations(hop) if seen.key in keys]


def latency_ms(seen: Observation) -> float:
    """Return how long after it was due a record was seen, ms."""
    return (seen.seen_wall_ns - seen.event_ns) / 1e6
