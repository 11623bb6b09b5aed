"""What pytest finds by itself where this package is installed: the fixture `memory_engine`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from asyncjob.registry import Jobs
    from asyncjob.testing.memory import MemoryEngine


@pytest.fixture
def memory_engine() -> "Iterator[Callable[..., MemoryEngine]]":
    """Makes an engine of a registry: `memory_engine(jobs)`, with MemoryEngine's other arguments. Closed afterwards."""
    from asyncjob.testing.memory import MemoryEngine  # tests that do not use it need not wait for its import

    with ExitStack() as stack:

        def make(jobs: "Jobs", **arguments: Any) -> "MemoryEngine":
            return stack.enter_context(MemoryEngine(jobs, **arguments))

        yield make
