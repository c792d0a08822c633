"""What is waited for, and for how long."""

from focus_server.analyzer.coverage import Coverage
from focus_server.analyzer.frontier import Frontier

BLOCK = 100


class Group:
    """A group with a rate of 1000 samples/s and blocks of 100 samples."""

    def __init__(self):
        self.coverage = Coverage()
        self.frontier = Frontier(self.coverage, give_up_s=2.0, give_up_samples=2000)

    def arrive(self, *numbers, at):
        for number in numbers:
            self.coverage.add(number * BLOCK, (number + 1) * BLOCK)
            self.frontier.arrived(number * BLOCK, at)


def test_blocks_in_order_move_the_frontier():
    group = Group()
    assert group.frontier.sample is None
    group.arrive(5, 6, 7, at=0)
    assert group.frontier.sample == 800


def test_a_hole_stops_it_until_the_late_block_comes():
    group = Group()
    group.arrive(0, 1, at=0)
    group.arrive(3, 4, at=0.3)
    assert group.frontier.sample == 200
    assert group.frontier.give_up(2.2) == 0
    group.arrive(2, at=2.2)
    assert group.frontier.sample == 500


def test_a_hole_is_given_up_two_seconds_after_the_next_block():
    group = Group()
    group.arrive(0, 1, at=0)
    for number in range(3, 40):
        group.arrive(number, at=number / 10)
    assert group.frontier.give_up(2.29) == 0
    assert group.frontier.give_up(2.31) == 100
    assert group.frontier.sample == 4000


def test_while_nothing_arrives_nothing_is_given_up():
    group = Group()
    group.arrive(0, 1, 3, at=0)
    assert group.frontier.give_up(60) == 0
    assert group.frontier.sample == 200
    group.arrive(2, at=60)
    assert group.frontier.sample == 400


def test_a_backlog_that_comes_quickly_gives_nothing_up():
    group = Group()
    group.arrive(0, *range(2, 60), at=0)
    assert group.frontier.give_up(1.9) == 0
    group.arrive(1, at=1.9)
    assert group.frontier.sample == 6000


def test_each_hole_is_waited_for_from_its_own_time_on():
    group = Group()
    for number in range(60):
        if number not in (10, 20):
            group.arrive(number, at=number / 10)
    assert group.frontier.give_up(3.2) == 100
    assert group.frontier.sample == 2000
    assert group.frontier.give_up(4.0) == 0
    assert group.frontier.give_up(4.2) == 100
    assert group.frontier.sample == 6000


def test_settled_is_where_it_was_two_seconds_ago():
    group = Group()
    for number in range(50):
        group.arrive(number, at=number / 10)
    assert group.frontier.settled(4.9) == 3000
    assert group.frontier.settled(60) == 5000
    fresh = Group()
    fresh.arrive(0, at=0)
    assert fresh.frontier.settled(1.9) is None
