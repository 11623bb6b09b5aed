"""The application of the tests, whose process dies once it has done what `DIES_AFTER` names, and before it says so."""

import os
import signal
from typing import Any

from asyncjob.server.engine import Engine
from tests.mounted.applications import fast

__all__ = ["fast"]

VERB = os.environ["DIES_AFTER"]
_verb = getattr(Engine, VERB)


async def _die_after(self: Engine, *arguments: Any) -> None:
    await _verb(self, *arguments)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(Engine, VERB, _die_after)
