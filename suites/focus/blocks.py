"""The blocks of a fibre as any reader of the broker sees them, and what their numbers tell."""

import time

from fullspan.errors import Inconclusive
from fullspan.ledger import Moment, Observation
from fullspan.ledger.hops import AmqpMessage, AmqpTap, HopRunner
from fullspan.stack import Stack
from suites.focus.grid import BLOCKS_PER_SECOND
from suites.focus.oracle import Fibre

EXCHANGE = "prisma"
SEEN_WITHIN_S = 60.0


def first_sent(stack: Stack, hops: HopRunner, fibre: Fibre, site: str = "local") -> int:
    """Return the first sample that the interrogator's run sent: its blocks are numbered from 0 without holes."""
    seen: list[tuple[int, int]] = []

    def note(message: AmqpMessage, moment: Moment) -> Observation | None:
        del moment
        seen.append((int(str(message.headers["seq"])), int(str(message.headers["first_sample"]))))
        return None

    tap = hops.start(AmqpTap(stack.endpoint("rabbitmq.amqp"), EXCHANGE, f"fiber.{site}.0", note))
    deadline = time.monotonic() + SEEN_WITHIN_S
    while not seen:
        if time.monotonic() > deadline:
            raise Inconclusive(f"No block of group 0 was seen within {SEEN_WITHIN_S:g} s.")
        time.sleep(0.02)
    tap.stop()
    seq, sample = seen[0]
    block = round(sample * BLOCKS_PER_SECOND / fibre.fs) - seq
    return int(block * fibre.fs / BLOCKS_PER_SECOND)
