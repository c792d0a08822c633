"""Environments: where a system runs, how to reach it, and what it can do, in a file of a free name."""

from fullspan.environment.load import environment_names, find_environment, load_environment
from fullspan.environment.model import SCHEMA, EndpointName, Environment, SecretName, SecretSource
from fullspan.environment.secret import secret_value
from fullspan.environment.tls import Tls

__all__ = [
    "SCHEMA",
    "EndpointName",
    "Environment",
    "SecretName",
    "SecretSource",
    "Tls",
    "environment_names",
    "find_environment",
    "load_environment",
    "secret_value",
]
