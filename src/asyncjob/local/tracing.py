"""OpenTelemetry spans of a job, through its API alone: where that is not installed, nothing happens and nothing costs.

A job's trace is that of the request which submitted it, or a new one: a span for the submission, in the server, and one
for each attempt, in the worker, where it is the current span while the function runs, so that the function's own
become its children. What links them, the `traceparent`, is saved with the job: it outlives the server.

What becomes of the spans is for an SDK that the user's own file sets up: the server imports it, and each worker. Where
none is, spans would cost a tenth of a job and be seen by nobody: then a request's `traceparent` is only passed on.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from asyncjob.local.channel import Run
from asyncjob.runner import Failed, Outcome

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

MAX_TRACEPARENT = 128  # bytes; version 00 has 55, later ones may have more

_NO_TRACEPARENT: AbstractContextManager[str | None] = nullcontext(None)
_NO_SPAN: AbstractContextManager[Callable[[Outcome], None]] = nullcontext(lambda outcome: None)


def submission(type: str, given: bytes | None) -> AbstractContextManager[str | None]:  # noqa: A002
    """The span of a submission.

    Args:
        type: of the job.
        given: the request's header `traceparent`.

    Returns:
        A context whose value is the `traceparent` to save with the job.
    """
    if not INSTALLED:
        return _NO_TRACEPARENT
    parent = None if given is None else given[:MAX_TRACEPARENT].decode("latin-1")
    return _submission(type, parent) if _has_sdk() else nullcontext(parent)


@contextmanager
def _submission(type: str, given: str | None) -> Iterator[str | None]:  # noqa: A002
    with _span(f"submit {type}", given, trace.SpanKind.PRODUCER) as span:
        span.set_attribute("asyncjob.type", type)
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        yield carrier.get("traceparent")


def attempt(message: Run) -> AbstractContextManager[Callable[[Outcome], None]]:
    """The span of an attempt, current while the context lasts; its value is to be called with the outcome."""
    wanted = INSTALLED and (message.traceparent is not None or _has_sdk())
    return _attempt(message) if wanted else _NO_SPAN


@contextmanager
def _attempt(message: Run) -> Iterator[Callable[[Outcome], None]]:
    with _span(f"run {message.type}", message.traceparent, trace.SpanKind.CONSUMER) as span:
        span.set_attributes(
            {"asyncjob.id": message.job_id, "asyncjob.type": message.type, "asyncjob.attempt": message.attempt}
        )

        def ended(outcome: Outcome) -> None:
            if isinstance(outcome, Failed):  # the type alone: messages hold values
                span.set_attribute("error.type", outcome.error.type)
                span.set_status(trace.StatusCode.ERROR, outcome.error.type)

        yield ended


def _has_sdk() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _span(name: str, parent: str | None, kind: "trace.SpanKind") -> "AbstractContextManager[trace.Span]":
    carrier = {} if parent is None else {"traceparent": parent}
    context = TraceContextTextMapPropagator().extract(carrier)
    return trace.get_tracer("asyncjob").start_as_current_span(name, context, kind)
