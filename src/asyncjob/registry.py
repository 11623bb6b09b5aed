"""Job functions by name, with their parameters and limits.

A function's signature is the only description of its parameters. Here it becomes a msgspec type, which checks what a
client sends before the 202 and from which the OpenAPI document is made.
"""

import copy
import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec
import msgspec.inspect

from asyncjob.context import JobContext

DEFAULT_RETRIES = 2
MAX_RETRIES = 100
RESERVED_PARAMETERS = ("jobId", "type", "notify")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

Function = TypeVar("Function", bound=Callable[..., Any])


class RegistrationError(Exception):
    """A job function or a registry cannot be used as written; the message says what to change."""


class InvalidParameters(Exception):
    """What a client sent does not fit the function's parameters; the message says where."""


@dataclass(frozen=True, eq=False)
class JobFunction:
    """A registered function.

    Attributes:
        name: the `type` that selects it.
        function: the callable itself, sync or async.
        parameters: a msgspec Struct with one field per parameter.
        is_async: True if it is called on the event loop. Any other function runs in a thread, and an awaitable that it
            returns is awaited on the loop.
        takes_context: True if its first parameter is a JobContext.
        takes_decimals: True if there is a Decimal anywhere in its parameters: numbers then keep the digits that were
            sent.
        takes_dataclasses: True if there is a dataclass anywhere in its parameters.
        timeout: seconds one attempt may last; None for no limit.
        retries: how many lost attempts are followed by another one.
        retry_on: exception classes after which the job runs again, within `retries`.
    """

    name: str
    function: Callable[..., Any]
    parameters: type[msgspec.Struct]
    is_async: bool
    takes_context: bool
    takes_decimals: bool
    takes_dataclasses: bool
    timeout: float | None
    retries: int
    retry_on: tuple[type[BaseException], ...]

    def check(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Check parameters against the type hints.

        Raises:
            InvalidParameters: one is missing, unknown, or of the wrong type or size.
        """
        try:
            return msgspec.convert(parameters, self.parameters, str_keys=True)
        except (msgspec.ValidationError, RecursionError) as error:
            raise InvalidParameters(str(error)) from None

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
            return self.parse(msgspec.json.decode(parameters))
        try:
            return self._arguments(msgspec.json.decode(parameters, type=self.parameters))
        except (msgspec.ValidationError, RecursionError) as error:
            raise InvalidParameters(str(error)) from None

    def _arguments(self, checked: msgspec.Struct) -> dict[str, Any]:
        arguments = {field: getattr(checked, field) for field in self.parameters.__struct_fields__}
        if self.takes_dataclasses:
            _fill_in_defaults(arguments)
        return arguments


class Jobs:
    """A registry of job functions.

    >>> jobs = Jobs()
    >>> @jobs.job
    ... def resize(width: int, height: int = 100) -> dict: ...
    """

    def __init__(self) -> None:
        self._functions: dict[str, JobFunction] = {}

    @overload
    def job(self, function: Function) -> Function: ...

    @overload
    def job(
        self,
        *,
        name: str | None = None,
        timeout: float | None = None,
        retries: int = DEFAULT_RETRIES,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> Callable[[Function], Function]: ...

    def job(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
        retries: int = DEFAULT_RETRIES,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> Any:
        """Register a function as a job. The function itself is returned unchanged.

        Args:
            name: the `type` that clients send; the function's own name by default.
            timeout: seconds that one attempt may last before it counts as lost; None for no limit.
            retries: how many lost attempts are followed by another one, 0 to 100.
            retry_on: exceptions after which the job runs again too, while retries are left. Any other exception is
                the job's answer: the job is a Failure at once.

        Raises:
            RegistrationError: the function cannot be a job as it stands.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(function) or isinstance(function, type) or _generates(function):
                raise RegistrationError(
                    f"{function!r} is not a function that returns a value: write @jobs.job or @jobs.job(name=...)"
                )
            chosen = str(getattr(_signed(function), "__name__", "")) if name is None else name
            registered = _describe(function, chosen, timeout, retries, retry_on)
            if registered.name in self._functions:
                raise RegistrationError(f"two job functions are called {registered.name!r}: give one another name=")
            self._functions[registered.name] = registered
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


def _describe(
    function: Callable[..., Any],
    name: str,
    timeout: float | None,
    retries: int,
    retry_on: type[BaseException] | tuple[type[BaseException], ...],
) -> JobFunction:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise RegistrationError(
            f"{name!r} cannot name a job function: use 1 to 64 of A-Z a-z 0-9 _ - . and do not begin with - or ."
        )
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise RegistrationError(f"{name}: timeout must be a number of seconds above 0, not {timeout!r}")
    if not (isinstance(retries, int) and 0 <= retries <= MAX_RETRIES):
        raise RegistrationError(f"{name}: retries must be a whole number from 0 to {MAX_RETRIES}, not {retries!r}")
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise RegistrationError(f"{name}: retry_on must be an exception class or a tuple of them, not {retry_on!r}")
    fields, takes_context = _fields(function, name)
    parameters = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    kinds_of_values = set(_kinds(msgspec.inspect.type_info(parameters), set()))
    return JobFunction(
        name=name,
        function=function,
        parameters=parameters,
        is_async=_is_async(function),
        takes_context=takes_context,
        takes_decimals=msgspec.inspect.DecimalType in kinds_of_values,
        takes_dataclasses=msgspec.inspect.DataclassType in kinds_of_values,
        timeout=timeout,
        retries=retries,
        retry_on=kinds,
    )


def _signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The callable that has the name, code and type hints: a partial's function, an object's `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or hasattr(function, "__wrapped__") else type(function).__call__


def _generates(function: Callable[..., Any]) -> bool:
    code = _signed(function)
    is_generator = inspect.isgeneratorfunction(code) and not _is_coroutine_generator(code)
    return is_generator or inspect.isasyncgenfunction(code)


def _is_coroutine_generator(function: Any) -> bool:
    """Whether `types.coroutine` made it awaitable."""
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether to call the function on the loop: it is a coroutine function, or its return hint is awaitable.

    A sync wrapper around a coroutine function is not called there: it may block, as one that uses `asyncio.run` does.
    """
    code = _signed(function)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(code) or _is_coroutine_generator(code):
        return True
    hint = typing.get_type_hints(code).get("return")
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Awaitable)


def _kinds(value: Any, seen: set[int]) -> Iterator[type[Any]]:
    """The kinds of types in msgspec's description of a type, its own first."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, (msgspec.inspect.Type, msgspec.inspect.Field)):
        yield type(value)
        parts = tuple(getattr(value, name) for name in value.__struct_fields__ if name not in ("cls", "default"))
    else:
        return
    for part in parts:
        yield from _kinds(part, seen)


def _fill_in_defaults(value: Any) -> None:
    """Set defaults in each decoded dataclass: msgspec leaves them to the class, and then omits them from JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.name not in getattr(value, "__dict__", {field.name}) and hasattr(value, field.name):
                object.__setattr__(value, field.name, getattr(value, field.name))
            _fill_in_defaults(getattr(value, field.name, None))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _fill_in_defaults(getattr(value, name, None))
    elif isinstance(value, dict):
        for part in value.values():
            _fill_in_defaults(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            _fill_in_defaults(part)


def _fields(function: Callable[..., Any], name: str) -> tuple[list[tuple[str, Any, Any]], bool]:
    """The parameters as (name, type, msgspec field), and whether the first one is a JobContext."""
    try:
        hints = typing.get_type_hints(_signed(function), include_extras=True)
        signature = list(inspect.signature(function).parameters.values())
    except Exception as error:
        raise RegistrationError(f"{name}: its signature cannot be read: {error}") from None
    takes_context = bool(signature) and hints.get(signature[0].name) is JobContext
    fields = []
    for parameter in signature[takes_context:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise RegistrationError(f"{name}: parameter {parameter} must accept its value by name")
        if parameter.name.startswith("__"):
            raise RegistrationError(
                f"{name}: a parameter may not be called {parameter.name!r}: it may begin with one underscore at most"
            )
        if parameter.name in RESERVED_PARAMETERS:
            raise RegistrationError(f"{name}: a parameter may not be called {parameter.name!r}, the API uses that name")
        hint = hints.get(parameter.name, Any)
        if hint is JobContext:
            raise RegistrationError(f"{name}: the JobContext must be the first parameter")
        _check_hint(name, parameter.name, hint)
        _check_default(name, parameter, hint)
        fields.append((parameter.name, hint, _default(parameter.default)))
    return fields, takes_context


def _default(value: Any) -> Any:
    if value is inspect.Parameter.empty:
        return msgspec.field()
    if isinstance(value, (list, dict, set)):
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return msgspec.field(default=value)


def _check_hint(name: str, parameter: str, hint: Any) -> None:
    try:
        msgspec.json.schema(hint)
    except (TypeError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise RegistrationError(f"{name}: JSON cannot be checked against the hint of {parameter!r}: {reason}") from None


def _check_default(name: str, parameter: inspect.Parameter, hint: Any) -> None:
    if parameter.default is parameter.empty:
        return
    try:
        text = msgspec.json.encode(parameter.default)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise RegistrationError(
            f"{name}: the default of {parameter.name!r} cannot be written as JSON: {error}"
        ) from None
    try:
        msgspec.convert(parameter.default, hint)  # some defaults, such as infinity, fit the hint but not JSON
    except (msgspec.ValidationError, RecursionError):
        try:
            msgspec.json.decode(text, type=hint)  # others, such as a dataclass, fit only once they are JSON
        except (msgspec.ValidationError, RecursionError) as error:
            optional = ", or let the hint allow it, with `| None`" if parameter.default is None else ""
            raise RegistrationError(
                f"{name}: the default of {parameter.name!r} does not fit its own hint: {error}: give another{optional}"
            ) from None
