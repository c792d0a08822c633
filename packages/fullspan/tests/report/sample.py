"""A bundle as a run with one good and one bad test leaves it, with all kinds of evidence."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from fullspan.bundle import (
    Bundle,
    DebtRecord,
    FaultRecord,
    Figure,
    FindingRecord,
    LayerRecord,
    LinkRecord,
    RecoveryRecord,
    ResultsRecord,
    RunRecord,
    TestRecord,
    TotalsRecord,
)
from fullspan.faults import Evidence
from fullspan.ledger import Journey, Ledger, Observation, Stage, reconcile
from fullspan.ledger.violations import violations_of
from fullspan.timeline import Event
from fullspan.verdict import Verdict

SECOND = 1_000_000_000
ZERO, WALL = 500 * SECOND, 1_780_000_000 * SECOND
COLUMNS = ("expected", "observed", "missing", "duplicate", "altered", "swapped", "order", "late", "undecided")
SCRIPT = "<script>document.title = 'planted'</script>"


def spectrogram(rows=240, columns=161):
    """Return a picture like that of LiveView: a strip of bits, then a drifting line on noise."""
    draw = np.random.default_rng(5)
    picture = draw.integers(30, 110, (rows, columns), np.uint8)
    for row in range(rows):
        picture[row, :32] = [255 * ((row + 9000 >> 31 - bit) & 1) for bit in range(32)]
        middle = 90 + round(20 * np.sin(row / 17))
        picture[row, middle - 4 : middle + 4] = draw.integers(170, 250, 8, np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    return out.getvalue()


HANG = (32.0, 37.0)
LOST_AT_S = 28.0


def ledger(first_s, last_s, hops=(("block", 0.02), ("row", 0.08), ("frame", 0.09), ("pixel", 0.4))):
    """Return what the hops saw: 20 records a second, each a little later at every hop, and none during the hang."""
    seen = Ledger()
    for hop, delay_s in hops:
        for number in range(round(first_s * 20), round(last_s * 20)):
            if hop != "block" and number in (round(LOST_AT_S * 20), round(LOST_AT_S * 20) + 1):
                continue
            due_s = number / 20
            seen_s = due_s + delay_s
            if HANG[0] < seen_s < HANG[1]:
                seen_s = HANG[1] + delay_s + (due_s - HANG[0]) / 4
            key = f"local/3/{number}" if hop == "block" else f"1-7/0/{number}"
            wall = WALL + round(seen_s * SECOND)
            seen.observe(Observation(hop, key, number, WALL + round(due_s * SECOND), at(seen_s), wall))
    return seen


def debts():
    """Return debts as of a hang: the page owes more and more, and pays when it is over."""
    rising = [(at(33 + step / 10), step) for step in range(40)]
    return [
        DebtRecord(before="row", after="frame", steps=[(at(26 + step), step % 2) for step in range(16)]),
        DebtRecord(before="frame", after="pixel", steps=[*rising, (at(38), 12), (at(39.5), 0)]),
    ]


def examined(seen):
    """Return what is wrong of the records due from 26 s to 31 s: two were lost before they became rows."""
    journeys = []
    for number in range(26 * 20, 31 * 20):
        rows = [f"1-7/0/{number}"]
        stages = [Stage("block", [f"local/3/{number - 1}", f"local/3/{number}"])]
        journeys.append(Journey(rows[0], [*stages, *(Stage(hop, rows) for hop in ("row", "frame", "pixel"))]))
    return reconcile(seen, journeys)


def hang():
    """Return the evidence of a fault that was on after the loss: it is not to blame for it."""
    return Evidence("hang", "rabbitmq", True, True, "it stood still", "it went on", at(HANG[0]), at(HANG[1]), 0.021)


def recovery():
    seconds = {
        "row": {"degraded": 1.0, "first good": 0.4, "within SLA": 2.3, "data complete": None},
        "page": {"detected": 2.1, "screen fresh": 2.9},
    }
    after = {"detected": "injected", "degraded": "injected"}
    after |= dict.fromkeys(("first good", "within SLA", "data complete", "screen fresh"), "healed")
    return RecoveryRecord(
        kind="hang",
        target="rabbitmq",
        injected_mono_ns=at(HANG[0]),
        healed_mono_ns=at(HANG[1]),
        until_mono_ns=at(43),
        after=after,
        layers=[LayerRecord(name=name, seconds=of_layer) for name, of_layer in seconds.items()],
    )


def totals(title, **changes):
    hops = []
    for hop, expected in (("block", 3120), ("row", 240), ("frame", 240), ("pixel", 240)):
        row = dict.fromkeys(COLUMNS, 0) | {"expected": expected, "observed": expected} | changes.get(hop, {})
        hops.append({"hop": hop} | row)
    first = next((row["hop"] for row in hops if row["missing"] or row["swapped"]), None)
    return TotalsRecord(title=title, records=240, first_bad_hop=first, hops=hops)


def at(seconds):
    return ZERO + round(seconds * SECOND)


def witness():
    for number, digest in ((344, "9c1a77"), (345, "0b2d4e"), (346, "77aa10")):
        yield {
            "hop": "row",
            "key": f"1-7/0/{number}",
            "sequence": number,
            "event_ns": WALL + 31 * SECOND + number * 50_000_000,
            "seen_ns": at(31) + number * 50_000_000,
            "seen_wall_ns": WALL + 31 * SECOND + number * 50_000_000 + 84_000_000,
            "digest": digest * 8,
            "deviation": 0.0004,
            "attributes": {"shot": "shot-3.png"},
        }


def events():
    yield at(0), "run", "focus begins with seed 2026", {}
    for component, begin, ready in (
        *(("rabbitmq", 0.3, 5.2), ("analyzer", 5.3, 7.6)),
        *(("focus-server", 7.7, 8.9), ("interrogator", 5.3, 6.4)),
    ):
        yield at(begin), "stack", f"{component} starts", {"component": component}
        yield at(ready), "stack", f"{component} is ready", {"component": component}
    yield at(9.1), "run", "the suite starts", {}
    yield at(12), "say", "LiveView is live, 240 lines are read back", {}
    yield at(24), "say", "240 of 240 lines agree with SciPy", {}
    yield at(33), "hop", "block is interrupted: the connection to the broker is lost", {"hop": "block"}
    yield at(35.4), "hop", "block sees records again", {"hop": "block"}
    yield at(32), "say", "RabbitMQ hangs for 5 s", {}
    yield at(34.1), "say", "the page says: behind by 2 s", {}
    yield at(44), "run", "the suite has ended", {}
    yield at(46), "stack", "everything is down", {}


def resources(components=("rabbitmq", "analyzer", "focus-server", "interrogator"), last_s=44):
    """Return what the monitor measured once a second: the broker uses nothing while it hangs, and much after it."""
    for second in range(10, last_s):
        for place, component in enumerate(components):
            hangs = place == 0 and HANG[0] < second < HANG[1]
            after = place == 0 and HANG[1] <= second < HANG[1] + 2
            sample = {"mono_ns": at(second), "component": component, "processes": 1}
            sample["cpu_percent"] = 0.0 if hangs else 180.0 if after else 12.5 + 3 * np.sin(second + place)
            sample |= {"memory_mb": 90.0 + 40 * place + second * (place == 1), "handles": 30 + second % 3 * place}
            yield json.dumps(sample | {"threads": 6 + place, "disk_mb": 0.4 * second if place < 2 else 1300.0})


def sample_bundle(folder: Path, verdict=Verdict.FAIL):
    bundle = Bundle.create(folder, "focus")
    lines = [Event(mono, WALL + mono - ZERO, kind, what, more).to_json() for mono, kind, what, more in events()]
    bundle.timeline.path.write_text("\n".join(lines) + "\n")
    shot = bundle.attach("shot-1.png", spectrogram())
    data = bundle.attach("grid.json", json.dumps({"hop": 50}))
    good = TestRecord(
        nodeid="suites/focus/test_live_proof.py::test_what_is_on_the_screen_is_what_the_fibre_said",
        verdict=Verdict.PASS,
        began_mono_ns=at(9.4),
        ended_mono_ns=at(25.1),
        findings=[
            FindingRecord(name="no loss", verdict="pass", summary="0 missing of 3,120 at block, 240 at row", n=3360),
            FindingRecord(name="integrity", verdict="pass", summary="0 swapped or altered of 240 at pixel", n=240),
        ],
        figures=[
            Figure(name="lines compared with SciPy", value=240),
            Figure(name="pixels equal", value=0.99914, unit="of all"),
            Figure(name="line latency, p95", value=112.4, unit="ms"),
            Figure(name="configure to first line", value=0.31, unit="s"),
        ],
        totals=[totals("Live proof")],
        attachments=[shot, data],
    )
    bad = TestRecord(
        nodeid="suites/focus/test_broker_hang.py::test_nothing_is_lost_while_the_broker_hangs",
        verdict=Verdict.FAIL,
        reason=f"no loss: 1 missing of 240 at row; first bad hop row: 1-7/0/345 was not seen at hop row {SCRIPT}",
        details="suites/focus/test_broker_hang.py:88: in test_nothing_is_lost\n    raise Fail\nE   1 missing",
        began_mono_ns=at(25.2),
        ended_mono_ns=at(43.8),
        findings=[
            FindingRecord(
                name="no loss",
                verdict="fail",
                summary="1 missing of 240 at row, 1 missing of 240 at frame, 1 missing of 240 at pixel; first bad hop "
                "row: 1-7/0/345 was not seen at hop row",
                n=3840,
                witness=list(witness()),
                first_bad_hop="row",
            ),
            FindingRecord(
                name="freshness",
                verdict="inconclusive",
                summary="late or not is undecided for 2 at pixel: they were first looked at after their limit",
                n=238,
            ),
        ],
        faults=[
            FaultRecord(
                kind="hang",
                target="rabbitmq",
                verdict="pass",
                bit=True,
                healed=True,
                bit_detail="4 of 4 processes stopped, the port no longer answers",
                heal_detail="the port answered again after 0.02 s",
                injected_mono_ns=at(32),
                healed_mono_ns=at(37),
                recovery_s=0.021,
            )
        ],
        figures=[
            Figure(name="behind was shown after", value=2.1, unit="s"),
            Figure(name="hang of rabbitmq: row first good, after it was healed", value=0.4, unit="s", table="recovery"),
        ],
        recoveries=[recovery()],
        totals=[
            totals(
                "During the hang",
                row={"missing": 1, "observed": 239},
                frame={"missing": 1, "observed": 239},
                pixel={"missing": 1, "observed": 239, "undecided": 2},
            ).model_copy(update={"debts": debts()})
        ],
        attachments=[bundle.attach("shot-2.png", spectrogram(rows=200))],
    )
    bundle.write_results(ResultsRecord(tests=[good] if verdict is Verdict.PASS else [good, bad]))
    ledger(10, 24.5).dump(bundle.observations_of(good.nodeid))
    seen = ledger(25.5, 43)
    seen.dump(bundle.observations_of(bad.nodeid))
    if verdict is Verdict.FAIL:
        bundle.write_violations(violations_of(bad.nodeid, [("During the hang", examined(seen))], seen, [hang()]))
    (bundle.path / "resources.jsonl").write_text("\n".join(resources()) + "\n")
    log = folder / "analyzer.log"
    log.write_text(
        "".join(f"2026-11-21T08:03:{n:02} analyzer.line n={n}\n" for n in range(60)) + f"\x1b[31m{SCRIPT}\x1b[0m\n"
    )
    for component in ("rabbitmq", "analyzer", "focus-server"):
        bundle.add_log(component, log)
    bundle.write_run(
        RunRecord(
            id=bundle.id,
            name="focus",
            suite="suites/focus",
            stack="focus",
            mark="demo",
            seed=2026,
            fullspan="0.1.0",
            machine={"cpus": 2, "python": "3.11.7", "system": "Linux 6.1"},
            components=["rabbitmq", "analyzer", "focus-server", "recorder"],
            links=[
                LinkRecord(
                    id="analyzer-broker", source="analyzer", to="rabbitmq.amqp", connections=3, bytes=41_300_000
                ),
                LinkRecord(id="page-server", source="suite", to="focus.http", connections=12, bytes=2_150_000),
                LinkRecord(id="server-catalogue", source="focus", to="mongodb.mongo", connections=0, bytes=0),
            ],
            began_wall_ns=WALL,
            began_mono_ns=ZERO,
            ended_wall_ns=WALL + 46 * SECOND,
            verdict=verdict,
            summary="2 of 2 tests passed"
            if verdict is Verdict.PASS
            else "1 of 2 tests failed: no loss, first bad hop row: 1-7/0/345 was not seen at hop row",
        )
    )
    return bundle
