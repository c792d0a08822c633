"""The broker's address never shows its credentials."""

import pytest
from aio_pika.exceptions import ProbableAuthenticationError

from focus_server.errors import SettingsError
from focus_server.fiber.broker import BrokerAddress


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:s3cret@127.0.0.1:5673/", "127.0.0.1:5673"),
        ("amqp://user:s3cret@broker/vhost", "broker:5672"),
        ("amqps://user:s3cret@broker", "broker:5671"),
    ],
)
def test_an_address_shows_host_and_port(url: str, shown: str) -> None:
    address = BrokerAddress(url)
    assert str(address) == shown
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize("url", ["", "http://user:s3cret@host/", "amqp://", "amqp://user:s3cret@host:port/", "s3cret"])
def test_a_wrong_address_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="amqp_url") as refused:
        BrokerAddress(url)
    assert "s3cret" not in str(refused.value)


def test_causes() -> None:
    address = BrokerAddress("amqp://user:s3cret@host/")
    assert address.explain(TimeoutError()) == "no answer in time"
    assert address.explain(ProbableAuthenticationError("x")) == "the broker refuses the user or the password"
    assert (
        address.explain(OSError(111, "refused\nby s3cret")) == "ConnectionRefusedError: [Errno 111] refused by ********"
    )
