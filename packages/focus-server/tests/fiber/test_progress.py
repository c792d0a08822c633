"""Each change is one event: ready once, behind when it begins and every five seconds, then caught up."""

from pathlib import Path

import structlog

from focus_server.fiber.blocks import Message
from focus_server.fiber.outbox import Outbox
from focus_server.fiber.progress import Progress

SECOND = 10**9


def test_the_story_of_an_outage(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as events, Outbox(tmp_path) as outbox:
        progress = Progress(outbox, structlog.get_logger())
        progress.update(0, 0.0, confirmed=0)
        assert events == []
        progress.update(0, 0.1, confirmed=3)
        outbox.append(Message("fiber.local.0", {}, b"x"), 0)
        for second in (1.5, 2.5, 4.0, 7.6):
            progress.update(int(second * SECOND), second, confirmed=3)
        entry, _ = outbox.take()
        outbox.confirm(entry)
        progress.update(8 * SECOND, 8.0, confirmed=4)
        progress.update(38 * SECOND, 38.0, confirmed=4)
    assert [event["event"].removeprefix("interrogator.") for event in events] == [
        "ready",
        "behind",
        "behind",
        "caught_up",
        "playing",
    ]
    assert [event.get("seconds") for event in events[1:3]] == [2.5, 7.6]
    assert events[1]["waiting"] == 1
    assert events[3]["worst_s"] == 7.6


def test_given_up_blocks_are_said_at_once(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as events, Outbox(tmp_path) as outbox:
        progress = Progress(outbox, structlog.get_logger())
        for number in range(70):
            outbox.append(Message("fiber.local.0", {}, b"x"), number * SECOND)
        progress.update(70 * SECOND, 70.0, confirmed=0)
    assert events[0] == {"event": "interrogator.dropped", "blocks": 9, "in_all": 9, "log_level": "error"}
