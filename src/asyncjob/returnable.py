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

        return core_schema.is_instance_schema(cls, serialization=core_schema.plain_serializer_function_ser_schema(dict))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {"type": "object", "title": cls.__name__}
