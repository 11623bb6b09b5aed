"""The JSON Schemas of types, as msgspec makes them, with what it leaves out.

It says the format of a time only where a zone is required, though `datetime` takes the same texts and more. And it
writes defaults as they come: the order of a set differs between processes, while the document of an API is the same
text at each start.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

Schema = dict[str, Any]

OFFSET = "([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$"
"""How a time of day ends that must have its zone: `time` is the format of one that may have none, too."""


def schema_components(
    types: list[Any], ref_template: str, *, returned: bool = False
) -> tuple[list[Schema], dict[str, Schema]]:
    """The schemas of these types, and the components that they refer to, by name.

    Args:
        types: any that JSON can show.
        ref_template: how a component is referred to, with `{name}` for its name.
        returned: whether they are of what functions return. A `datetime` takes all that has the format `date-time`,
            but one that is returned may have no zone, which that format demands.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template=ref_template)
    details = _Details(components, ref_template.partition("{name}")[0], returned)
    for schema, each in zip(schemas, inspect.multi_type_info(types), strict=True):
        details.add(schema, each)
    return list(schemas), components


class _Details:
    """Adds to schemas what msgspec has left out."""

    def __init__(self, components: dict[str, Schema], before: str, returned: bool) -> None:
        self._components, self._before, self._returned = components, before, returned
        self._seen: set[str] = set()

    def add(self, schema: Schema, described: inspect.Type) -> None:
        """Complete the schema of a type, and what it refers to."""
        while isinstance(described, inspect.Metadata):
            described = described.type
        if "default" in schema:
            schema["default"] = self._sorted(schema["default"], schema)
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(self._before)
            if name in self._seen:
                return
            self._seen.add(name)
            schema = self._components[name]
        if isinstance(described, inspect.DateTimeType | inspect.TimeType) and described.tz is None:
            if not self._returned:
                schema.setdefault("format", "time" if isinstance(described, inspect.TimeType) else "date-time")
        elif isinstance(described, inspect.TimeType) and described.tz:
            schema.setdefault("pattern", OFFSET)
        for part, of in _parts(schema, described):
            self.add(part, of)

    def _sorted(self, value: Any, schema: Any) -> Any:
        """A value that the schema describes, with each set in order."""
        if not isinstance(schema, dict):
            return value
        if "$ref" in schema:
            schema = self._components[schema["$ref"].removeprefix(self._before)]
        for option in schema.get("anyOf", ()):  # one of them at most is of an array, or of an object that is no class
            value = self._sorted(value, option)
        if isinstance(value, list):
            first = schema.get("prefixItems", [])
            items = [*first, *[schema.get("items")] * (len(value) - len(first))]
            found = [self._sorted(each, item) for each, item in zip(value, items, strict=False)]
            return sorted(found, key=msgspec.json.encode) if schema.get("uniqueItems") else found
        if isinstance(value, dict):
            named, other = schema.get("properties", {}), schema.get("additionalProperties")
            return {name: self._sorted(each, named.get(name, other)) for name, each in value.items()}
        return value


def _parts(schema: Schema, described: inspect.Type) -> Iterable[tuple[Schema, inspect.Type]]:
    """The schemas within one, each with the type that it is of."""
    found: Iterable[tuple[Schema, inspect.Type]] = ()
    match described:
        case inspect.CollectionType(item_type=item) if "items" in schema:
            found = [(schema["items"], item)]
        case inspect.TupleType(item_types=items) if items:
            found = zip(schema["prefixItems"], items, strict=True)
        case object(value_type=value) if "additionalProperties" in schema:  # a dict's, frozen or not
            found = [(schema["additionalProperties"], value)]
        case inspect.UnionType(types=options):
            found = zip(_options(schema), sorted(options, key=_place), strict=True)
        case object(fields=fields):  # of a class
            parts = schema.get("prefixItems") or [schema["properties"][field.encode_name] for field in fields]
            found = zip(parts[len(parts) - len(fields) :], [field.type for field in fields], strict=True)  # after a tag
    return found


def _options(schema: Schema) -> list[Schema]:
    """The options of a union, those of several classes too, which are a union within it."""
    return [each for option in schema["anyOf"] for each in (_options(option) if "anyOf" in option else [option])]


def _place(option: inspect.Type) -> int:
    """Where the option of a union is in its schema: classes come after what else there is, and null is last."""
    while isinstance(option, inspect.Metadata):
        option = option.type
    if isinstance(option, inspect.NoneType):
        return 2
    return int(isinstance(option, inspect.StructType) and not option.array_like)
