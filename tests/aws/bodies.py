"""Bodies of `POST /jobs` made from the functions' schemas: valid ones, and ones that are broken in one place.

What is broken has a verdict: REFUSED by API Gateway too, or LATE, where draft 4 cannot say it. The rule is this file:
each break that a schema allows is made by one line of `_breaks`, and its verdict stands beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from hypothesis import strategies as st

from asyncjob.registry import JobFunction, Jobs

VALID, REFUSED, LATE = "valid", "refused", "late"

Schema = dict[str, Any]
Values = st.SearchStrategy[Any]

OF_TYPE: dict[str, Values] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers(-(10**20), 10**20),
    "number": st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: number != int(number)),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    "array": st.lists(st.none(), max_size=2),
    "object": st.dictionaries(st.sampled_from("xy"), st.none(), max_size=2),
}
# Of a text that stands for something: what it may be, what does not look like one, what only looks like one.
FORMS: dict[str, tuple[Values, Values, Values]] = {
    "date": (st.dates().map(str), st.sampled_from(["", "2024-6-6", "today"]), st.just("2024-02-30")),
    "date-time": (
        st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
        st.sampled_from(["", "2024-06-06", "now"]),
        st.sampled_from(["2024-06-06T12:34:56", "2024-06-06T25:00:00Z"]),
    ),
    "duration": (st.just("PT1H"), st.sampled_from(["", "1 hour", "P1Y"]), st.sampled_from(["PT", "P1S"])),
    "uuid": (st.uuids().map(str), st.sampled_from(["", "7", "x" * 32]), st.just("-" * 36)),
    "base64": (st.just("YQ=="), st.sampled_from(["?", "a b"]), st.just("YQ")),
    "decimal": (st.decimals(allow_nan=False).map(str) | st.integers(), st.booleans(), st.sampled_from(["", "much"])),
}


@dataclass(frozen=True)
class Body:
    """A body, and what is to become of it."""

    content: Any
    verdict: str


def bodies(jobs: Jobs) -> st.SearchStrategy[Body]:
    """Bodies that submit one of these functions, or nearly do."""
    return st.one_of([_bodies(function) for function in jobs])


def _bodies(function: JobFunction) -> st.SearchStrategy[Body]:
    (reference,), definitions = msgspec.json.schema_components([function.parameters], ref_template="{name}")
    schema = dict(definitions[reference["$ref"]])
    schema["properties"] = {"type": {"enum": [function.name]}, **schema["properties"]}
    schema["required"] = ["type", *schema.get("required", [])]
    ids = st.from_regex(r"\A[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,30}\Z")
    bad_ids = st.sampled_from(["", ".a", "a b", "x" * 129, 7])
    maker = _Maker(definitions)
    valid, broken = maker.valid(schema), st.one_of(list(maker.breaks(schema)))
    made = [
        st.builds(lambda content: Body(content, VALID), valid),
        st.builds(lambda content, name: Body({**content, "jobId": name}, VALID), valid, ids),
        broken,
        broken,
        st.one_of(
            st.builds(lambda content, value: Body({**content, "unknown": value}, REFUSED), valid, st.integers()),
            st.builds(lambda content, name: Body({**content, "jobId": name}, REFUSED), valid, bad_ids),
            st.sampled_from([[], 7, "", None, {}]).map(lambda content: Body(content, REFUSED)),
        ),
    ]
    return st.sampled_from(made).flatmap(lambda strategy: strategy)  # one_of would weigh them by their alternatives


class _Maker:
    """Makes values of schemas that may refer to each other."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def valid(self, schema: Schema) -> Values:
        """Values that the schema allows."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return st.one_of([self.valid(option) for option in schema["anyOf"]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema.get("type"):
            case "integer":
                step = schema.get("multipleOf", 1)
                least = schema.get("minimum", schema.get("exclusiveMinimum", -step * 10**9) + step)
                most = schema.get("maximum", schema.get("exclusiveMaximum", step * 10**9) - step)
                return st.integers(-(-least // step), most // step).map(lambda number: number * step)
            case "number":
                return st.floats(
                    schema.get("minimum", schema.get("exclusiveMinimum")),
                    schema.get("maximum", schema.get("exclusiveMaximum")),
                    exclude_min="exclusiveMinimum" in schema,
                    exclude_max="exclusiveMaximum" in schema,
                    allow_nan=False,
                    allow_infinity=False,
                )
            case "string":
                return self._text(schema)
            case "array":
                return self._array(schema)
            case "object":
                return self._object(schema)
            case "null" | "boolean" as kind:
                return OF_TYPE[kind]
        return st.one_of(list(OF_TYPE.values()))

    def _text(self, schema: Schema) -> Values:
        form = schema.get("format") or schema.get("contentEncoding")
        if form:
            return FORMS[form][0]
        if "pattern" in schema:
            return st.from_regex(schema["pattern"]).filter(lambda text: text.isascii())
        return st.text("aé😀", min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 9))

    def _array(self, schema: Schema) -> Values:
        if "prefixItems" in schema:
            return st.tuples(*map(self.valid, schema["prefixItems"])).map(list)
        least = schema.get("minItems", 0)
        return st.lists(self.valid(schema.get("items", {})), min_size=least, max_size=schema.get("maxItems", least + 2))

    def _object(self, schema: Schema) -> Values:
        if "properties" not in schema:
            values = self.valid(schema.get("additionalProperties", {}))
            return st.dictionaries(st.sampled_from("abc"), values, min_size=schema.get("minProperties", 0), max_size=3)
        made = {name: self.valid(each) for name, each in schema["properties"].items()}
        required = {name: made.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(required, optional=made)

    def breaks(self, schema: Schema) -> Iterator[st.SearchStrategy[Body]]:
        """Values that the schema forbids, with their verdicts."""
        schema = self._resolved(schema)
        kinds = self._kinds(schema)
        if kinds:
            wrong = [values for kind, values in OF_TYPE.items() if kind not in kinds]
            yield _as(REFUSED, st.one_of(wrong))
        yield from self._inner_breaks(schema)

    def _inner_breaks(self, schema: Schema) -> Iterator[st.SearchStrategy[Body]]:
        """Those that are of a type which the schema allows."""
        schema = self._resolved(schema)
        for option in schema.get("anyOf", ()):
            yield from self._inner_breaks(option)
        kind = schema.get("type")
        if kind in ("integer", "number"):
            yield from self._number_breaks(schema, kind)
        elif kind == "string":
            yield from self._text_breaks(schema)
        elif kind == "array":
            yield from self._array_breaks(schema)
        elif kind == "object":
            yield from self._object_breaks(schema)

    def _number_breaks(self, schema: Schema, kind: str) -> Iterator[st.SearchStrategy[Body]]:
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield _as(REFUSED, st.integers(0, 9).map(partial(_beyond, schema[bound], step)))
        for bound, step in (("exclusiveMinimum", -1), ("exclusiveMaximum", 1)):
            if bound in schema:
                yield _as(REFUSED, st.integers(0, 9).map(partial(_beyond, schema[bound], step)))
                yield _as(REFUSED if kind == "integer" else LATE, st.just(schema[bound]))
        if "multipleOf" in schema:
            yield _as(REFUSED, self.valid(schema).map(lambda number: number + 1))

    def _text_breaks(self, schema: Schema) -> Iterator[st.SearchStrategy[Body]]:
        if form := schema.get("format") or schema.get("contentEncoding"):
            yield _as(REFUSED, FORMS[form][1])
            yield _as(LATE, FORMS[form][2])
        elif "pattern" in schema:
            alike = "\\" not in schema["pattern"]
            yield _as(REFUSED if alike else LATE, st.sampled_from(["", "?"]))
        if schema.get("minLength"):
            yield _as(REFUSED, st.text("aé😀", max_size=schema["minLength"] - 1))
        if "maxLength" in schema and not form:
            yield _as(REFUSED, st.text("aé😀", min_size=schema["maxLength"] + 1, max_size=schema["maxLength"] + 5))

    def _array_breaks(self, schema: Schema) -> Iterator[st.SearchStrategy[Body]]:
        if "prefixItems" in schema:
            whole = self.valid(schema)
            yield _as(REFUSED, whole.map(lambda items: items[:-1]))
            yield _as(REFUSED, whole.map(lambda items: [*items, None]))
            for place, each in enumerate(schema["prefixItems"]):  # draft 4, as it is kept, does not look there
                for broken in self.breaks(each):
                    yield st.builds(partial(_replaced, place), whole, broken)
            return
        items = self.valid(schema.get("items", {}))
        if schema.get("minItems"):
            yield _as(REFUSED, st.lists(items, max_size=schema["minItems"] - 1))
        most = schema.get("maxItems")
        if most is not None:
            yield _as(REFUSED, st.lists(items, min_size=most + 1, max_size=most + 2))
        for broken in self.breaks(schema.get("items", {})):
            if most != 0:
                yield broken.map(lambda body: Body([body.content], body.verdict))

    def _object_breaks(self, schema: Schema) -> Iterator[st.SearchStrategy[Body]]:
        whole = self.valid(schema)
        if "properties" not in schema:
            for broken in self.breaks(schema.get("additionalProperties", {})):
                yield st.builds(lambda values, body: Body({**values, "b": body.content}, body.verdict), whole, broken)
            return
        for name in schema.get("required", []):
            yield _as(REFUSED, whole.map(partial(_without, name)))
        for name, each in schema["properties"].items():
            for broken in self.breaks(each):
                yield st.builds(partial(_set, name), whole, broken)

    def _resolved(self, schema: Schema) -> Schema:
        return self._definitions[schema["$ref"]] if "$ref" in schema else schema

    def _kinds(self, schema: Schema) -> set[str]:
        """The JSON types that the schema allows; none where it allows all."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return set().union(*(self._kinds(option) for option in schema["anyOf"]))
        if "enum" in schema:
            return {
                "null" if value is None else "integer" if isinstance(value, int) else "string"
                for value in schema["enum"]
            }
        kinds = {schema["type"]} if "type" in schema else set()
        if kinds == {"number"} or schema.get("format") == "decimal":
            kinds |= {"integer", "number"}
        return kinds


def _as(verdict: str, values: Values) -> st.SearchStrategy[Body]:
    return values.map(lambda value: Body(value, verdict))


def _beyond(bound: float, step: int, more: int) -> float:
    return bound + step * (more + 1)


def _replaced(place: int, items: list[Any], body: Body) -> Body:
    return Body([*items[:place], body.content, *items[place + 1 :]], LATE)


def _without(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _set(name: str, values: dict[str, Any], body: Body) -> Body:
    return Body({**values, name: body.content}, body.verdict)
