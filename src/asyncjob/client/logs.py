"""A job's log as a client reads it: without I/O, as core.py; and a line as Python values."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import msgspec

from asyncjob.client.answers import document, foreign
from asyncjob.client.core import Api, Call, Operation
from asyncjob.client.errors import NotFound, Refused
from asyncjob.contract import MAX_PAGE
from asyncjob.job_log import BEGIN, Level, Place
from asyncjob.returnable import Returnable

LOOK_SECONDS = 1.0  # for which an API holds its answer, while there is nothing new


class LoggedLine(Returnable, msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of a job's log.

    Attributes:
        at: when it was written.
        attempt: which has written it.
        number: of the line in its attempt, from 1.
        level: debug, info, warning, error or critical.
        message: of several lines at most.
        logger: the logger's name; `stdout` or `stderr` if it was printed, `asyncjob` if it tells how the attempt ended.
        traceback: of the exception that it tells of.
        left_out: how many lines right before it were left out, because there were too many.
        document: the line exactly as the API sent it.
    """

    at: datetime
    attempt: int
    number: int
    level: Level
    message: str
    logger: str | None = None
    traceback: str | None = None
    left_out: int = 0
    document: dict[str, Any]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The fields of `document`."""
        return iter(self.document.items())

    @classmethod
    def of(cls, document: dict[str, Any]) -> "LoggedLine":
        """Read a line of the API.

        Raises:
            msgspec.ValidationError: it is none.
        """
        return msgspec.convert({**document, "document": document}, cls)


class LogReading:
    """Reads the log of one job, a page at a time.

    Args:
        api: the API that has it.
        job_id: the job's.
        level: the lowest to read.
        attempt: whose lines to read; None for all.
        follow: whether to go on until the job has ended.

    Raises:
        ValueError: there is no such level.
    """

    def __init__(self, api: Api, job_id: str, level: str, attempt: int | None, *, follow: bool) -> None:
        self._api = api
        self._job_id = job_id
        self._query = {"level": str(Level(level)), "limit": str(MAX_PAGE)}
        if attempt is not None:
            self._query["attempt"] = str(attempt)
        self._place = BEGIN
        self._follow = follow
        self._pause = 0.0
        self._waits = False  # before it asks again, since there was nothing more
        self._is_last = not follow  # whether the job had ended before the next page is read

    def more(self) -> Operation[list[LoggedLine] | None]:
        """The lines that come next, perhaps none; None once there can be no more."""
        if self._waits:
            if self._is_last:
                return None
            yield from self._look()
        query = httpx.QueryParams(self._query | {"cursor": str(self._place.cursor)})
        call = Call("GET", f"/jobs/{self._job_id}/logs?{query}", self._api.timeout)
        try:
            response = yield from self._api.exchange(call)
        except NotFound:  # the log, or the job
            yield from self._api.exchange(Call("GET", f"/jobs/{self._job_id}", self._api.timeout))
            raise Refused(404, "this API keeps no logs of jobs") from None
        page = document(response)
        try:
            lines = [LoggedLine.of(each) for each in page["logs"]]
            self._waits = "next" not in page
            self._place = Place(lines[-1].attempt, lines[-1].number) if lines else self._place
        except (KeyError, TypeError, msgspec.ValidationError, RecursionError):
            raise foreign(response) from None
        return lines

    def _look(self) -> Operation[None]:
        """Wait a moment, or until the job ends: what is read after that is all there is."""
        response = yield from self._api.hold(self._job_id, LOOK_SECONDS, self._pause, None)
        self._is_last = document(response).get("finishedAt") is not None
        # An API that is shutting down does not hold its answer.
        self._pause = 0.0 if response.elapsed.total_seconds() >= 0.9 * LOOK_SECONDS else LOOK_SECONDS
