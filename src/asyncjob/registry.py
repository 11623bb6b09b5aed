"""Job functions by name, with their parameters, limits and policies.

A function's signature becomes a msgspec type (signature.py), which checks what a client sends before the 202 and from
which the OpenAPI document is made.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, Unpack, overload
from weakref import WeakKeyDictionary

import msgspec

from asyncjob import durations, failure, policies
from asyncjob.lifespan import Lifespan, read_lifespan
from asyncjob.options import PRIORITY_RULE, is_priority, misplaced
from asyncjob.policies import NO_LIMITS, Backoff, Limit, Limits, OwnProcess, Rate, Unique
from asyncjob.schedules import Schedule, schedules_of
from asyncjob.signature import RegistrationError, Signature, fill_in_defaults, generates, read_signature, signed

DEFAULT_RETRIES = 2
MAX_RETRIES = 100
UNKNOWN = re.compile("Object contains unknown field `([^`]*)`")  # as msgspec says it of a parameter itself
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

Function = TypeVar("Function", bound=Callable[..., Any])
_registered: "WeakKeyDictionary[Callable[..., Any], JobFunction]" = WeakKeyDictionary()
RetryOn = type[BaseException] | tuple[type[BaseException], ...]


class InvalidParameters(Exception):
    """What a client sent does not fit the function's parameters; the message says where."""


@dataclass(frozen=True, eq=False, kw_only=True)
class JobFunction(Signature):
    """A registered function, with what its signature says.

    Attributes:
        name: the `type` that selects it.
        function: the callable itself, sync or async.
        timeout: seconds one attempt may last; None for no limit.
        retries: how many lost attempts are followed by another one.
        retry_on: exception classes after which the job runs again, within `retries`.
        backoff: the pauses between attempts; None for the engine's own.
        limits: how many of its jobs run at once, and start within a period.
        unique: which of its jobs are the same; None if all are different.
        priority: that its jobs have unless their submission says another.
        own_process: how its jobs run, if each has a process of its own.
        schedules: those that begin its jobs by themselves, by id.
    """

    name: str
    function: Callable[..., Any]
    timeout: float | None = None
    retries: int = DEFAULT_RETRIES
    retry_on: tuple[type[BaseException], ...] = ()
    backoff: Backoff | None = None
    limits: Limits = NO_LIMITS
    unique: Unique | None = None
    priority: int = 0
    own_process: OwnProcess | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def check(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Check parameters against the type hints.

        Raises:
            InvalidParameters: one is missing, unknown, or of the wrong type or size.
        """
        try:
            return msgspec.convert(parameters, self.parameters, str_keys=True)
        except BaseException as error:
            raise _invalid(error) from None

    def parse(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Check parameters as `check`, and convert them to the hinted types.

        Args:
            parameters: JSON values by parameter name.

        Returns:
            The keyword arguments for `function`, defaults filled in.

        Raises:
            InvalidParameters: one is missing, unknown, or of the wrong type or size.
        """
        return self._arguments(self.check(parameters))

    def read(self, parameters: bytes) -> dict[str, Any]:
        """The same as `parse`, from JSON text, so that a Decimal keeps all the digits that were sent.

        Raises:
            InvalidParameters: as `parse` does.
        """
        if not self.takes_decimals:
            return self._arguments(self.check(msgspec.json.decode(parameters)))
        try:
            checked = msgspec.json.decode(parameters, type=self.parameters)
        except BaseException as error:
            raise _invalid(error) from None
        return self._arguments(checked)

    @functools.cached_property
    def read_results(self) -> Callable[[bytes], Any] | None:
        """Decodes results, which raises what msgspec raises if they are not of the type; None if all are allowed."""
        return None if self.results is Any else msgspec.json.Decoder(self.results).decode

    def _arguments(self, checked: msgspec.Struct) -> dict[str, Any]:
        arguments = {field: getattr(checked, field) for field in self.parameters.__struct_fields__}
        if self.takes_dataclasses:
            fill_in_defaults(arguments)
        return arguments


def registered(function: Callable[..., Any]) -> JobFunction:
    """What a function was registered as, in whichever registry; in the last one if there are several.

    Raises:
        RegistrationError: it is no job function.
    """
    try:
        return _registered[function]
    except (KeyError, TypeError):
        raise RegistrationError(f"{function!r} is not a job function: it was not registered with @jobs.job") from None


class Policies(TypedDict, total=False):
    """What `@jobs.job(...)` takes beside the name, see `Jobs.job`."""

    timeout: float | str | timedelta | None
    retries: int
    retry_on: RetryOn
    backoff: Backoff | float | str | Sequence[float | str] | None
    concurrency: int | Limit | Sequence[int | Limit] | None
    rate: str | Rate | Sequence[str | Rate] | None
    unique: Unique | None
    priority: int
    isolate: bool
    memory: str | int | None
    max_jobs: int | None
    schedule: Schedule | Sequence[Schedule] | None


class Jobs:
    """A registry of job functions.

    >>> jobs = Jobs()
    >>> @jobs.job
    ... def resize(width: int, height: int = 100) -> dict: ...
    """

    def __init__(self) -> None:
        self._functions: dict[str, JobFunction] = {}
        self._lifespan: Lifespan | None = None

    @property
    def worker_lifespan(self) -> Lifespan | None:
        """What makes the resources of each process that runs these functions, if anything does."""
        return self._lifespan

    def lifespan(self, function: Function) -> Function:
        """Register what makes the resources of a worker. The function itself is returned unchanged.

        It is a generator function, sync or async, with one `yield`. Each worker runs it before it takes jobs, and runs
        the rest after its last job. What it yields is `context.resources`. It takes nothing, or the WorkerContext.

        Raises:
            RegistrationError: it is no such function, or there is one already.
        """
        if self._lifespan is not None:
            raise RegistrationError(f"there are two lifespans, {self._lifespan.name} is the first: make one of them")
        self._lifespan = read_lifespan(function)
        return function

    @overload
    def job(self, function: Function) -> Function: ...

    @overload
    def job(self, *, name: str | None = None, **policies: Unpack["Policies"]) -> Callable[[Function], Function]: ...

    def job(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        **policies: Unpack["Policies"],
    ) -> Any:
        """Register a function as a job. The function itself is returned unchanged.

        Args:
            name: the `type` that clients send; the function's own name by default.
            timeout: how long one attempt may last before it counts as lost: seconds, `"5m"`, a timedelta; None for no
                limit.
            retries: how many lost attempts are followed by another one, 0 to 100; 2 by default.
            retry_on: exceptions after which the job runs again too, while retries are left. Any other exception is
                the job's answer: the job is a Failure at once.
            backoff: the pauses between attempts: a Backoff, or one by one, such as `(10, 60, "10m")`, or one for all.
                By default the engine decides.
            concurrency: how many of its jobs run at once: a number, `Limit(1, per="customerId")` for each value of a
                parameter by itself, or one of each.
            rate: how many of its jobs start within a period: `"60/m"`, `Rate("10/s", per="tenant")`, or one of each.
            unique: which of its jobs are the same, such as `Unique("accountId", while_="waiting")`: the submission of
                a second one names the first.
            priority: from -10 to 10, for jobs whose submission says nothing else.
            isolate: whether each of its jobs has a process of its own, which is ended with its deadline or its cancel.
            memory: of such a process, the most that it may need: `"512M"`, `"2G"`, or bytes. Beyond that the job is
                lost, or a Failure, of type `OutOfMemory`.
            max_jobs: how many jobs such a process runs, one after the other, before a fresh one takes its place; 1 by
                default.
            schedule: when jobs of it begin by themselves: `Cron("0 9 * * 1-5", tz="Europe/Berlin")`, `Every("15m")`, or
                several of them.

        Raises:
            RegistrationError: the function cannot be a job as it stands, or an argument has no such value.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(function) or isinstance(function, type) or generates(function):
                raise RegistrationError(
                    f"{function!r} is not a function that returns a value: write @jobs.job or @jobs.job(name=...)"
                )
            chosen = str(getattr(signed(function), "__name__", "")) if name is None else name
            registered = _describe(function, chosen, policies)
            if registered.name in self._functions:
                raise RegistrationError(f"two job functions are called {registered.name!r}: give one another name=")
            for taken in registered.schedules.keys() & {name for other in self for name in other.schedules}:
                raise RegistrationError(f"two schedules are called {taken!r}: give one another id=")
            self._functions[registered.name] = registered
            with suppress(TypeError):  # some callables cannot be a key
                _registered[function] = registered
            return function

        return register if function is None else register(function)

    def __getitem__(self, name: str) -> JobFunction:
        return self._functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[JobFunction]:
        return iter(self._functions.values())

    def __len__(self) -> int:
        return len(self._functions)

    @property
    def names(self) -> list[str]:
        """The types that may be submitted, in the order of registration."""
        return list(self._functions)


def _describe(function: Callable[..., Any], name: str, given: Policies) -> JobFunction:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise RegistrationError(
            f"{name!r} cannot name a job function: use 1 to 64 of A-Z a-z 0-9 _ - . and do not begin with - or ."
        )
    signature = read_signature(function, name)
    try:
        described = JobFunction(
            name=name,
            function=function,
            **vars(signature),
            **_checked(given, signature),
            schedules=schedules_of(given.get("schedule"), name),
        )
        for schedule_id, schedule in described.schedules.items():
            _check_schedule(described, schedule_id, schedule)
    except ValueError as error:
        raise RegistrationError(f"{name}: {error}") from None
    return described


def _check_schedule(function: JobFunction, schedule_id: str, schedule: Schedule) -> None:
    """Check the parameters of a schedule's jobs, which nobody will be there to send.

    Raises:
        ValueError: they do not fit.
    """
    try:
        function.read(schedule.parameters_json)
    except InvalidParameters as error:
        raise ValueError(f"the parameters of its schedule {schedule_id!r}: {error}") from None


def _invalid(error: BaseException) -> InvalidParameters:
    """What is said of parameters that cannot be made: a class of the user's may raise anything then, and even exit."""
    if issubclass(type(error), MemoryError):
        raise error
    text = failure.message(error)
    if issubclass(type(error), (msgspec.ValidationError, RecursionError)):
        return InvalidParameters(_explained(text))
    told = f"{failure.type_name(error)}: {text}" if text else failure.type_name(error)
    return InvalidParameters(f"a parameter cannot be made of this: {told}")


def _explained(error: str) -> str:
    """What msgspec says of wrong parameters, with a hint if the unknown one is an option."""
    unknown = UNKNOWN.fullmatch(error)
    return error if unknown is None else error + misplaced(unknown[1])


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in Policies.__annotations__:
            import difflib  # for this message alone

            known = ["name", *Policies.__annotations__]
            parts = name.split("_")
            near = (
                [each for each in known if each in parts]
                or difflib.get_close_matches(name, known, 2)
                or [match for part in parts for match in difflib.get_close_matches(part, known, 1)]
            )
            nearest = " or ".join(each for each in known if each in near)
            hint = f"did you mean {nearest}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"@jobs.job has no argument {name!r}; {hint}")


def _timeout(value: float | str | timedelta) -> float:
    try:
        seconds = durations.seconds(value)
    except ValueError:
        seconds = 0
    if seconds == 0:
        raise ValueError(f"timeout must be a time above 0, {durations.RULE}, not {value!r}")
    return seconds


def _checked(given: Policies, signature: Signature) -> dict[str, Any]:
    """The policies as a JobFunction has them.

    Raises:
        ValueError: one has no such value, or names a parameter that there is not.
    """
    _refuse_unknown(given)
    timeout, retries = given.get("timeout"), given.get("retries", DEFAULT_RETRIES)
    if timeout is not None:
        timeout = _timeout(timeout)
    if not (isinstance(retries, int) and 0 <= retries <= MAX_RETRIES):
        raise ValueError(f"retries must be a whole number from 0 to {MAX_RETRIES}, not {retries!r}")
    retry_on = given.get("retry_on", ())
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise ValueError(f"retry_on must be an exception class or a tuple of them, not {retry_on!r}")
    priority = given.get("priority", 0)
    if not is_priority(priority):
        raise ValueError(f"priority must be {PRIORITY_RULE}, not {priority!r}")
    unique = given.get("unique")
    if unique is not None and not isinstance(unique, Unique):
        raise ValueError(f"unique must be such as Unique('accountId', while_='waiting'), not {unique!r}")
    limits = policies.limits_of(given.get("concurrency"), given.get("rate"))
    known = signature.parameters.__struct_fields__
    for name in (*(() if limits.per is None else (limits.per,)), *(unique.parameters if unique else ())):
        if name not in known:
            raise ValueError(f"it has no parameter {name!r} to compare; it has {', '.join(known) or 'none'}")
    return {
        "timeout": timeout,
        "retries": retries,
        "retry_on": kinds,
        "backoff": policies.backoff_of(given.get("backoff")),
        "limits": limits,
        "unique": unique,
        "priority": priority,
        "own_process": policies.own_process_of(given.get("isolate", False), given.get("memory"), given.get("max_jobs")),
    }
