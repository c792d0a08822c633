"""The outbox against a plain model, through damage, a full disk, and the death of its process at any moment."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from focus_server.errors import FocusError
from focus_server.fiber.blocks import Message
from focus_server.fiber.outbox import KEPT_S, Outbox

SECOND = 10**9


def message(number: int) -> Message:
    return Message(
        f"fiber.local.{number % 3}", {"seq": number, "scale": "1"}, bytes([number % 256]) * (number % 50 + 1)
    )


def numbers(outbox: Outbox) -> list[int]:
    """Take everything and return the sequence numbers, each message checked."""
    taken = []
    while (one := outbox.take()) is not None:
        _, found = one
        number = int(found.headers["seq"])
        assert found == message(number)
        taken.append(number)
    return taken


class OutboxModel(RuleBasedStateMachine):
    """What must hold: messages come out in order; what is unconfirmed comes again, first, also after a kill."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.killed: list[Outbox] = []
        self.outbox = Outbox(Path(self.folder.name))
        self.made = 0
        self.now_ns = 0
        self.unsent: list[int] = []
        self.in_flight: dict[int, object] = {}

    @rule(count=st.integers(1, 30), step_ms=st.integers(0, 60))
    def append(self, count: int, step_ms: int) -> None:
        for _ in range(count):
            self.now_ns += step_ms * 1_000_000
            self.outbox.append(message(self.made), self.now_ns)
            self.unsent.append(self.made)
            self.made += 1

    @rule(count=st.integers(1, 20))
    def take(self, count: int) -> None:
        for _ in range(count):
            one = self.outbox.take()
            if not self.unsent:
                assert one is None
                return
            entry, found = one
            number = self.unsent.pop(0)
            assert found == message(number)
            self.in_flight[number] = entry

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.outbox.confirm(self.in_flight.pop(number))

    @rule()
    def lose_the_connection(self) -> None:
        assert self.outbox.rewind() == len(self.in_flight)
        self._back()

    @rule()
    def kill_the_process(self) -> None:
        self.killed.append(self.outbox)  # its files stay as they are, nothing is closed or deleted
        self.outbox = Outbox(Path(self.folder.name))
        self._back()

    def _back(self) -> None:
        self.unsent = sorted(self.in_flight) + self.unsent
        self.in_flight.clear()

    @invariant()
    def counts_agree(self) -> None:
        assert (self.outbox.unsent, self.outbox.in_flight) == (len(self.unsent), len(self.in_flight))
        assert self.outbox.dropped == 0

    def teardown(self) -> None:
        for outbox in (*self.killed, self.outbox):
            outbox.__exit__()
        self.folder.cleanup()


OutboxModel.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestOutboxModel = OutboxModel.TestCase


def test_files_go_when_their_second_is_confirmed(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(30):
            outbox.append(message(number), number * SECOND // 10)
        assert len(list(tmp_path.iterdir())) == 3
        entries = [outbox.take()[0] for _ in range(30)]
        for entry in entries[:20]:
            outbox.confirm(entry)
        assert len(list(tmp_path.iterdir())) == 1
        assert outbox.oldest_due_ns == 2 * SECOND
        for entry in entries[20:]:
            outbox.confirm(entry)
        assert outbox.oldest_due_ns is None
        assert outbox.in_flight_bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_only_what_was_not_confirmed_comes_again(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(10):
            outbox.append(message(number), 0)
        entries = [outbox.take()[0] for _ in range(6)]
        for place in (0, 1, 3):
            outbox.confirm(entries[place])
    with Outbox(tmp_path) as outbox:
        assert outbox.waiting == 7
        outbox.append(message(10), 0)
        assert numbers(outbox) == [2, 4, 5, 6, 7, 8, 9, 10]


def test_a_minute_is_kept_and_older_blocks_are_given_up_and_counted(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for number in range(60 * 10):
            outbox.append(message(number), number * SECOND // 10)
        assert (outbox.waiting, outbox.dropped) == (600, 0)
        outbox.take()  # in flight when it is given up
        late = outbox.take()[0]
        for number in range(600, 1000):
            outbox.append(message(number), number * SECOND // 10)
        assert len(list(tmp_path.iterdir())) == KEPT_S + 1
        assert (outbox.waiting, outbox.dropped) == (610, 390)
        outbox.confirm(late)  # the broker's answer came after all
        assert outbox.waiting == 610
        assert numbers(outbox) == list(range(390, 1000))


def test_a_record_that_was_cut_short_ends_its_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(3):
        outbox.append(message(number), 0)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in (1, 20, 60):
        path.write_bytes(whole[:-cut])
        with Outbox(tmp_path) as again:
            assert numbers(again) == [0, 1]
    path.write_bytes(whole + b"garbage that is longer than the head of a record")
    with Outbox(tmp_path) as again:
        assert numbers(again) == [0, 1, 2]
    outbox.__exit__()


def test_a_damaged_message_is_given_up_and_the_others_are_sent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(3):
        outbox.append(message(number), 0)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(b"fiber.local.1")] ^= 1
    path.write_bytes(content)
    with Outbox(tmp_path) as again:
        assert numbers(again) == [0, 2]
        assert again.dropped == 1
    outbox.__exit__()


def test_a_full_disk_is_said_and_what_was_kept_stays_whole(
    tmp_path: Path, room: Callable[[int], AbstractContextManager[None]]
) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.append(message(0), 0)
        (path,) = tmp_path.iterdir()
        for left in (0, 10):
            with room(path.stat().st_size + left), pytest.raises(FocusError, match="cannot keep another block"):
                outbox.append(message(1), 0)
        outbox.append(message(2), 0)
        assert numbers(outbox) == [0, 2]


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FocusError, match="cannot be used"):
        Outbox(tmp_path / "file")
