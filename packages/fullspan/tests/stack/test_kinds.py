"""Kinds: found by entry point, named with the nearest when they do not exist."""

import pytest

from fullspan.errors import UsageError
from fullspan.stack.drivers import Driver
from fullspan.stack.drivers.process import ProcessDriver
from fullspan.stack.kinds import find_kind, kinds_of
from fullspan.stack.probes import Probe


def test_what_comes_with_fullspan_is_found():
    assert set(kinds_of("fullspan.probes")) == {"amqp", "http", "kafka", "log", "mongo", "tcp"}
    assert find_kind("fullspan.drivers", "process", Driver) is ProcessDriver
    for kind in kinds_of("fullspan.probes"):
        assert find_kind("fullspan.probes", kind, Probe).kind == kind


def test_what_does_not_exist():
    with pytest.raises(UsageError, match=r"There is no driver 'proces'\. Did you mean 'process'\?"):
        find_kind("fullspan.drivers", "proces", Driver)


def test_what_is_not_what_it_claims_to_be():
    with pytest.raises(UsageError, match="which is no Driver"):
        find_kind("fullspan.probes", "tcp", Driver)
