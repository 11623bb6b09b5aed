"""What a client raises, in one tree.

    ClientError
    ├── Unreachable             no answer after all retries, or an answer from something else
    ├── Refused                 the API said no: `status`, and `message` says why
    │   └── NotFound            404: there is no such job or schedule
    ├── JobFailed               the job is a Failure: `type`, `message`
    ├── AwaitedJobCanceled      the job was canceled; is a JobCanceled too
    └── WaitTimeout             the job has not ended in time; is a TimeoutError too

The last three belong to a job and carry it, as it was last seen, in `job`.

A job function whose own job is canceled gets `asyncjob.JobCanceled`, which is not an Exception, so that no
`except Exception` in the function swallows it. Code that waits for another job is not canceled along with it: there it
is an ordinary error, which `except Exception` should catch. Hence a class of its own, which `except JobCanceled`
catches too.
"""

from typing import Any

from asyncjob.client.snapshot import JobSnapshot
from asyncjob.context import JobCanceled


class ClientError(Exception):
    """Base class of everything that a client raises; the message is one line for a user."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are made of what it holds, as a pool of processes does, since each class is called in its own way."""
        return _copied, (type(self), self.args), vars(self)


class Unreachable(ClientError):
    """There was no answer, or not one from an API that keeps the contract."""


class Refused(ClientError):
    """The API said no.

    Attributes:
        status: the HTTP status.
        message: what is wrong, and where, in the API's words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} ({status})")
        self.status = status
        self.message = message


class NotFound(Refused):
    """There is no such job or schedule; of a job on AWS, until it starts.

    Args:
        status: as above.
        message: as above.
        asked: for what: the URL, or an id that nothing can have.
    """

    def __init__(self, status: int, message: str, asked: str) -> None:
        super().__init__(status, f"{message}: {asked}")
        self.message = message


class JobFailed(ClientError):
    """The job is a Failure.

    Attributes:
        job: the job.
        type: the class of the exception, or one of the contract's own, such as `Timeout`.
        message: the exception's message.
    """

    def __init__(self, job: JobSnapshot) -> None:
        self.job = job
        self.type, self.message = ("", "") if job.error is None else (job.error.type, job.error.message)
        super().__init__(f"job {job.job_id} failed: {self.type}: {self.message}")


class AwaitedJobCanceled(ClientError, JobCanceled):
    """The job was canceled and has no results.

    Attributes:
        job: the job.
    """

    def __init__(self, job: JobSnapshot) -> None:
        self.job = job
        super().__init__(f"job {job.job_id} was canceled")


class WaitTimeout(ClientError, TimeoutError):
    """The job did not end within the timeout. It goes on, and can be waited for again.

    Attributes:
        job: the job as it was last seen; None where it was not visible yet.
    """

    def __init__(self, job_id: str, job: JobSnapshot | None) -> None:
        self.job = job
        super().__init__(
            f"job {job_id} has not ended in time: it is {'not visible yet' if job is None else job.status}"
        )


def _copied(kind: type[ClientError], args: tuple[Any, ...]) -> ClientError:
    error = kind.__new__(kind)
    error.args = args
    return error
