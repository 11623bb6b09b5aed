"""What an installation lacks for what somebody asks of it, said in one line.

`pip install async-job-api` is the client; its extras bring what a server, or building for AWS, needs. Whoever calls for
that without the extra has made no mistake that a traceback would explain.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from asyncjob.loading import LIBRARIES

POSIX = {"fcntl", "resource"}
USAGE = 2  # the exit status


@contextmanager
def needs(extra: str, later: Sequence[str] = ()) -> Iterator[None]:
    """Import what an extra brings. The process ends with one line if it is not there.

    Args:
        extra: as `pyproject.toml` names it.
        later: what it brings, too, but is only imported when it is used.
    """
    try:
        yield
        for name in later:
            if find_spec(name) is None:
                raise ModuleNotFoundError(name=name)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in POSIX:
            _end("the server runs on Linux, not on this system")
        if module not in LIBRARIES - {"asyncjob"}:
            raise
        _end(
            f"this needs async-job-api[{extra}], and {module} is not installed: "
            f"in a clone of the repository, pip install '.[{extra}]'"
        )


def _end(problem: str) -> None:
    sys.stderr.write(f"asyncjob: {problem}\n")
    sys.exit(USAGE)
