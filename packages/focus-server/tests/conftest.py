"""What tests of more than one part share."""

import contextlib
import resource

import pytest


@pytest.fixture
def room():
    """The kernel's limit on a file's size stands for a full disk: `with room(bytes):`."""

    @contextlib.contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
