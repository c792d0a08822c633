"""What the supervisor says: written down, heard by its owner, without secrets, and never in the stack's way."""

import os
from pathlib import Path

import pytest

from fullspan.errors import ComponentDied, FullspanError, StackError, UsageError
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.voice import Voice, error_of
from fullspan.timeline import Event, read_timeline


@pytest.mark.parametrize(
    "error",
    [
        UsageError("It is wrong.", "Correct it."),
        StackError("It broke."),
        ComponentDied("web", "exit code 7", ["one", "two"], "Its log is x."),
        ComponentDied("web", "ended by SIGKILL"),
    ],
)
def test_an_error_is_the_same_on_the_other_side(error: FullspanError):
    reader, writer = os.pipe()
    Voice(writer).say_failed(error)
    event = Event.from_json(os.read(reader, 65536).decode())
    os.close(reader)
    os.close(writer)
    heard = error_of(event)
    assert type(heard) is type(error)
    assert str(heard) == str(error)
    assert heard.exit_code == error.exit_code
    if isinstance(error, ComponentDied):
        assert isinstance(heard, ComponentDied)
        assert (heard.component, heard.last_lines) == (error.component, error.last_lines)


def test_secrets_are_left_out_of_both_places(tmp_path: Path):
    folder = RunFolder(tmp_path, "small")
    reader, writer = os.pipe()
    voice = Voice(writer)
    voice.write_down(folder)
    voice.keep_secret(["hush-hush"])
    voice.say("component", "web: said hush-hush", last_lines="hush-hush\nx")
    heard = os.read(reader, 65536).decode()
    os.close(reader)
    assert "hush" not in heard
    assert "hush" not in folder.events.read_text()
    [event] = read_timeline(folder.events)
    assert event.what == "web: said [redacted]"
    voice.say("stack", "nobody listens any more")
    os.close(writer)
    assert [event.what for event in read_timeline(folder.events)][1] == "nobody listens any more"


def test_an_owner_who_does_not_listen_does_not_hold_it_up():
    reader, writer = os.pipe()
    voice = Voice(writer)
    for _ in range(3000):
        voice.say("stack", "x" * 100)
    voice.fall_silent()
    voice.say("stack", "not heard")
    os.close(writer)
    os.close(reader)
