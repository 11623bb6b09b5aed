"""For tests of your own functions and applications: an engine in memory that runs jobs when told, and a fake client.

    from asyncjob.testing import MemoryEngine
    from mine import jobs, resize

    def test_resize() -> None:
        with MemoryEngine(jobs) as engine:
            handle = engine.client.submit(resize, width=640)
            engine.drain()
            assert handle.result() == {"pixels": 64000}

No server, no file, no process, and no time passes but by `advance`. What it leaves out is said in docs/testing.md.
"""

from asyncjob.testing.engine import StillWaiting
from asyncjob.testing.fake import FakeClient
from asyncjob.testing.kept import Submitted, TimedOut, WorkerLost
from asyncjob.testing.memory import MemoryEngine

__all__ = ["FakeClient", "MemoryEngine", "StillWaiting", "Submitted", "TimedOut", "WorkerLost"]
