"""A job function, or its name, as what a client submits; and its results as what the function returns.

Given the function itself, a type checker sees its parameters and its results. Given a name, everything is allowed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

import msgspec

from asyncjob.client.errors import ClientError
from asyncjob.context import JobContext
from asyncjob.options import Options
from asyncjob.registry import registered

P = ParamSpec("P")
R = TypeVar("R")
Takes: TypeAlias = Callable[P, R]
TakesContext: TypeAlias = Callable[Concatenate[JobContext, P], R]
Many: TypeAlias = Iterable[Mapping[str, Any]]  # the parameters of one job each
ReadResults = Callable[[Any], Any]  # from JSON values to the function's return type


class Asked(NamedTuple):
    """What to submit.

    Attributes:
        fields: of the submission, without a `jobId` unless one was given.
        read_results: for the results of the job.
    """

    fields: dict[str, Any]
    read_results: ReadResults


def ask(job: Callable[..., Any] | str | None, options: Options, parameters: Mapping[str, Any]) -> Asked:
    """What a call of `submit` asks for.

    Args:
        job: the function, or its name; None if the API has only one.
        options: of the job.
        parameters: of the function, by name, and perhaps `jobId` and, in place of the above, `options`.

    Raises:
        TypeError: the options are none, or the id is given twice.
        RegistrationError: it is no job function.
    """
    if not isinstance(options, Options):
        raise TypeError(f"submit takes Options and then parameters by name, not {options!r}")
    fields = dict(parameters)
    given = fields.pop("options", options)
    if isinstance(given, Options):
        if given.job_id is not None:
            if "jobId" in fields:
                raise TypeError("submit takes either jobId or Options(job_id=...), not both")
            fields["jobId"] = given.job_id
        given = given.as_json()
    if given != {}:
        fields["options"] = given
    if job is None or isinstance(job, str):
        return Asked(fields if job is None else {"type": job} | fields, _as_they_are)
    function = registered(job)
    read_results = _as_they_are if function.results is Any else _reader(function.name, function.results)
    return Asked({"type": function.name} | fields, read_results)


def refuse_id(options: Options) -> None:
    """Refuse options that would give many jobs one id.

    Raises:
        ValueError: they have a `job_id`.
    """
    if options.job_id is not None:
        raise ValueError("map submits many jobs: give each its own jobId among its parameters, not one in options")


def _as_they_are(results: Any) -> Any:
    return results


def _reader(name: str, kind: Any) -> ReadResults:
    def read(results: Any) -> Any:
        try:
            return msgspec.convert(results, kind, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ClientError(f"the results are not what {name} returns in this program: {error}") from None

    return read
