from fullspan.clients import Unreachable
from fullspan.ledger import Journey, Kind, Ledger, Observation, Stage, reconcile
from fullspan.ledger.hops import ApiRows, ApiTail, HopRunner
from fullspan.stack.processes import wait_until

WITHIN_S = 15


def observation(row, moment, not_before_ns=None):
    attributes = {} if not_before_ns is None else {"not_before_ns": not_before_ns}
    return Observation("api", f"s/{row}", row, 0, moment.mono_ns, moment.wall_ns, f"d{row}", attributes=attributes)


def test_rows_handed_over_are_noted_as_often_as_they_come():
    ledger = Ledger()
    with HopRunner(ledger) as runner:
        hop = runner.start(ApiRows(lambda rows, moment: [observation(row, moment) for row in rows]))
        hop.look([1, 2, 2, 4])
    examined = reconcile(ledger, [Journey(f"s/{n}", [Stage("api", [f"s/{n}"], digest=f"d{n}")]) for n in (1, 2, 3, 4)])
    found = {(violation.kind, violation.key) for violation in examined.violations}
    assert found == {(Kind.MISSING, "s/3"), (Kind.DUPLICATE, "s/2")}


class Answers:
    """An API that gives the same newest rows until it is told others; an error is raised once."""

    def __init__(self, rows):
        self.rows = rows
        self.asked = 0
        self.error = None

    async def __call__(self):
        self.asked += 1
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.rows

    def give(self, rows):
        """Give these rows from now on; return once an answer with them was taken in."""
        self.rows, asked = rows, self.asked
        assert wait_until(lambda: self.asked > asked + 1, WITHIN_S)


def tail(answers, **more):
    return ApiTail(answers, lambda row: row, observation, page=4, every_s=0.01, **more)


def test_the_tail_notes_what_is_new_and_since_when_it_was_not_there():
    ledger, answers = Ledger(), Answers([3, 2, 1])
    with HopRunner(ledger) as runner:
        hop = runner.start(tail(answers))
        answers.give([4, 3, 2, 1])
        answers.give([6, 6, 5, 4])
    noted = ledger.observations("api")
    assert [seen.sequence for seen in noted] == [4, 5, 6, 6], "what was there before is not noted; a double is"
    for seen in noted:
        since = seen.attributes["not_before_ns"]
        assert isinstance(since, int)
        assert since < seen.seen_wall_ns
    assert hop.interruptions == []


def test_a_page_of_strangers_and_a_missing_answer_are_interruptions():
    ledger, answers = Ledger(), Answers([2, 1])
    with HopRunner(ledger) as runner:
        hop = runner.start(tail(answers))
        answers.give([9, 8, 7, 6])
        answers.error = Unreachable("nobody there")
        answers.give([10, 9, 8, 7])
    assert [seen.sequence for seen in ledger.observations("api")] == [6, 7, 8, 9, 10]
    causes = [interruption.cause for interruption in hop.interruptions]
    assert causes == [
        "all 4 rows of an answer were new, so others may have passed unseen",
        "an answer did not come (nobody there)",
    ]
    assert not hop.is_interrupted


def test_a_row_that_cannot_be_read_ends_the_hop():
    def refuse(row, moment, since):
        raise ValueError(f"{row} is no row")

    answers = Answers([])
    with HopRunner(Ledger()) as runner:
        hop = runner.start(ApiTail(answers, lambda row: row, refuse, page=4, every_s=0.01))
        answers.rows = [1]
        assert wait_until(lambda: hop.failed is not None, WITHIN_S)
    assert hop.failed == "it could not read a message: ValueError: 1 is no row"


def test_what_left_the_newest_rows_long_ago_is_forgotten():
    page = 4
    ledger, answers = Ledger(), Answers([0])
    with HopRunner(ledger) as runner:
        hop = runner.start(tail(answers))
        for number in range(1, 30 * page, 2):
            answers.give([number + 2, number + 1, number, number - 1])
        assert len(hop._known) <= 20 * page
    assert sorted(seen.sequence for seen in ledger.observations("api")) == list(range(1, 30 * page + 2))
