"""OpenTelemetry spans of jobs. Only its API is used.

Without it there are no spans, and a request's `traceparent` is only kept and handed to the function.

A job belongs to the trace of the request that submitted it, or to a new one. The server makes a span for the
submission, and the worker one for each attempt, which is current while the function runs, so that the function's own
spans are its children. The `traceparent` links them; it is saved with the job, so it outlives the server.

Where spans go is decided by an SDK that the user's own file sets up, in the server and in each worker. Without one,
spans would cost a tenth of a job and nobody would see them, so a request's `traceparent` is only passed on.
"""

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from asyncjob import failure
from asyncjob.runner import Failed, Outcome
from asyncjob.server.logs import log
from asyncjob.server.workers.channel import Run

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanKind


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:
        return False


INSTALLED = _is_installed()  # to import it would cost each process 2 MB, and few traces are wanted
LOADS_SDK = "OTEL_PYTHON_TRACER_PROVIDER" in os.environ  # with which the API sets up an SDK by itself
# Version 00 has 55 bytes; later versions may have more. No id is all zeros, and no version is ff.
TRACEPARENT = re.compile(
    rb"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,72})?"
)


def is_on() -> bool:
    """Whether somebody wants spans."""
    return INSTALLED and _has_sdk()


def submission(type: str, given: bytes | None) -> AbstractContextManager[str | None]:  # noqa: A002
    """The span of a submission.

    Args:
        type: the job's.
        given: the `traceparent` header of the request; a malformed one counts as none.

    Returns:
        A context whose value is the `traceparent` to save with the job.
    """
    parent = given.decode() if given is not None and TRACEPARENT.fullmatch(given) else None
    return _submission(type, parent) if is_on() else nullcontext(parent)


@contextmanager
def _submission(type: str, given: str | None) -> Iterator[str | None]:  # noqa: A002
    from opentelemetry.trace import SpanKind

    span = CurrentSpan()
    span.begin(f"submit {type}", given, SpanKind.PRODUCER, {"asyncjob.type": type})
    try:
        yield span.traceparent or given
    except BaseException as error:
        span.end(failure.type_name(error))
        raise
    span.end(None)


def attempt_span(message: Run) -> "AttemptSpan | None":
    """The span of an attempt, if OpenTelemetry is installed and somebody wants spans."""
    return AttemptSpan(message) if INSTALLED and (message.traceparent is not None or _has_sdk()) else None


class CurrentSpan:
    """A span that is current in its context from `begin` to `end`.

    The user's SDK, its processors and exporters may raise; that is logged, and what the span is of goes on.

    Attributes:
        traceparent: its own, for what belongs below it; None if there is no span.
    """

    def __init__(self) -> None:
        self.traceparent: str | None = None
        self._stack = ExitStack()
        self._span: Span | None = None

    def begin(self, name: str, parent: str | None, kind: "SpanKind", attributes: Mapping[str, str | int]) -> None:
        """Make it current, below the span of the `traceparent` given."""
        with _said():
            self._begin(name, parent, kind, attributes)

    def _begin(self, name: str, parent: str | None, kind: "SpanKind", attributes: Mapping[str, str | int]) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        propagator = TraceContextTextMapPropagator()
        context = propagator.extract({} if parent is None else {"traceparent": parent})
        tracer = trace.get_tracer("asyncjob")
        self._span = self._stack.enter_context(tracer.start_as_current_span(name, context, kind))
        self._span.set_attributes(attributes)
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        self.traceparent = carrier.get("traceparent")

    def end(self, error_type: str | None) -> None:
        """End it: with the class of an error, and not its message, which may hold values."""
        with _said(), self._stack:
            if self._span is not None and error_type is not None:
                from opentelemetry.trace import StatusCode

                self._span.set_attribute("error.type", error_type)
                self._span.set_status(StatusCode.ERROR, error_type)


class AttemptSpan:
    """The span of an attempt, current in the job's context from `begin` to `end`."""

    def __init__(self, message: Run) -> None:
        self._message = message
        self._span = CurrentSpan()

    def begin(self) -> None:
        """Make it current."""
        from opentelemetry.trace import SpanKind

        message = self._message
        attributes: dict[str, str | int] = {
            "asyncjob.id": message.job_id,
            "asyncjob.type": message.type,
            "asyncjob.attempt": message.attempt,
        }
        self._span.begin(f"run {message.type}", message.traceparent, SpanKind.CONSUMER, attributes)

    def end(self, outcome: Outcome) -> None:
        """End it with the attempt's outcome."""
        self._span.end(outcome.error.type if isinstance(outcome, Failed) else None)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        exception = failure.where(error)
        log(logging.ERROR, "a span failed", error=failure.type_name(error), exception=exception)


def _has_sdk() -> bool:
    """Whether an SDK is set up, for which somebody must have imported the API."""
    if not LOADS_SDK and "opentelemetry.trace" not in sys.modules:
        return False
    with _said():
        from opentelemetry import trace

        return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return False
