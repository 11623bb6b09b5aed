"""Apache Velocity, running, for the tests of this folder."""

import os
from collections.abc import Iterator

import pytest

from tests.aws.velocity.engine import REQUIRED, Velocity, missing, started


@pytest.fixture(scope="session")
def velocity() -> Iterator[Velocity]:
    """Velocity itself; without it the test is skipped, or fails where it must be there."""
    if reason := missing():
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"Apache Velocity cannot run: {reason}")
    with started() as running:
        yield running
