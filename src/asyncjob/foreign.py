"""Finds in a hint what pydantic would check and this package does not: a bound that is written must not go unchecked.

msgspec checks `msgspec.Meta` and passes over everything else in `Annotated`; a dataclass of pydantic is a dataclass to
it; and a model can be neither read nor written. No more can a path, which is refused here too. Nothing of pydantic is
imported: its things are known by their modules.
"""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Annotated, Any

META = "write msgspec.Meta, as in Annotated[int, msgspec.Meta(ge=1)]"


def unchecked(hint: Any) -> str | None:
    """What a hint asks for and would not get, and what to write instead; None if there is nothing like that."""
    return next(_found(hint, []), None)


def _found(hint: Any, seen: list[Any]) -> Iterator[str]:
    if any(hint is each for each in seen):
        return
    seen.append(hint)
    if typing.get_origin(hint) is Annotated:
        for each in hint.__metadata__:
            yield from (f"{one!r}, which is not checked: {META}" for one in _constraints(each))
    for part in typing.get_args(hint):
        yield from _found(part, seen)
    if isinstance(hint, type):
        yield from _in_class(hint, seen)


def _in_class(kind: type, seen: list[Any]) -> Iterator[str]:
    if "__pydantic_validator__" in vars(kind) or hasattr(kind, "__pydantic_fields__"):
        if dataclasses.is_dataclass(kind):
            yield (
                f"{kind.__name__}, a dataclass of pydantic, whose validation does not run here: take a plain one, "
                "whose __post_init__ runs"
            )
        else:
            yield (
                f"{kind.__name__}, a model of pydantic: take a dict, and use {kind.__name__}.model_validate and "
                "model_dump(mode='json') in the function"
            )
    elif hasattr(kind, "__fspath__"):
        yield f"{kind.__name__}, and JSON has no paths: write str in its place, and convert in the function"
    elif dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__") or hasattr(kind, "__required_keys__"):
        try:
            hints = typing.get_type_hints(kind, include_extras=True)
        except (NameError, TypeError):  # msgspec says what is wrong
            return
        for part in hints.values():
            yield from _found(part, seen)


def _constraints(metadata: Any) -> list[Any]:
    """What of one thing in `Annotated` is a check of pydantic's or of annotated_types'."""
    package = type(metadata).__module__.partition(".")[0]
    if package == "annotated_types":
        return [metadata]
    if package != "pydantic":
        return []
    return list(metadata.metadata) if type(metadata).__name__ == "FieldInfo" else [metadata]
