"""Public helpers for tests of code that works with fullspan: real servers, honest fakes, and what each kind must do."""

from fullspan.testing.drivers import FakeDriver, FakeInstance, check_driver
from fullspan.testing.faults import check_fault
from fullspan.testing.invariants import check_checker
from fullspan.testing.kafka import RunningKafka, running_kafka
from fullspan.testing.mongodb import RunningMongoDB, running_mongodb
from fullspan.testing.probes import check_probe
from fullspan.testing.rabbitmq import RunningRabbitMQ, running_rabbitmq

__all__ = [
    "FakeDriver",
    "FakeInstance",
    "RunningKafka",
    "RunningMongoDB",
    "RunningRabbitMQ",
    "check_checker",
    "check_driver",
    "check_fault",
    "check_probe",
    "running_kafka",
    "running_mongodb",
    "running_rabbitmq",
]
