import json
import re

import pytest

from fullspan.bundle import (
    Bundle,
    FaultRecord,
    Figure,
    FindingRecord,
    Redaction,
    ResultsRecord,
    RunRecord,
    TestRecord,
    TotalsRecord,
)
from fullspan.errors import UsageError
from fullspan.timeline import read_timeline
from fullspan.verdict import Verdict

SECRET = 'p"w/é+1'


def run_record(**more):
    fields = {"id": "x", "name": "focus", "suite": "suites/focus", "seed": 7, "fullspan": "0.1.0"}
    return RunRecord(**(fields | {"began_wall_ns": 1, "began_mono_ns": 2} | more))


def full_results():
    test = TestRecord(
        nodeid="test_a.py::test_b[1]",
        verdict=Verdict.FAIL,
        reason="one row is missing",
        began_mono_ns=1_000_000_000,
        ended_mono_ns=3_500_000_000,
        findings=[
            FindingRecord(name="no loss", verdict=Verdict.FAIL, summary="1 missing", n=9, witness=[{"key": "a/1"}])
        ],
        figures=[Figure(name="rate", value=20.0, unit="lines/s"), Figure(name="lines", value=240)],
        faults=[
            FaultRecord(
                kind="hang",
                target="rabbitmq",
                verdict=Verdict.PASS,
                bit=True,
                healed=True,
                bit_detail="4 processes in state T",
                heal_detail="answers again",
                injected_mono_ns=5,
                healed_mono_ns=9,
            )
        ],
        totals=[TotalsRecord(title="proof", records=9, first_bad_hop="row", hops=[{"hop": "row", "missing": 1}])],
    )
    return ResultsRecord(tests=[test])


def test_a_bundle_is_named_by_utc_time_and_what_it_ran(tmp_path):
    first, second = Bundle.create(tmp_path, "focus demo"), Bundle.create(tmp_path, "focus demo")
    assert re.fullmatch(r"\d{8}T\d{6}Z-focus_demo", first.id)
    assert first.path.is_dir()
    assert second.path != first.path


def test_what_is_written_is_read_again(tmp_path):
    bundle = Bundle.create(tmp_path, "focus")
    run = run_record(verdict=Verdict.PASS, machine={"cpus": 2})
    bundle.write_run(run)
    bundle.write_results(full_results())

    again = Bundle.open(bundle.path)
    assert again.run() == run
    assert again.results() == full_results()
    assert again.results().tests[0].duration_s == 2.5
    for name in ("run.json", "results.json"):
        assert json.loads((bundle.path / name).read_text())["schema"] == 1
    assert not list(bundle.path.glob("*.part"))


def test_a_run_that_has_no_results_yet_has_no_tests(tmp_path):
    assert Bundle.create(tmp_path, "focus").results().tests == []


def test_what_a_later_version_adds_is_left_alone_but_another_schema_is_refused(tmp_path):
    bundle = Bundle.create(tmp_path, "focus")
    written = json.loads(run_record().model_dump_json(by_alias=True))
    (bundle.path / "run.json").write_text(json.dumps(written | {"weather": "fine"}))
    assert bundle.run().seed == 7
    (bundle.path / "run.json").write_text(json.dumps(written | {"schema": 9}))
    with pytest.raises(UsageError, match=r"run\.json cannot be read: schema: .* another version of fullspan"):
        bundle.run()


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no bundle: run\.json is missing"):
        Bundle.open(tmp_path)


def test_secrets_are_in_no_file(tmp_path):
    bundle = Bundle.create(tmp_path, "focus", secrets=[SECRET, "hunter22", "abc"])
    log = tmp_path / "analyzer.log"
    log.write_text(f"plain {SECRET}\nurl amqp://u:p%22w%2F%C3%A9%2B1@h\nword hunter22 abc\n")
    bundle.write_run(run_record(problem=f"could not connect with {SECRET}"))
    bundle.timeline.add("log", f"said {SECRET}")
    bundle.attach("a.txt", f"token {SECRET}")
    bundle.attach("b.bin", b"\x00hunter22\xff")
    bundle.add_log("analyzer", log)

    everything = b"".join(path.read_bytes() for path in bundle.path.rglob("*") if path.is_file())
    for form in (SECRET, json.dumps(SECRET)[1:-1], 'p\\"w/é+1', "p%22w%2F%C3%A9%2B1", "hunter22"):
        assert form.encode() not in everything
    assert bundle.logs()["analyzer"].read_text().splitlines()[2] == "word [redacted] abc"
    assert bundle.run().problem == "could not connect with [redacted]"
    assert read_timeline(bundle.timeline.path)[0].what == "said [redacted]"


def test_redaction_of_a_secret_that_holds_another(tmp_path):
    assert Redaction(["word", "password"])("my password") == "my [redacted]"


def test_attachments_keep_their_names_apart_and_inside_the_bundle(tmp_path):
    bundle = Bundle.create(tmp_path, "focus")
    first = bundle.attach("../../etc/screen shot.png", b"1")
    second = bundle.attach("../../etc/screen shot.png", b"2")
    assert (first.path, second.path) == ("artifacts/etc_screen_shot.png", "artifacts/etc_screen_shot-2.png")
    assert first.name == "../../etc/screen shot.png"
    assert (bundle.path / second.path).read_bytes() == b"2"


def test_a_log_that_is_no_text_is_kept_readable(tmp_path):
    source = tmp_path / "broker.log"
    source.write_bytes(b"good\n\xff\xfe bad\n")
    copied = Bundle.create(tmp_path, "focus").add_log("rabbitmq", source)
    assert copied.name == "rabbitmq.log"
    assert copied.read_text().splitlines()[0] == "good"


def test_observations_of_a_test_have_a_folder_of_their_own(tmp_path):
    bundle = Bundle.create(tmp_path, "focus")
    folder = bundle.observations_of("suites/focus/test_a.py::test_b[x/1]")
    assert folder == bundle.path / "observations" / "suites_focus_test_a.py_test_b_x_1"
    long, longer = (bundle.observations_of(f"test_a.py::test[{'x' * n}]") for n in (400, 401))
    assert long != longer
    assert len(long.name) < 200
