"""What the server and a worker process say to each other, and how it is framed on their socket.

A frame is a length of four bytes and a MessagePack list of messages. Everything there is to say goes into one write, so
a thousand short jobs do not cost a thousand system calls. A worker runs other people's code, which can reach its end of
the socket, so the server believes only what `check` lets through.
"""

from collections.abc import Iterator

import msgspec

from asyncjob import durations
from asyncjob.context import MAX_PROGRESS_MESSAGE
from asyncjob.failure import MAX_MESSAGE_CHARACTERS, MAX_TRACEBACK_CHARACTERS, MAX_TYPE_CHARACTERS
from asyncjob.job import Error, Progress
from asyncjob.job_log import MAX_LINE_NUMBER
from asyncjob.runner import MAX_RESULTS_BYTES, Failed, Outcome, Postponed, Succeeded, check_json
from asyncjob.server.frames import Frames, TooLong, frame
from asyncjob.server.workers.lines import LEVELS, LINE_SIZE, MAX_LINE_CHARACTERS, MAX_LINES, MAX_LOGGER_CHARACTERS

MAX_FRAME_BYTES = 8 << 20  # one message's text may be a million characters of four bytes
FULL_FRAME_BYTES = 1 << 20  # of text, at which the next frame begins
MAX_FIELDS = 8  # in a line of the worker's own
OUT_OF_MEMORY = 77  # the exit status of a worker that has not even the memory to say so
TOO_DEEP = Error("InvalidResults", "the results are nested too deeply")

AttemptKey = tuple[str, int]  # a job id and the number of the attempt


class Run(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: run this attempt of a job."""

    job_id: str
    attempt: int
    type: str
    parameters: bytes
    traceparent: str | None


class Cancel(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: this attempt is no longer wanted."""

    job_id: str
    attempt: int


class Resume(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: this attempt has a place again and goes on."""

    job_id: str
    attempt: int


class Stop(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """To the worker: it gets no more jobs, so it ends what its lifespan has begun, and itself."""


class Ready(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: it has imported the functions and takes jobs."""


class Noticed(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: it has read a Cancel, so its process is not stuck."""


class Advanced(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: a running job has reported progress."""

    job_id: str
    attempt: int
    progress: Progress


class Yielded(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: this attempt waits for another job and needs no place until `Awaited` is answered."""

    job_id: str
    attempt: int


class Awaited(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: this attempt has waited, and goes on after a `Resume`."""

    job_id: str
    attempt: int


class Full(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From an isolated process: it needs nearly all the memory that it may have."""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a function has logged or printed.

    Attributes:
        number: of the line in its attempt, from 1; one that is missing was left out.
        at: milliseconds since 1970.
        level: one of `lines.LEVELS`.
        logger: the name of the logger, or of the stream.
        message: readable text of several lines at most.
        traceback: of the exception, if the line tells of one.
    """

    number: int
    at: int
    level: int
    logger: str
    message: str
    traceback: str = ""

    @property
    def size(self) -> int:
        """What it counts."""
        return LINE_SIZE + len(self.message) + len(self.traceback)


class Logged(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: lines of a running attempt; of none if the id is empty."""

    job_id: str
    attempt: int
    lines: list[Line]


class Said(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: a line of its own for the server's log."""

    level: int
    message: str
    fields: dict[str, str | int]


class Ended(msgspec.Struct, frozen=True, tag=True, tag_field="kind", array_like=True):
    """From the worker: this attempt is over."""

    job_id: str
    attempt: int
    outcome: Outcome


FromWorker = Ready | Noticed | Full | Advanced | Yielded | Awaited | Logged | Said | Ended
Message = Run | Cancel | Resume | Stop | FromWorker

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


class Unbelievable(Exception):
    """The other end sent what none of our programs would; the message says what."""


def pack(messages: list[Message]) -> bytes:
    """The messages as frames: one, unless their texts are large."""
    return b"".join([frame(_encoder.encode(portion)) for portion in _portions(messages)])


def _portions(messages: list[Message]) -> Iterator[list[Message]]:
    portion: list[Message] = []
    size = 0
    for message in messages:
        size += _text_size(message)
        if portion and size > FULL_FRAME_BYTES:
            yield portion
            portion, size = [], _text_size(message)
        portion.append(message)
    yield portion


def _text_size(message: Message) -> int:
    if isinstance(message, Run):
        return len(message.parameters)
    if isinstance(message, Logged):
        return sum([line.size for line in message.lines])
    if not isinstance(message, Ended):
        return 0
    if isinstance(message.outcome, Succeeded):
        return len(message.outcome.results)
    return len(message.outcome.error.message) + len(message.outcome.traceback)


class Unpacker:
    """Collects received bytes and returns the messages of every complete frame."""

    def __init__(self) -> None:
        self._frames = Frames(MAX_FRAME_BYTES)

    def feed(self, data: bytes) -> list[Message]:
        """Add bytes that were read.

        Returns:
            The messages that are now complete, in the order in which they were sent.

        Raises:
            Unbelievable: a frame is too long, or does not hold messages.
        """
        try:
            bodies = self._frames.feed(data)
        except TooLong as error:
            raise Unbelievable(str(error)) from None
        return [message for body in bodies for message in _decode(body)]


def _decode(body: bytes) -> list[Message]:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # ValueError: text that is not UTF-8
        raise Unbelievable(f"not messages: {error}") from None


def check(messages: list[Message]) -> list[FromWorker]:
    """The messages, if our worker could have sent them.

    Raises:
        Unbelievable: no worker sends this, or what it says could not be saved or shown.
    """
    return [_check(message) for message in messages]


def _check(message: Message) -> FromWorker:
    if type(message) is Ended:  # first, as most are
        return _checked_end(message)
    if isinstance(message, (Run, Cancel, Resume, Stop)):
        raise Unbelievable(f"a worker does not send {type(message).__name__}")
    if isinstance(message, Advanced):
        _check_progress(message.progress)
    elif isinstance(message, Logged):
        _check_lines(message.lines)
    elif isinstance(message, Said):
        _check_said(message)
    return message


def _checked_end(message: Ended) -> Ended:
    if not isinstance(message.outcome, Succeeded):
        _check_failure(message.outcome)
    elif not _is_json(message.outcome.results):
        return Ended(message.job_id, message.attempt, Failed(TOO_DEEP))
    return message


def _is_json(results: bytes) -> bool:
    """Whether it is JSON; False if it is nested too deeply to tell."""
    if len(results) > MAX_RESULTS_BYTES:
        raise Unbelievable("results over the limit")
    try:
        check_json(results)
    except RecursionError:
        return False
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unbelievable("results that are not JSON") from None
    return True


def _check_failure(outcome: Failed | Postponed) -> None:
    error = outcome.error
    if (
        len(error.type) > MAX_TYPE_CHARACTERS
        or len(error.message) > MAX_MESSAGE_CHARACTERS
        or len(outcome.traceback) > MAX_TRACEBACK_CHARACTERS
    ):
        raise Unbelievable("an error over the limit")
    if isinstance(outcome, Postponed) and not 0 <= outcome.seconds <= durations.MAX_SECONDS:  # NaN is not, either
        raise Unbelievable("a pause out of range")


def _check_lines(lines: list[Line]) -> None:
    if len(lines) > 2 * MAX_LINES:
        raise Unbelievable("more lines than an attempt may have waiting")
    for line in lines:
        if (
            len(line.logger) > MAX_LOGGER_CHARACTERS + 1
            or len(line.message) > MAX_LINE_CHARACTERS + 1
            or len(line.traceback) > MAX_TRACEBACK_CHARACTERS
        ):
            raise Unbelievable("a line over the limit")
        if line.level not in LEVELS or not 0 < line.number <= MAX_LINE_NUMBER:
            raise Unbelievable("a line that no worker writes")


def _check_said(said: Said) -> None:
    texts = [said.message, *said.fields, *(text for text in said.fields.values() if isinstance(text, str))]
    if said.level not in LEVELS or len(said.fields) > MAX_FIELDS or max(map(len, texts)) > MAX_TRACEBACK_CHARACTERS:
        raise Unbelievable("a line that no worker writes")


def _check_progress(progress: Progress) -> None:
    if not 0 <= progress.fraction <= 1:  # NaN is not, either
        raise Unbelievable("progress that is not a fraction")
    if isinstance(progress.message, str) and len(progress.message) > MAX_PROGRESS_MESSAGE:
        raise Unbelievable("a progress message over the limit")
