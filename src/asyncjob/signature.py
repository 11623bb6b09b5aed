"""A job function's signature, read: its parameters and its results as types, and how it has to be called.

A function's signature is the only description of both.
"""

import copy
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import msgspec
import msgspec.inspect

from asyncjob.context import JobContext
from asyncjob.encoding import encode
from asyncjob.foreign import unchecked

RESERVED_PARAMETERS = ("jobId", "type", "options")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
UNCHANGEABLE = (type(None), bool, int, float, str, bytes, Decimal)
UNCHECKED = {msgspec.inspect.CustomType, msgspec.inspect.RawType}  # msgspec cannot read the one, and does not the other


class RegistrationError(Exception):
    """A job function or a registry cannot be used as written; the message says what to change."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Signature:
    """What a function's signature says, and the registry keeps.

    Attributes:
        parameters: a msgspec Struct with one field per parameter.
        is_async: True if it is called on the event loop. Any other function runs in a thread, and an awaitable that it
            returns is awaited on the loop.
        takes_context: True if its first parameter is a JobContext.
        takes_decimals: True if there is a Decimal anywhere in its parameters: numbers then keep the digits that were
            sent.
        takes_dataclasses: True if there is a dataclass anywhere in its parameters.
        results: the type of what it returns, which is checked; Any where it says nothing that JSON could be checked
            against.
    """

    parameters: type[msgspec.Struct]
    is_async: bool
    takes_context: bool
    takes_decimals: bool
    takes_dataclasses: bool
    results: Any


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read the signature of a function that will be called by that name.

    Raises:
        RegistrationError: the function cannot be a job as it stands.
    """
    fields, takes_context = _fields(function, name)
    parameters = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    kinds = set(_kinds(msgspec.inspect.type_info(parameters), set()))
    return Signature(
        parameters=parameters,
        is_async=_is_async(function),
        takes_context=takes_context,
        takes_decimals=msgspec.inspect.DecimalType in kinds,
        takes_dataclasses=msgspec.inspect.DataclassType in kinds,
        results=_results(function, name),
    )


def signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The callable that has the name, code and type hints: a partial's function, an object's `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or hasattr(function, "__wrapped__") else type(function).__call__


def generates(function: Callable[..., Any]) -> bool:
    """Whether a call of it makes a generator, which is no value."""
    code = signed(function)
    is_generator = inspect.isgeneratorfunction(code) and not _is_coroutine_generator(code)
    return is_generator or inspect.isasyncgenfunction(code)


def _is_coroutine_generator(function: Any) -> bool:
    """Whether `types.coroutine` made it awaitable."""
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether to call the function on the loop: it is a coroutine function, or its return hint is awaitable.

    A sync wrapper around a coroutine function is not called there: it may block, as one that uses `asyncio.run` does.
    """
    code = signed(function)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(code) or _is_coroutine_generator(code):
        return True
    hint = typing.get_type_hints(code).get("return")
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Awaitable)


def _results(function: Callable[..., Any], name: str) -> Any:
    """The type in the return hint, of what is awaited if that is what it returns."""
    hint = typing.get_type_hints(signed(function), include_extras=True).get("return", Any)
    kind = typing.get_origin(hint)
    if isinstance(kind, type) and issubclass(kind, Awaitable):
        hint = typing.get_args(hint)[-1]
    _refuse_unchecked(name, "what it returns", hint)
    try:
        msgspec.json.schema(hint)
        msgspec.json.Decoder(hint)
        kinds = set(_kinds(msgspec.inspect.type_info(hint), set()))
    except (TypeError, NameError):
        return Any
    return Any if kinds == {msgspec.inspect.AnyType} or kinds & UNCHECKED else hint


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


def fill_in_defaults(value: Any) -> None:
    """Set defaults in each decoded dataclass: msgspec leaves them to the class, and then omits them from JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.name not in getattr(value, "__dict__", {field.name}) and hasattr(value, field.name):
                object.__setattr__(value, field.name, getattr(value, field.name))
            fill_in_defaults(getattr(value, field.name, None))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            fill_in_defaults(getattr(value, name, None))
    elif isinstance(value, dict):
        for part in value.values():
            fill_in_defaults(part)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            fill_in_defaults(part)


def _fields(function: Callable[..., Any], name: str) -> tuple[list[tuple[str, Any, Any]], bool]:
    """The parameters as (name, type, msgspec field), and whether the first one is a JobContext."""
    try:
        hints = typing.get_type_hints(signed(function), include_extras=True)
        signature = list(inspect.signature(function).parameters.values())
    except NameError as error:
        raise RegistrationError(
            f"{name}: its signature cannot be read: {error}: what hints name must be in the module when it runs, "
            "not under TYPE_CHECKING or in a function"
        ) from None
    except Exception as error:
        raise RegistrationError(f"{name}: its signature cannot be read: {error}") from None
    first = signature[0] if signature else None
    takes_context = first is not None and first.kind in POSITIONAL and _is_context(hints.get(first.name))
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
        if _is_context(hint):
            raise RegistrationError(f"{name}: the JobContext must be the first parameter, with no * before it")
        _check_hint(name, parameter.name, hint)
        _check_default(name, parameter, hint)
        fields.append((parameter.name, *_with_default(hint, parameter.default)))
    return fields, takes_context


def _is_context(hint: Any) -> bool:
    """Whether a JobContext is meant: annotated, too, and optional, as in a function that is also called without one."""
    while typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return len(parts) == 1 and _is_context(parts[0])
    return hint is JobContext


def _with_default(hint: Any, value: Any) -> tuple[Any, Any]:
    """The type and the msgspec field of a parameter, by its default.

    A job gets a copy of a default that functions can change. msgspec's schema does not show what is copied, so the type
    does.
    """
    if value is inspect.Parameter.empty:
        return hint, msgspec.field()
    if type(value) in UNCHANGEABLE or isinstance(value, Enum):
        return hint, msgspec.field(default=value)
    shown = msgspec.Meta(extra_json_schema={"default": msgspec.json.decode(encode(value))})
    return Annotated[hint, shown], msgspec.field(default_factory=lambda: copy.deepcopy(value))


def _refuse_unchecked(name: str, what: str, hint: Any) -> None:
    found = unchecked(hint)
    if found is not None:
        raise RegistrationError(f"{name}: the hint of {what} has {found}")


def _check_hint(name: str, parameter: str, hint: Any) -> None:
    _refuse_unchecked(name, repr(parameter), hint)
    try:
        msgspec.json.schema(hint)
    except NameError as error:
        raise RegistrationError(f"{name}: JSON cannot be checked against the hint of {parameter!r}: {error}") from None
    except TypeError as error:
        reason = str(error).splitlines()[0]
        if "custom types" in reason:
            kind = str(error).splitlines()[-1].removeprefix("type ").removesuffix(" is not supported")
            reason = f"JSON cannot show {kind}: it can show a dataclass, a TypedDict or a msgspec.Struct"
        raise RegistrationError(f"{name}: JSON cannot be checked against the hint of {parameter!r}: {reason}") from None


def _check_default(name: str, parameter: inspect.Parameter, hint: Any) -> None:
    if parameter.default is parameter.empty:
        return
    try:
        text = encode(parameter.default)
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
