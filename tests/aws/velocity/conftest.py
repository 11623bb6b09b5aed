"""Apache Velocity, running, for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.aws.velocity.engine import Velocity, required, started


@pytest.fixture(scope="session")
def velocity() -> Iterator[Velocity]:
    """Velocity itself; without it the test is skipped, or fails where it must be there."""
    required()
    with started() as running:
        yield running
