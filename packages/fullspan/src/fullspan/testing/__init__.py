"""Public helpers for tests of code that works with fullspan: real servers, honest fakes, and what each kind must do."""

from fullspan.testing.drivers import FakeDriver, FakeInstance, check_driver
from fullspan.testing.probes import check_probe
from fullspan.testing.rabbitmq import RunningRabbitMQ, running_rabbitmq

__all__ = [
    "FakeDriver",
    "FakeInstance",
    "RunningRabbitMQ",
    "check_driver",
    "check_probe",
    "running_rabbitmq",
]
