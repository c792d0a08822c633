"""Leases: what was broken under one is healed when it ends, once, the latest first."""

import pytest

from fullspan.errors import UsageError
from fullspan.stack.leases import Leases


async def heal() -> None:
    """Heal nothing."""


def test_the_latest_first_and_not_what_is_whole_again():
    leases = Leases()
    lease = leases.grant()
    leases.broke(lease, "web", heal)
    leases.broke(lease, "link page", heal)
    leases.broke(lease, "job", heal)
    leases.broke(None, "other", heal)
    leases.healed("link page")
    leases.broke(lease, "spared", heal)
    leases.spared(lease, "spared")
    leases.spared(None, "job")
    assert list(leases.end(lease)) == ["job", "web"]
    assert leases.end(lease) == {}


def test_a_lease_that_is_over_is_refused():
    leases = Leases()
    lease = leases.grant()
    leases.check(lease)
    leases.check(None)
    leases.end(lease)
    with pytest.raises(UsageError, match="is over, or there never was one"):
        leases.check(lease)
