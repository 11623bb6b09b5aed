"""Lets an application return our values from its routes as they are: what FastAPI and pydantic ask a class for.

It depends on neither: pydantic is imported only where pydantic itself calls.
"""

from collections.abc import Iterator
from typing import Any

import msgspec


class Returnable:
    """A Struct that is written as the JSON object that the API sends."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The fields by their names in JSON, as `dict` and FastAPI's encoder take them."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return iter(fields.items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        written = core_schema.plain_serializer_function_ser_schema(dict)
        return core_schema.is_instance_schema(
            cls, serialization=written, ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return _sent(cls)


def _sent(kind: type) -> Any:
    """The schema of what the API sends of a class: a field that is None here is absent there, and so is `document`."""
    from asyncjob.type_schemas import schema_components  # only an application that describes itself needs it

    (reference,), components = schema_components([kind], "{name}")
    schema = _whole(reference, components)
    schema["properties"].pop("document", None)
    schema["required"] = [name for name in schema["required"] if name != "document"]
    return schema | {"title": kind.__name__, "description": (kind.__doc__ or "").partition("\n")[0]}


def _whole(schema: Any, components: Any) -> Any:
    """A schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_whole(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(components[schema["$ref"]], components)
    given = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(given) == 1:
        return _whole(given[0], components)
    return {name: _whole(value, components) for name, value in schema.items() if name not in ("default", "description")}
