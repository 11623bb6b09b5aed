"""What the engine refuses, in its own words and without HTTP; `http/answers.py` turns it into statuses and headers.

Refusal
├── NotAllowed       what was asked is not allowed on this server
├── NotFound         there is no such job
├── Conflict         the id is taken by another request, or the job's status does not allow it
└── TryLater         the same request may succeed later
    ├── Full         too many jobs are waiting
    └── Unavailable  nothing can be saved, read or run at the moment, or too many ask for the same thing at once
"""


class Refusal(Exception):
    """A request that the engine refuses; nothing has changed.

    Attributes:
        message: one sentence for whoever sent the request: what is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotAllowed(Refusal):
    """What was asked is not allowed on this server."""


class NotFound(Refusal):
    """There is no such job."""

    def __init__(self, message: str = "Not found") -> None:
        super().__init__(message)


class Conflict(Refusal):
    """The id is taken by another request, or the job's status does not allow it."""


class TryLater(Refusal):
    """The same request may succeed later."""


class Full(TryLater):
    """Too many jobs are waiting."""


class Unavailable(TryLater):
    """Nothing can be saved, read or run at the moment, or too many ask for the same thing at once."""
