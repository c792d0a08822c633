import subprocess
import sys
import threading
import time

from fullspan.timeline import Timeline, read_timeline

WRITER = """
import sys
from pathlib import Path
from fullspan.timeline import Timeline
line = Timeline(Path(sys.argv[1]))
for number in range(200):
    line.add("child", "x" * 500, number=number)
"""


def test_events_come_back_with_both_clocks_and_attributes(tmp_path):
    timeline = Timeline(tmp_path / "deep" / "timeline.jsonl")
    before = time.monotonic_ns(), time.time_ns()
    written = timeline.add("fault", "rabbitmq hangs", component="rabbitmq", pid=7, ratio=0.5, healed=False)
    after = time.monotonic_ns(), time.time_ns()

    [event] = read_timeline(timeline.path)
    assert event == written
    assert before[0] <= event.mono_ns <= after[0]
    assert before[1] <= event.wall_ns <= after[1]
    assert (event.kind, event.what) == ("fault", "rabbitmq hangs")
    assert dict(event.attributes) == {"component": "rabbitmq", "pid": 7, "ratio": 0.5, "healed": False}


def test_threads_and_processes_share_one_file(tmp_path):
    timeline = Timeline(tmp_path / "timeline.jsonl")
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(timeline.path)])
    threads = [
        threading.Thread(target=lambda: [timeline.add("thread", "y" * 300, number=number) for number in range(200)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert child.wait(30) == 0

    events = read_timeline(timeline.path)
    assert [event.kind for event in events].count("thread") == 600
    assert [event.attributes["number"] for event in events if event.kind == "child"] == list(range(200))
    assert [event.mono_ns for event in events] == sorted(event.mono_ns for event in events)


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    timeline = Timeline(tmp_path / "timeline.jsonl")
    timeline.add("run", "began")
    with timeline.path.open("a") as file:
        file.write('{"mono_ns": 12, "wall')
    assert [event.what for event in read_timeline(timeline.path)] == ["began"]


def test_no_file_is_no_events(tmp_path):
    assert read_timeline(tmp_path / "absent.jsonl") == []


def test_what_is_written_passes_the_redaction(tmp_path):
    timeline = Timeline(tmp_path / "timeline.jsonl", redact=lambda text: text.replace("s3cret", "***"))
    timeline.add("log", "password s3cret", url="amqp://u:s3cret@h")
    assert "s3cret" not in timeline.path.read_text()
    [event] = read_timeline(timeline.path)
    assert event.attributes["url"] == "amqp://u:***@h"
