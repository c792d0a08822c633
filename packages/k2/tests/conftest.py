"""What the tests of K2 share: its programs as processes."""

import pytest

from .programs import Forker, Program


@pytest.fixture(scope="session")
def forker():
    """Starts programs; one for all tests of this process."""
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture
def k2(forker, tmp_path):
    """Start programs; at the end none runs any more."""
    started = []

    def start(*arguments, **environment):
        program = Program(forker, tmp_path, [str(argument) for argument in arguments], environment)
        started.append(program)
        return program

    yield start
    for program in started:
        program.close()
