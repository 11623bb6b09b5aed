"""A job as a client sees it: the contract's fields as Python values, immutable."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from asyncjob.job import Error, Progress, Status
from asyncjob.returnable import Returnable


class JobSnapshot(Returnable, msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as it was when the API was asked.

    A field that has no value yet is None. A route of FastAPI may return it as it is: that answers with `document`.

    Attributes:
        job_id: the job's id.
        type: the job function's name.
        status: Pending, Running, Success, Failure or Canceled; `status.is_final` is True for the last three.
        parameters: as they were submitted.
        progress: `fraction` from 0 to 1 and perhaps a `message`, as the function last told it.
        results: what the function returned.
        error: `type` and `message` of a Failure.
        attempt: 1, and one more for each further run.
        priority: from -10 to 10.
        created_at, started_at, finished_at: times in UTC; the latter two of the current attempt.
        run_at: the time that a Pending job waits for.
        start_by: the time by which it must have begun.
        document: the job exactly as the API sent it, including fields that this class does not know.
    """

    job_id: str
    type: str
    status: Status
    parameters: dict[str, Any]
    progress: Progress | None = None
    results: Any = None
    error: Error | None = None
    attempt: int
    priority: int = 0
    created_at: datetime
    run_at: datetime | None = None
    start_by: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    document: dict[str, Any]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The fields of `document`."""
        return iter(self.document.items())

    @classmethod
    def of(cls, document: dict[str, Any]) -> "JobSnapshot":
        """Read a job of the API.

        Raises:
            msgspec.ValidationError: it is not a job.
        """
        return msgspec.convert({**document, "document": document}, cls)
