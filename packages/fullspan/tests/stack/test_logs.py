"""Logs: the last lines that say something, and lines as they come."""

from pathlib import Path

from fullspan.stack.logs import follow, last_lines


def test_last_lines_without_colours_and_empty_ones(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_bytes(b"one\n\x1b[31mtwo\x1b[0m\n\n   \nthree \xff\n")
    assert last_lines(log, 2) == ["two", "three \N{REPLACEMENT CHARACTER}"]
    assert last_lines(log, 9, start=4) == ["two", "three \N{REPLACEMENT CHARACTER}"]
    assert last_lines(tmp_path / "nowhere.log", 2) == []


def test_last_lines_of_a_large_log_are_whole(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert last_lines(log, 3) == ["line 49997", "line 49998", "line 49999"]
    assert all(line.startswith("line ") for line in last_lines(log, 100_000))


def test_follow_gives_old_and_new_lines_with_their_log(tmp_path: Path):
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("old\nhal")
    b.write_text("")
    asked = []

    def more() -> bool:
        asked.append(True)
        if len(asked) == 2:
            a.write_text("old\nhalf\n")
            b.write_text("new\nunfinished")
        return len(asked) < 3

    assert list(follow({"a": a, "b": b}, more)) == [("a", "old"), ("a", "half"), ("b", "new"), ("b", "unfinished")]
